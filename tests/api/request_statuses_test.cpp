#include "serving/http/api/request_statuses.h"

#include <gtest/gtest.h>

#include "tests/api/served.h"
#include "tests/http/test_server.h"

namespace llm {
namespace {

using api::RequestStatus;
using api::RequestStatuses;
using test::Json;
using test::Served;

RequestStatus status_of(const RequestStatuses& all, const char* caller, const std::string& id) {
  const auto entry = all.find(caller, id);
  EXPECT_TRUE(entry) << id;
  return entry ? entry->status : RequestStatus::failed;
}

TEST(RequestStatuses, TellsHowFarARequestHasCome) {
  RequestStatuses all;
  EXPECT_FALSE(all.find("", "a"));
  const std::time_t before = std::time(nullptr);
  const auto ticket = all.begin("", "a");
  const auto entry = all.find("", "a");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->id, "a");
  EXPECT_EQ(entry->status, RequestStatus::queued);
  EXPECT_GE(entry->created, before);
  EXPECT_LE(entry->created, std::time(nullptr));
  all.change(ticket, RequestStatus::running, "its text has begun");
  EXPECT_EQ(status_of(all, "", "a"), RequestStatus::running);
  EXPECT_EQ(all.find("", "a")->message, "its text has begun");
  all.change(ticket, RequestStatus::cancelled, "the client left");
  all.change(ticket, RequestStatus::completed, "complete");  // too late
  EXPECT_EQ(status_of(all, "", "a"), RequestStatus::cancelled);
  EXPECT_EQ(all.find("", "a")->message, "the client left");
}

TEST(RequestStatuses, TheIdOfACompletionIsTheRequests) {
  RequestStatuses all;
  all.begin("", "7");
  all.begin("", "cmpl-8");
  EXPECT_EQ(all.find("", "cmpl-7")->id, "7");
  EXPECT_EQ(all.find("", "chatcmpl-7")->id, "7");
  EXPECT_EQ(all.find("", "cmpl-8")->id, "cmpl-8");
  EXPECT_FALSE(all.find("", "xcmpl-7"));
  EXPECT_FALSE(all.find("", "cmpl-"));
}

TEST(RequestStatuses, ACallerSeesItsOwnOnly) {
  RequestStatuses all;
  const auto first = all.begin("aa", "1");
  all.begin("bb", "1");
  all.change(first, RequestStatus::completed, "complete");
  EXPECT_EQ(status_of(all, "aa", "1"), RequestStatus::completed);
  EXPECT_EQ(status_of(all, "bb", "1"), RequestStatus::queued);
  EXPECT_FALSE(all.find("", "1"));
  EXPECT_FALSE(all.find("a", "a 1"));
}

TEST(RequestStatuses, AnIdUsedAgainIsTheNewerRequest) {
  RequestStatuses all;
  const auto older = all.begin("", "x");
  const auto newer = all.begin("", "x");
  all.change(older, RequestStatus::failed, "of the older one");
  EXPECT_EQ(status_of(all, "", "x"), RequestStatus::queued);
  all.change(newer, RequestStatus::completed, "complete");
  EXPECT_EQ(status_of(all, "", "x"), RequestStatus::completed);
  EXPECT_EQ(all.size(), 1u);
}

TEST(RequestStatuses, KeepsTheLastThatEndedAndAllThatRun) {
  RequestStatuses all(3);
  const auto waiting = all.begin("", "waiting");
  for (int i = 0; i < 100; ++i)
    all.change(all.begin("", std::to_string(i)), RequestStatus::completed, "complete");
  EXPECT_EQ(all.size(), 4u);
  EXPECT_FALSE(all.find("", "96"));
  for (const char* id : {"97", "98", "99", "waiting"}) EXPECT_TRUE(all.find("", id)) << id;
  for (int i = 0; i < 100; ++i) all.change(all.begin("", "same"), RequestStatus::failed, "no");
  EXPECT_EQ(all.size(), 2u);
  EXPECT_TRUE(all.find("", "waiting"));
  all.change(waiting, RequestStatus::completed, "complete");
  EXPECT_EQ(all.size(), 2u);
}

// --- over HTTP --------------------------------------------------------------------------------

/// Asks for a text under an id of the client's.
http::RawAnswer ask_for_text(const Served& api, const std::string& id, const std::string& body,
                             const std::string& headers = "") {
  return api.ask("POST", "/v1/completions", body, "X-Request-ID: " + id + "\r\n" + headers);
}

TEST(StatusRoute, GoesFromQueuedOverRunningToCompleted) {
  const Served api;
  std::atomic<int> tokens{0};  // that may be written
  auto& write = const_cast<CountingModel&>(api.model).write;
  write = [&tokens, quick = write](const auto& ids, auto logits) {
    while (tokens.load() <= 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --tokens;
    quick(ids, logits);
  };
  std::thread client([&] {
    const auto answer = ask_for_text(api, "mine", R"({"prompt":"ab","max_tokens":5})");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(Json::parse(answer.body)["id"], "cmpl-mine");
    EXPECT_EQ(api.get("/v1/status/cmpl-mine")["status"], "completed");
  });
  const auto becomes = [&](const std::string& status) {
    return http::soon([&] {
      const auto answer = api.ask("GET", "/v1/status/mine", "");
      return answer.status == 200 && Json::parse(answer.body)["status"] == status;
    });
  };
  EXPECT_TRUE(becomes("queued"));
  EXPECT_EQ(api.get("/v1/status/mine")["message"], "waits, or its prompt is being read");
  tokens = 2;
  EXPECT_TRUE(becomes("running"));
  tokens = 1000;
  client.join();
  const Json told = api.get("/v1/status/mine");
  EXPECT_EQ(told["request_id"], "mine");
  EXPECT_EQ(told["status"], "completed");
  EXPECT_EQ(told["message"], "complete");
  EXPECT_NEAR(told["created_at"].get<double>(), static_cast<double>(std::time(nullptr)), 60);
  EXPECT_EQ(told.size(), 4u);
}

TEST(StatusRoute, EveryKindOfAnswerIsKnown) {
  const Served api;
  const Json messages = Json::array({{{"role", "user"}, {"content", "a"}}});
  const std::vector<std::pair<std::string, Json>> asked = {
      {"/v1/completions", {{"prompt", "a"}, {"max_tokens", 3}, {"temperature", 0}}},
      {"/v1/completions", {{"prompt", "a"}, {"max_tokens", 3}, {"temperature", 0}}},  // kept
      {"/v1/completions", {{"prompt", "a"}, {"max_tokens", 3}, {"stream", true}, {"n", 2}}},
      {"/v1/chat/completions", {{"messages", messages}, {"max_tokens", 3}}},
      {"/v1/chat/completions", {{"messages", messages}, {"max_tokens", 3}, {"stream", true}}},
      {"/generate", {{"prompt", "a"}, {"max_tokens", 3}}},
      {"/predict", {{"text", "a"}}}};
  for (const auto& [path, body] : asked) {
    const auto answer = api.ask("POST", path, body.dump());
    ASSERT_EQ(answer.status, 200) << path << answer.body;
    const std::string id = answer.header("X-Request-ID");
    EXPECT_EQ(api.get("/v1/status/" + id)["status"], "completed") << path << body;
  }
  const Json chat = api.post("/v1/chat/completions", asked[3].second);
  EXPECT_EQ(api.get("/v1/status/" + chat["id"].get<std::string>())["status"], "completed");
}

TEST(StatusRoute, WhatWasRefusedHasFailed) {
  const Served api;
  EXPECT_EQ(ask_for_text(api, "bad", R"({"prompt":"a","n":99})").status, 400);
  const Json told = api.get("/v1/status/bad");
  EXPECT_EQ(told["status"], "failed");
  EXPECT_EQ(told["message"], "n must be between 1 and 16");
  EXPECT_EQ(ask_for_text(api, "worse", "{").status, 400);
  EXPECT_EQ(api.get("/v1/status/worse")["status"], "failed");
}

TEST(StatusRoute, AClientThatLeftHasCancelled) {
  const Served api;
  auto& write = const_cast<CountingModel&>(api.model).write;
  write = [quick = write](const auto& ids, auto logits) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    quick(ids, logits);
  };
  for (const std::string stream : {"true", "false"}) {
    http::RawClient client(api.server->port());
    const std::string body = R"({"prompt":"a","max_tokens":250,"stream":)" + stream + "}";
    client.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: gone-" + stream +
                "\r\nContent-Type: application/json\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto is = [&](const char* status) {
      const auto answer = api.ask("GET", "/v1/status/gone-" + stream, "");
      return answer.status == 200 && Json::parse(answer.body)["status"] == status;
    };
    EXPECT_TRUE(http::soon([&] { return is("running"); }));
    client.close();
    EXPECT_TRUE(http::soon([&] { return is("cancelled"); }));
    EXPECT_EQ(api.get("/v1/status/gone-" + stream)["message"], "the client left");
  }
}

