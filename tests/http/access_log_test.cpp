#include "serving/http/access_log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace llm::http {
namespace {

std::string logged(const Exchange& exchange, const char* format) {
  LoggingConfig config;
  config.format = format;
  configure_log(config);
  ::testing::internal::CaptureStderr();
  log_access(exchange);
  const std::string line = ::testing::internal::GetCapturedStderr();
  configure_log({});
  return line;
}

const Exchange kExchange{"POST", "/v1/completions", "req-1", "127.0.0.1", "3f2a91bc", 200,
                         512,    3.14159,           true};

TEST(AccessLog, OneLineForOneExchange) {
  EXPECT_EQ(logged(kExchange, "text"),
            "POST /v1/completions 200, 512 bytes, 3.1 ms, req-1, 127.0.0.1, key 3f2a91bc\n");
  const auto json = nlohmann::json::parse(logged(kExchange, "json"));
  EXPECT_EQ(json["method"], "POST");
  EXPECT_EQ(json["path"], "/v1/completions");
  EXPECT_EQ(json["status"], 200);
  EXPECT_EQ(json["complete"], 1);
  EXPECT_EQ(json["bytes"], 512);
  EXPECT_EQ(json["ms"], 3.14159);
  EXPECT_EQ(json["request_id"], "req-1");
  EXPECT_EQ(json["address"], "127.0.0.1");
  EXPECT_EQ(json["key"], "3f2a91bc");
}

TEST(AccessLog, AClientThatLeftIs499AndAHalfAnswerIsCut) {
  Exchange left = kExchange;
  left.status = 499;
  left.bytes_sent = 0;
  left.complete = false;
  left.client = "";
  EXPECT_EQ(logged(left, "text"),
            "POST /v1/completions 499 cut, 0 bytes, 3.1 ms, req-1, 127.0.0.1\n");
}

}  // namespace
}  // namespace llm::http
