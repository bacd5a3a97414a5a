#include "serving/http/http_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace llm::http {
namespace {

TEST(HttpError, TheBodyIsOpenAis) {
  EXPECT_EQ(error_body(HttpError(400, "out_of_range", "n must be between 1 and 16", "n")),
            R"({"error":{"message":"n must be between 1 and 16","type":"invalid_request_error",)"
            R"("param":"n","code":"out_of_range"}})");
  EXPECT_EQ(error_body(HttpError(500, "", "x\"y\n\xFF")),
            "{\"error\":{\"message\":\"x\\\"y\\n\xEF\xBF\xBD\",\"type\":\"server_error\","
            "\"param\":null,\"code\":null}}");
}

TEST(HttpError, EachStatusHasItsType) {
  for (const int status : {400, 401, 404, 405, 408, 413, 415, 422, 431}) {
    EXPECT_EQ(error_type(status), "invalid_request_error") << status;
  }
  EXPECT_EQ(error_type(403), "permission_error");
  EXPECT_EQ(error_type(429), "rate_limit_error");
  EXPECT_EQ(error_type(500), "server_error");
  EXPECT_EQ(error_type(503), "server_error");
  EXPECT_EQ(error_type(505), "invalid_request_error");
}

HttpError error_of_thrown(const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    return error_of(std::current_exception(), "GET /x");
  }
  return HttpError(0, "", "nothing was thrown");
}

TEST(HttpError, OnlyWhatTheClientCanMendIsToldAndTheRestIsLogged) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(error_of_thrown([] { throw HttpError(409, "a", "b", "c"); }).param(), "c");
  const HttpError usage = error_of_thrown([] { fail(Exit::usage, "top_k must be positive"); });
  EXPECT_EQ(usage.status(), 400);
  EXPECT_EQ(usage.message(), "top_k must be positive");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ::testing::internal::CaptureStderr();
  for (const auto& action : std::vector<std::function<void()>>{
           [] { fail(Exit::io, "/home/me/model is gone"); },
           [] { throw std::runtime_error("/home/me is gone"); }, [] { throw 5; }}) {
    const HttpError error = error_of_thrown(action);
    EXPECT_EQ(error.status(), 500);
    EXPECT_EQ(error.message(), "internal error");
    EXPECT_EQ(error.code(), "server_error");
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "error: GET /x: /home/me/model is gone\n"
            "error: GET /x: /home/me is gone\n"
            "error: GET /x: an exception of no known kind\n");
}

TEST(HttpError, RetryAfterIsWholeSecondsAndAtLeastOne) {
  const auto seconds = [](double wait) {
    return too_many_requests("queue is full", wait).headers.at(0).second;
  };
  EXPECT_EQ(seconds(0), "1");
  EXPECT_EQ(seconds(1.2), "2");
  EXPECT_EQ(seconds(1e18), "86400");
}

}  // namespace
}  // namespace llm::http
