#include "base/json_fault.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace llm {
namespace {

using Kind = JsonFault::Kind;

void refuse(std::string_view text, Kind kind, size_t byte, const std::string& key = "") {
  nlohmann::json document;
  const auto fault = read_json(text, document);
  ASSERT_TRUE(fault) << text.substr(0, 60);
  EXPECT_EQ(fault->kind, kind) << text.substr(0, 60);
  EXPECT_EQ(fault->byte, byte) << text.substr(0, 60);
  EXPECT_EQ(fault->key, key);
}

nlohmann::json accept(std::string_view text) {
  nlohmann::json document;
  EXPECT_FALSE(read_json(text, document)) << text;
  return document;
}

TEST(JsonFault, SaysWhatIsWrongAndWhere) {
  refuse("{\"prompt\":", Kind::unexpected_end, 10);
  refuse("{\"prompt\": \n", Kind::unexpected_end, 12);
  refuse("", Kind::unexpected_end, 0);
  refuse("{\"a\": NaN}", Kind::syntax, 6);
  refuse("{\"a\": 01}", Kind::syntax, 7);
  refuse("{\"a\": Infinity}", Kind::syntax, 6);
  refuse("[1,]", Kind::syntax, 3);
  refuse("1 2", Kind::syntax, 2);
  refuse("\xEF\xBB\xBF{}", Kind::byte_order_mark, 0);
  refuse("{\"a\": \"\xFF\"}", Kind::utf8, 7);
  refuse("{\"a\": \"\xED\xA0\x80\"}", Kind::utf8, 7);
  refuse(std::string(1000000, '['), Kind::depth, 64);
  refuse("{\"a\": 1, \"b\": {\"n\": 1, \"n\": 2}}", Kind::duplicate, 23, "n");
  refuse(R"({"\"\\": 1, "\"\\": 2})", Kind::duplicate, 12, "\"\\");
  refuse(R"({"a": 1e999, "n": 1, "n": 2})", Kind::duplicate, 21, "n");
  refuse(std::string("{\"a\": \"x\0y\"}", 12), Kind::syntax, 8);
  refuse("{\"a\": \"\\ud800\"}", Kind::syntax, 13);
}

TEST(JsonFault, BoundsTheMembersOfOneObject) {
  const auto object = [](int members) {
    std::string text = "{";
    for (int i = 0; i < members; ++i) {
      text += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";
    }
    return text + "}";
  };
  EXPECT_EQ(accept(object(10000)).size(), 10000u);
  refuse(object(10001), Kind::members, object(10001).find("\"10000\""));
  refuse(object(100000), Kind::members, object(10001).find("\"10000\""));
}

TEST(JsonFault, NumbersBeyondADoubleKeepTheirSignAndTheRest) {
  const nlohmann::json value =
      accept(R"({"t": 1e400, "u": [-2.5E+4000, 1], "s": "1e400 \" 1e999", "v": 1e-400})");
  EXPECT_EQ(value["t"], 1e308);
  EXPECT_EQ(value["u"][0], -1e308);
  EXPECT_EQ(value["u"][1], 1);
  EXPECT_EQ(value["s"], "1e400 \" 1e999");
  EXPECT_EQ(value["v"], 0.0);
  EXPECT_EQ(accept(std::string(400, '9')), 1e308);
  // What is no number stays none.
  refuse("[1e400, 1e400-2]", Kind::syntax, 12);
  refuse("[1e400, 01e400]", Kind::syntax, 13);
  refuse("[1e400, 1.e400]", Kind::syntax, 10);
  refuse("[1e400", Kind::unexpected_end, 6);
}

TEST(JsonFault, ManyHugeNumbersCostTwoPasses) {
  std::string text = "[";
  for (int i = 0; i < 100000; ++i) text += "1e400,";
  EXPECT_EQ(accept(text + "0]").size(), 100001u);
}

}  // namespace
}  // namespace llm
