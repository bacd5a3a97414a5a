#include "serving/http/api/serving_metrics.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm {
namespace {

using test::Json;
using test::Served;

/// The lines of a log that name a field.
std::vector<std::string> field_lines(const std::string& log) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < log.size();) {
    const size_t end = std::min(log.find('\n', at), log.size());
    const std::string line = log.substr(at, end - at);
    if (line.find("requests have the field") != std::string::npos) lines.push_back(line);
    at = end + 1;
  }
  return lines;
}

std::string counted(const Served& api) {
  const std::string text = api.ask("GET", "/metrics", "").body;
  const std::string name = "\nllm:unknown_request_fields_total ";
  const size_t at = text.find(name);
  return at == std::string::npos
             ? "not there"
             : text.substr(at + name.size(), text.find('\n', at + 1) - at - name.size());
}

TEST(ServingMetrics, UnknownFieldsAreTakenCountedAndLoggedOnceEach) {
  const Served api;
  const Json messages = Json::array({{{"role", "user"}, {"content", "a"}}});
  const Json extra = {{"max_tokens", 1}, {"store", true}, {"service_tier", "secret value"}};
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(counted(api), "0");
  api.post("/v1/completions", test::with(extra, {{"prompt", "a"}}));
  EXPECT_EQ(counted(api), "2");
  api.post("/v1/chat/completions", test::with(extra, {{"messages", messages}}));
  EXPECT_EQ(counted(api), "4");
  api.post("/v1/embeddings", {{"input", "a"}, {"store", nullptr}, {"other\nname", 1}});
  EXPECT_EQ(counted(api), "6");
  api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 1}, {"user", "u"}});
  EXPECT_EQ(counted(api), "6");
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(field_lines(log),
            (std::vector<std::string>{
                "requests have the field 'service_tier', which has no meaning here",
                "requests have the field 'store', which has no meaning here",
                "requests have the field 'other?name', which has no meaning here"}));
  EXPECT_EQ(log.find("secret value"), std::string::npos);
}

TEST(ServingMetrics, AllTextsOfASearchCount) {
  const Served api;
  const Json answer = api.post("/v1/completions",
                               {{"prompt", "abc"}, {"max_tokens", 6}, {"num_beams", 4}, {"n", 3}});
  EXPECT_EQ(answer["usage"]["completion_tokens"], 18);
  const std::string text = api.ask("GET", "/metrics", "").body;
  for (const char* line : {"llm:generation_tokens_total{model_name=\"letters\"} 18",
                           "vllm:request_generation_tokens_sum{model_name=\"letters\"} 18",
                           "vllm:request_generation_tokens_count{model_name=\"letters\"} 1",
                           "vllm:prompt_tokens_total{model_name=\"letters\"} 3"})
    EXPECT_NE(text.find(std::string("\n") + line + "\n"), std::string::npos) << line << "\n"
                                                                             << text;
}

/// The number of generated tokens, wherever the server tells it.
std::vector<int> told_everywhere(const Served& api) {
  std::vector<int> told = {api.get("/stats")["generated_tokens"],
                           api.get("/v1/server_metrics")["sched_total_generated_tokens"]};
  const std::string text = api.ask("GET", "/metrics", "").body;
  for (const std::string name : {"llm:generation_tokens_total", "vllm:generation_tokens_total",
                                 "llamacpp:tokens_predicted_total"}) {
    const std::string line = "\n" + name + "{model_name=\"letters\"} ";
    const size_t at = text.find(line);
    told.push_back(at == std::string::npos ? -1 : std::stoi(text.substr(at + line.size())));
  }
  return told;
}

