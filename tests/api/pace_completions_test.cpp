// /v1/completions in the shape of PACE's router.
#include "serving/http/api/pace_completions.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/api/served.h"

namespace llm::test {
namespace {

const Json kPace = {{"prompt", "ab"}, {"gen_config", {{"max_new_tokens", 8}, {"temperature", 0}}}};

TEST(PaceCompletions, TheAnswerIsAMessage) {
  const Served api;
  const auto answer = api.ask("POST", "/v1/completions", kPace.dump(), "X-Request-ID: mine-1\r\n");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const std::string text = greedy_text(api.model, LetterTokenizer().encode("ab"), 8);
  EXPECT_EQ(Json::parse(answer.body),
            (Json{{"request_id", "mine-1"},
                  {"model", "letters"},
                  {"choices", Json::array({{{"message", {{"role", "assistant"}, {"content", text}}},
                                            {"finish_reason", "length"}}})}}));
  EXPECT_EQ(answer.header("X-Request-ID"), "mine-1");
}

TEST(PaceCompletions, AStreamHasDeltasAndItsId) {
  const Served api;
  const std::string text = greedy_text(api.model, LetterTokenizer().encode("ab"), 8);
  const auto events = api.events("/v1/completions", with(kPace, {{"stream", true}}));
  ASSERT_EQ(events.size(), 9u);
  std::string streamed;
  for (size_t i = 0; i < events.size(); ++i) {
    const Json& choice = events[i]["choices"][0];
    EXPECT_EQ(events[i].size(), 2u);
    EXPECT_EQ(events[i]["request_id"], events[0]["request_id"]);
    EXPECT_EQ(choice.contains("finish_reason"), i == 8);
    EXPECT_FALSE(choice.contains("index"));
    streamed += choice["delta"]["content"].get<std::string>();
  }
  EXPECT_EQ(streamed, text);
  EXPECT_EQ(events[8]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(api.ask("POST", "/v1/completions", with(kPace, {{"stream", true}}).dump())
                .header("X-Request-ID")
                .empty(),
            false);
}

TEST(PaceCompletions, TheFieldsOfGenConfigAreThoseOfOtherRequests) {
  const Served api;
  const auto both = [&](const Json& ours, const Json& theirs) {
    Json plain = with({{"prompt", "ab"}, {"max_tokens", 30}}, ours);
    Json pace = {{"prompt", "ab"}, {"gen_config", with({{"max_new_tokens", 30}}, theirs)}};
    const Json whole = api.post("/v1/completions", plain)["choices"][0];
    const Json choice = api.post("/v1/completions", pace)["choices"][0];
    EXPECT_EQ(choice["message"]["content"], whole["text"]) << pace;
    EXPECT_EQ(choice["finish_reason"], whole["finish_reason"]) << pace;
    return whole["text"].get<std::string>();
  };
  const Json seeded = {{"seed", 5}, {"temperature", 1}};
  const std::string drawn = both(seeded, seeded);
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, Json>>{{"temperature", 2},
                                                           {"top_k", 2},
                                                           {"top_p", 0.1},
                                                           {"min_p", 0.9},
                                                           {"seed", 6},
                                                           {"do_sample", false},
                                                           {"repetition_penalty", 5},
                                                           {"frequency_penalty", 2}})
    EXPECT_NE(both(with(seeded, {{name, value}}), with(seeded, {{name, value}})), drawn) << name;
  const Json stop = {{"stop", drawn.substr(3, 2)}};
  EXPECT_EQ(both(with(seeded, stop), with(seeded, {{"stop_strings", {stop["stop"]}}})),
            both(with(seeded, stop), with(seeded, stop)));
  const Json short_one =
      api.post("/v1/completions", {{"prompt", "ab"}, {"gen_config", {{"max_tokens", 2}}}});
  EXPECT_EQ(short_one["choices"][0]["message"]["content"].get<std::string>().size(), 2u);
}

TEST(PaceCompletions, MlperfModeGivesIds) {
  const Served api;
  const std::string text = greedy_text(api.model, LetterTokenizer().encode("ab"), 3);
  const auto ids = LetterTokenizer().encode(text);
  const Json body = {
      {"prompt", "ab"}, {"mlperf_mode", true}, {"max_tokens", 3}, {"temperature", 0}};
  EXPECT_EQ(api.post("/v1/completions", body)["choices"][0]["message"]["content"], Json(ids));
  std::vector<int32_t> streamed;
  for (const Json& event : api.events("/v1/completions", with(body, {{"stream", true}})))
    for (const int32_t id : event["choices"][0]["delta"]["content"]) streamed.push_back(id);
  EXPECT_EQ(streamed, ids);
  EXPECT_TRUE(
      api.post("/v1/completions", with(body, {{"mlperf_mode", false}}))["choices"][0].contains(
          "text"));
}

TEST(PaceCompletions, SeveralPromptsAreToldApart) {
  const Served api;
  for (const int beams : {1, 3}) {
    const Served own({}, [&](auto& options, auto&) { options.defaults.num_beams = beams; });
    const Json body = with(kPace, {{"prompt", {"ab", "c"}}});
    const Json answer = own.post("/v1/completions", body);
    ASSERT_EQ(answer["choices"].size(), 2u);
    std::map<size_t, std::string> streamed;
    for (const Json& event : own.events("/v1/completions", with(body, {{"stream", true}}))) {
      const Json& choice = event["choices"][0];
      streamed[choice["index"]] += choice["delta"]["content"].get<std::string>();
    }
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(answer["choices"][i]["index"], i);
      EXPECT_EQ(streamed[i], answer["choices"][i]["message"]["content"]);
    }
  }
}

TEST(PaceCompletions, BadRequestsAreNamed) {
  const Served api;
  const auto refused = [&](const Json& more) {
    const Json error = api.post("/v1/completions", with({{"prompt", "a"}}, more), 400)["error"];
    return error["param"].get<std::string>() + ": " + error["message"].get<std::string>();
  };
  EXPECT_EQ(refused({{"gen_config", 7}}), "gen_config: gen_config must be an object");
  EXPECT_EQ(refused({{"gen_config", {{"temperature", 9}}}}),
            "gen_config.temperature: gen_config.temperature must be between 0 and 2");
  EXPECT_EQ(refused({{"gen_config", {{"num_beams", 2}}}}),
            "gen_config.num_beams: gen_config.num_beams is not taken here; OpenAI's shape of this "
            "route has it");
  EXPECT_EQ(refused({{"gen_config", {{"stop", ""}}}}),
            "gen_config.stop: gen_config.stop strings must not be empty");
  EXPECT_EQ(refused({{"gen_config", {{"stop", "a"}, {"stop_strings", "b"}}}}),
            "gen_config.stop_strings: gen_config.stop_strings is another name of stop; give one of "
            "them");
  EXPECT_EQ(refused({{"gen_config", {{"top_k", 3}}}, {"top_k", 4}}),
            "gen_config.top_k: gen_config.top_k is given beside gen_config, too");
  EXPECT_EQ(refused({{"gen_config", Json::object()}, {"logprobs", 1}}),
            "logprobs: logprobs has no place beside gen_config or mlperf_mode");
  const Json unknown = api.post("/v1/completions", with(kPace, {{"model", "gpt-9"}}), 404)["error"];
  EXPECT_EQ(unknown["code"], "model_not_found");
  EXPECT_EQ(unknown["type"], "invalid_request_error");
}

TEST(PaceCompletions, WhatGenConfigDoesNotKnowIsCounted) {
  const Served api;
  const Json body = {{"prompt", "ab"},
                     {"gen_config", {{"max_new_tokens", 2}, {"return_text", true}}}};
  api.post("/v1/completions", body);
  const std::string metrics = api.ask("GET", "/metrics", "").body;
  EXPECT_NE(metrics.find("\nllm:unknown_request_fields_total 1\n"), std::string::npos);
}

TEST(PaceCompletions, AnAnswerIsKeptAndGivenAgainUnderTheIdOfItsRequest) {
  const Served api;
  const auto once = api.ask("POST", "/v1/completions", kPace.dump(), "X-Request-ID: a\r\n");
  const auto again = api.ask("POST", "/v1/completions", kPace.dump(), "X-Request-ID: b\r\n");
  EXPECT_EQ(once.header("X-Cache"), "");
  EXPECT_EQ(again.header("X-Cache"), "hit");
  EXPECT_EQ(Json::parse(once.body)["request_id"], "a");
  EXPECT_EQ(Json::parse(again.body), with(Json::parse(once.body), {{"request_id", "b"}}));
}

}  // namespace
}  // namespace llm::test
