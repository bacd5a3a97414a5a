// Ends and members of JSON objects in growing text.
#include "serving/constraint/json_scan.h"

#include <gtest/gtest.h>

#include <string>

namespace llm::constraint {
namespace {

TEST(JsonScan, FindsTheEndByteByByte) {
  const std::string text = R"({"a":"}\"{","b":[{"c":1}]} tail)";
  JsonObjectEnd end;
  size_t position = 0;
  for (const char byte : text) {
    ++position;
    if (const auto found = end.find({&byte, 1})) {
      EXPECT_EQ(*found, 1u);
      break;
    }
  }
  EXPECT_EQ(text.substr(position), " tail");
  EXPECT_EQ(JsonObjectEnd().find(text), text.size() - 5);
  EXPECT_EQ(JsonObjectEnd().find(R"({"a":")"), std::nullopt);
}

TEST(JsonScan, MembersAreGivenAsWritten) {
  const std::string object =
      R"( { "x" : [1, {"y": "]"}] ,"y":{ "k" : 1.50 }, "z": tr,"s":"a\"b" } )";
  EXPECT_EQ(member_text(object, "x"), R"([1, {"y": "]"}])");
  EXPECT_EQ(member_text(object, "y"), R"({ "k" : 1.50 })");
  EXPECT_EQ(member_text(object, "z"), "tr");
  EXPECT_EQ(member_text(object, "s"), R"("a\"b")");
  EXPECT_EQ(member_text(object, "k"), std::nullopt);
  EXPECT_EQ(member_text("{}", "k"), std::nullopt);
}

}  // namespace
}  // namespace llm::constraint