TEST(ServingMetrics, GeneratedTokensAreTheSameNumberEverywhere) {
  const Served api;
  const auto usage = [&](Json body) -> int {
    body["max_tokens"] = 5;
    return api.post("/v1/completions", body)["usage"]["completion_tokens"];
  };
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, 0));
  EXPECT_EQ(usage({{"prompt", "a"}}), 5);
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, 5));
  EXPECT_EQ(usage({{"prompt", "b"}, {"num_beams", 3}}), 5);
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, 10));
  EXPECT_EQ(usage({{"prompt", "c"}, {"num_beams", 3}, {"n", 2}}), 10);
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, 20));
  EXPECT_EQ(usage({{"prompt", {"d", "e"}}, {"n", 2}, {"num_speculative_tokens", 3}}), 20);
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, 40));
  api.post("/predict", {{"text", "f"}});
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, 41));
}

TEST(ServingMetrics, GeneratedTokensCountWhileATextIsWritten) {
  const Served api;
  test::write_slowly(api, std::chrono::milliseconds(5));
  http::RawClient client(api.server->port());
  test::send_body(client, "/v1/completions", {{"prompt", "a"}, {"max_tokens", 200}});
  ASSERT_TRUE(test::soon([&] { return api.get("/stats")["generated_tokens"] >= 3; }));
  EXPECT_EQ(api.get("/stats")["active_requests"], 1);
  client.close();
  ASSERT_TRUE(test::soon([&] { return api.served->engine().open_requests() == 0; }));
  const int written = api.get("/stats")["generated_tokens"];
  EXPECT_LT(written, 200);
  EXPECT_EQ(told_everywhere(api), std::vector<int>(5, written));
}

TEST(ServingMetrics, UnknownFieldsAreNoneOfGenerate) {
  const Served api;
  api.post("/generate", {{"prompt", "a"}, {"store", true}}, 400);
  EXPECT_EQ(counted(api), "0");
}

TEST(ServingMetrics, AHundredNamesAreLoggedAndAllAreCounted) {
  const Served api;
  Json body = {{"input", "a"}};
  for (int i = 0; i < 250; ++i) body["field_" + std::to_string(i)] = i;
  ::testing::internal::CaptureStderr();
  api.post("/v1/embeddings", body);
  api.post("/v1/embeddings", body);
  EXPECT_EQ(field_lines(::testing::internal::GetCapturedStderr()).size(), 100u);
  EXPECT_EQ(counted(api), "500");
}

TEST(ServingMetrics, WhatOnlyRisesIsACounter) {
  const Served api;
  api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 1}});
  const std::string text = api.ask("GET", "/metrics", "").body;
  int totals = 0;
  for (size_t at = text.find("# TYPE "); at != std::string::npos;
       at = text.find("# TYPE ", at + 1)) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    EXPECT_EQ(line.find("_total ") != std::string::npos, line.ends_with(" counter")) << line;
    totals += line.ends_with(" counter") ? 1 : 0;
  }
  EXPECT_GE(totals, 20);
  for (const char* name :
       {"num_preemptions_total", "prefix_cache_queries_total", "prefix_cache_hits_total"}) {
    EXPECT_NE(text.find(std::string("# TYPE vllm:") + name + " counter\n"), std::string::npos);
  }
}

TEST(ServingMetrics, UnknownFieldsOfOthersRoutesAreCounted) {
  const Served api;
  const Json messages = Json::array({{{"role", "user"}, {"content", "a"}}});
  api.post("/tokenize", {{"prompt", "a"}, {"return_token_strs", true}});
  EXPECT_EQ(counted(api), "1");
  api.post("/detokenize", {{"tokens", {100}}, {"store", true}});
  EXPECT_EQ(counted(api), "2");
  api.post("/apply-template", {{"messages", messages}, {"store", true}, {"more", 1}});
  EXPECT_EQ(counted(api), "4");
}

TEST(ServingMetrics, UnknownFieldsOfOurOwnRoutesAreRefusedByName) {
  const Served api;
  const std::pair<const char*, Json> asked[] = {{"/generate", {{"prompt", "a"}, {"store", 1}}},
                                                {"/predict", {{"text", "a"}, {"store", 1}}},
                                                {"/embed", {{"input", "a"}, {"store", 1}}}};
  for (const auto& [path, body] : asked) {
    const Json error = api.post(path, body, 400)["error"];
    EXPECT_EQ(error["code"], "unknown_field") << path;
    EXPECT_EQ(error["param"], "store") << path;
    EXPECT_EQ(error["message"], std::string("'store' is not a field of ") + path);
  }
  EXPECT_EQ(counted(api), "0");
}