TEST(StatusRoute, WhatTookTooLongIsCancelled) {
  const Served api(
      {}, [](auto& options, auto&) { options.request_timeout = std::chrono::milliseconds(1000); });
  auto& write = const_cast<CountingModel&>(api.model).write;
  write = [quick = write](const auto& ids, auto logits) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    quick(ids, logits);
  };
  EXPECT_EQ(ask_for_text(api, "slow", R"({"prompt":"a","max_tokens":250})").status, 503);
  EXPECT_EQ(api.get("/v1/status/slow")["status"], "cancelled");
  EXPECT_EQ(api.get("/v1/status/slow")["message"], "the request took longer than 1 s");
}

TEST(StatusRoute, AKeySeesItsOwnRequestsOnly) {
  api::ApiServerOptions options;
  options.keys = {"first", "second"};
  const Served api(options);
  const std::string first = "Authorization: Bearer first\r\n",
                    second = "Authorization: Bearer second\r\n";
  EXPECT_EQ(ask_for_text(api, "id", R"({"prompt":"a","max_tokens":2})", first).status, 200);
  EXPECT_EQ(api.ask("GET", "/v1/status/id", "", first).status, 200);
  EXPECT_EQ(api.ask("GET", "/v1/status/id", "", second).status, 404);
  EXPECT_EQ(api.ask("GET", "/v1/status/id", "").status, 401);
  EXPECT_EQ(ask_for_text(api, "id", R"({"prompt":7})", second).status, 400);
  EXPECT_EQ(Json::parse(api.ask("GET", "/v1/status/id", "", first).body)["status"], "completed");
  EXPECT_EQ(Json::parse(api.ask("GET", "/v1/status/id", "", second).body)["status"], "failed");
}

TEST(StatusRoute, AnUnknownIdIs404) {
  const Served api;
  const auto answer = api.ask("GET", "/v1/status/nobody", "");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(Json::parse(answer.body)["error"]["message"],
            "there is no request 'nobody', or no longer");
  EXPECT_EQ(api.get("/openapi.json")["paths"]["/v1/status/{id}"]["get"]["parameters"][0]["name"],
            "id");
}

}  // namespace
}  // namespace llm
