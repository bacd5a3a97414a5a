#include "serving/http/request.h"

#include <gtest/gtest.h>

namespace llm::http {
namespace {

TEST(HttpRequest, HeadersAreFoundInAnyCaseAndTheFirstCounts) {
  Request request;
  request.headers = {{"X-A", "1"}, {"x-a", "2"}};
  EXPECT_EQ(request.header("x-A"), "1");
  EXPECT_EQ(request.header("X-B"), "");
  EXPECT_TRUE(same_ignoring_case("aZ[", "Az["));
  EXPECT_FALSE(same_ignoring_case("[", "{"));  // 0x5b and 0x7b are no letters
}

TEST(HttpRequest, TargetsAreSplitAndDecoded) {
  Request request;
  ASSERT_TRUE(parse_target("/a%20b?x=1&y=a%26b+c&&z#frag", request));
  EXPECT_EQ(request.path, "/a%20b");
  EXPECT_EQ(request.query_value("x"), "1");
  EXPECT_EQ(request.query_value("y"), "a&b c");
  EXPECT_EQ(request.query_value("z"), "");
  EXPECT_EQ(request.query_value("w"), std::nullopt);
  EXPECT_EQ(request.query.size(), 3u);
  Request absolute;
  ASSERT_TRUE(parse_target("HTTP://host:80/p?q=1", absolute));
  EXPECT_EQ(absolute.path, "/p");
  for (const char* bad : {"", "*", "a/b", "http://host", "host:443", "/?a=%", "/?a=%4", "/?%zz=1",
                          "/?a=%00", "/?a=%ff"}) {
    Request refused;
    EXPECT_FALSE(parse_target(bad, refused)) << bad;
  }
}

TEST(HttpRequest, PercentDecodingIsStrict) {
  EXPECT_EQ(percent_decoded("%41%c3%A9+"), "A\xC3\xA9+");
  EXPECT_EQ(percent_decoded("a+b", true), "a b");
  EXPECT_EQ(percent_decoded("%2"), std::nullopt);
  EXPECT_EQ(percent_decoded("%g1"), std::nullopt);
  EXPECT_EQ(percent_decoded("%00"), std::nullopt);
  EXPECT_EQ(percent_decoded("%C3"), std::nullopt);
}

TEST(HttpRequest, IdsAreSane) {
  EXPECT_TRUE(is_sane_request_id("aZ09_.-"));
  EXPECT_TRUE(is_sane_request_id(std::string(64, 'a')));
  for (const std::string& bad : {std::string(), std::string(65, 'a'), std::string("a b"),
                                 std::string("a\r\nb"), std::string("\xC3\xA9")}) {
    EXPECT_FALSE(is_sane_request_id(bad)) << bad;
  }
}

TEST(HttpRequest, PathsCannotPaintTheTerminal) {
  EXPECT_EQ(loggable(""), "-");
  EXPECT_EQ(loggable("/a\x1b[31m\n\xc2\x9b\x7f"), "/a?[31m????");
  EXPECT_EQ(loggable(std::string(300, 'a')), std::string(200, 'a') + "...");
}

}  // namespace
}  // namespace llm::http