/// Every sample of that metric: "vllm:a{b} 1".
std::vector<std::string> samples(const Served& api, const std::string& name) {
  const std::string text = api.ask("GET", "/metrics", "").body;
  std::vector<std::string> found;
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const size_t line = text.rfind('\n', at) + 1;
    if (text[line] != '#') found.push_back(text.substr(line, text.find('\n', at) - line));
  }
  return found;
}

TEST(ServingMetrics, BlocksThatOnlyThePrefixCacheHoldsAreFree) {
  const Served api({}, [](auto&, EngineOptions& engine) { engine.kv.max_blocks = 40; });
  test::write_slowly(api, std::chrono::milliseconds(2));
  const auto is = [&](const std::string& share) {
    const std::string rest = "kv_cache_usage_perc{model_name=\"letters\"} " + share;
    return samples(api, "kv_cache_usage_perc") == std::vector{"llm:" + rest, "vllm:" + rest};
  };
  EXPECT_TRUE(is("0"));
  http::RawClient client(api.server->port());
  const Json body = {{"prompt", std::string(65, 'b')}, {"max_tokens", 180}, {"temperature", 0}};
  test::send_body(client, "/v1/completions", body);
  EXPECT_TRUE(test::soon([&] { return is("0.1"); }));  // four blocks for 97 to 128 tokens
  EXPECT_EQ(client.read_answer(20).status, 200);
  EXPECT_TRUE(test::soon([&] { return is("0"); }));
  const Json stats = api.get("/stats");
  EXPECT_GT(stats["kv_blocks_used"], 0);
  EXPECT_EQ(stats["kv_blocks_cached"], stats["kv_blocks_used"]);
}

/// Bounds of a histogram without labels as they are written, "+Inf" last.
std::vector<std::string> bounds(const Served& api, const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& line : samples(api, name + "_bucket{le=")) {
    const size_t from = line.find('"') + 1;
    found.push_back(line.substr(from, line.rfind('"') - from));
  }
  return found;
}

TEST(ServingMetrics, PacesHistogramsHaveItsBoundsAndNoLabels) {
  const Served api;
  using Lines = std::vector<std::string>;
  EXPECT_EQ(bounds(api, "pace_ttft_seconds"),
            (Lines{"0.1", "0.2", "0.25", "0.3", "0.4", "0.5", "0.75", "1",  "1.5", "2",   "2.5",
                   "3",   "4",   "5",    "7.5", "10",  "15",  "20",   "30", "60",  "+Inf"}));
  EXPECT_EQ(
      bounds(api, "pace_tpot_seconds"),
      (Lines{"0.05", "0.075", "0.1",  "0.125", "0.15", "0.175", "0.2", "0.25", "0.3", "0.35", "0.4",
             "0.5",  "0.6",   "0.75", "1",     "1.5",  "2",     "3",   "4",    "5",   "+Inf"}));
  const auto counts = [&](const std::string& ttft, const std::string& tpot) {
    EXPECT_EQ(samples(api, "pace_ttft_seconds_count"), Lines{"pace_ttft_seconds_count " + ttft});
    EXPECT_EQ(samples(api, "pace_tpot_seconds_count"), Lines{"pace_tpot_seconds_count " + tpot});
  };
  counts("0", "0");
  api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 0}, {"echo", true}});
  counts("0", "0");  // no token, no time
  api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 1}});
  counts("1", "0");  // nothing between tokens yet
  test::write_slowly(api, std::chrono::milliseconds(110));
  api.post("/v1/completions", {{"prompt", "b"}, {"max_tokens", 3}});
  counts("2", "1");
  EXPECT_EQ(samples(api, "pace_tpot_seconds_bucket{le=\"0.1\"}"),
            Lines{"pace_tpot_seconds_bucket{le=\"0.1\"} 0"});
  EXPECT_EQ(samples(api, "pace_ttft_seconds_bucket{le=\"60\"}"),
            Lines{"pace_ttft_seconds_bucket{le=\"60\"} 2"});
  const std::string text = api.ask("GET", "/metrics", "").body;
  EXPECT_NE(text.find("# TYPE pace_ttft_seconds histogram\n"), std::string::npos);
  EXPECT_NE(text.find("# TYPE pace_tpot_seconds histogram\n"), std::string::npos);
}

TEST(ServingMetrics, AClientThatLeavesIsNoFailureOfTheServer) {
  for (const bool stream : {false, true}) {
    const Served api;
    test::write_slowly(api, std::chrono::milliseconds(5));
    for (const bool reset : {false, true}) {
      http::RawClient client(api.server->port());
      test::send_body(client, "/v1/completions",
                      {{"prompt", "a"}, {"max_tokens", 200}, {"stream", stream}});
      ASSERT_TRUE(test::soon([&] { return api.served->engine().stats().running == 1; }));
      if (stream) {
        ASSERT_TRUE(client.read_until("data: "));
      }
      reset ? client.reset() : client.close();
      ASSERT_TRUE(test::soon([&] { return api.served->engine().open_requests() == 0; }));
    }
    // (The stream had begun with 200.) Answers to this test's own questions are counted, too.
    const std::string left = "llm:http_requests_total{status=\"499\"} 2";
    const std::string wrong = "llm:http_requests_total{status=\"500\"}";
    const auto holds = [&] {
      const auto found = samples(api, "http_requests_total");
      const std::string lines = fmt::format("{}", fmt::join(found, " "));
      return (lines.find(left) != std::string::npos) == !stream &&
             lines.find(wrong) == std::string::npos &&
             lines.find("status=\"0\"") == std::string::npos;
    };
    EXPECT_TRUE(test::soon(holds)) << api.ask("GET", "/metrics", "").body;
  }
}

TEST(ServingMetrics, AHalfClosedClientCountsAsOneThatLeft) {
  const Served api;
  test::write_slowly(api, std::chrono::milliseconds(5));
  http::RawClient client(api.server->port());
  test::send_body(client, "/v1/completions", {{"prompt", "a"}, {"max_tokens", 200}});
  ASSERT_TRUE(test::soon([&] { return api.served->engine().stats().running == 1; }));
  client.close_sending_half();
  const http::RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 499);
  EXPECT_EQ(Json::parse(answer.body)["error"]["code"], "client_closed_request");
}

TEST(ServingMetrics, ServerMetricsAreMeansOverTheSession) {
  const Served api;
  Json none = api.get("/v1/server_metrics");
  EXPECT_EQ(none["sched_session_ttft"], 0.0);
  EXPECT_EQ(none["sched_requests_served_per_second"], 0.0);
  api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 5}});
  api.post("/v1/completions", {{"prompt", "b"}, {"max_tokens", 3}});
  const Json some = api.get("/v1/server_metrics");
  EXPECT_EQ(some["sched_total_generated_tokens"], 8);
  EXPECT_GT(some["sched_session_ttft"], 0.0);
  EXPECT_GT(some["sched_session_tpot"], 0.0);
  EXPECT_GT(some["sched_requests_served_per_second"], 0.0);
  EXPECT_NEAR(some["sched_active_ttft_time"].get<double>(),
              2 * some["sched_session_ttft"].get<double>(), 1e-6);
}

TEST(ServingMetrics, HealthTellsOfTheDeviceAndOfTheQueue) {
  const Served api(
      {}, [](api::ServedModelOptions& options, EngineOptions&) { options.device = "cuda:1"; });
  EXPECT_EQ(api.get("/health")["device"], "cuda:1");
  EXPECT_EQ(api.get("/v1/health"),
            Json::parse(R"({"status": "ok", "service": "llm", "scheduler_running": true,
                            "queue_size": 0, "active_requests": 0,
                            "server_metrics_enabled": true})"));
}

}  // namespace
}  // namespace llm
