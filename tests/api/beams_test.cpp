// Beam search over HTTP: all its texts, whole and streamed, with their log probabilities.
#include <gtest/gtest.h>

#include <map>

#include "tests/api/served.h"

namespace llm::test {
namespace {

const Json kSearch = {{"max_tokens", 6}, {"num_beams", 4}, {"n", 3}};
const Json kStreamed = {{"stream", true}, {"stream_options", {{"include_usage", true}}}};

/// The choices of a streamed answer as a whole one has them, by index.
struct Collected {
  std::map<size_t, Json> choices;
  Json usage;
};

Collected collect_completion(const std::vector<Json>& events) {
  Collected all;
  for (const Json& event : events) {
    if (event["choices"].empty()) all.usage = event["usage"];
    for (const Json& piece : event["choices"]) {
      Json& choice = all.choices[piece["index"]];
      if (choice.is_null())
        choice = {{"index", piece["index"]},
                  {"text", ""},
                  {"logprobs", nullptr},
                  {"finish_reason", nullptr}};
      choice["text"] = choice["text"].get<std::string>() + piece["text"].get<std::string>();
      if (!piece["logprobs"].is_null()) choice["logprobs"] = piece["logprobs"];
      if (!piece["finish_reason"].is_null()) choice["finish_reason"] = piece["finish_reason"];
    }
  }
  return all;
}

TEST(Beams, EveryTextOfACompletionIsAChoice) {
  const Served api;
  for (const Json& more : {Json::object(), Json{{"logprobs", 2}}, Json{{"echo", true}}}) {
    const Json body = with(with(kSearch, {{"prompt", {"ab", "c"}}}), more);
    const Json whole = api.post("/v1/completions", body);
    ASSERT_EQ(whole["choices"].size(), 6u);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(whole["choices"][i]["index"], i);
    EXPECT_NE(whole["choices"][0]["text"], whole["choices"][1]["text"]);
    EXPECT_EQ(whole["usage"]["completion_tokens"], 36);
    EXPECT_EQ(whole["usage"]["prompt_tokens"], 3);
    const Collected streamed =
        collect_completion(api.events("/v1/completions", with(body, kStreamed)));
    ASSERT_EQ(streamed.choices.size(), 6u) << more;
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(streamed.choices.at(i), whole["choices"][i]) << more;
    EXPECT_EQ(streamed.usage, whole["usage"]);
  }
}

TEST(Beams, LogprobsHaveTheMostProbableTokensOfEachPlace) {
  const Served api;
  const Json body = with(kSearch, {{"prompt", "ab"}, {"logprobs", 2}});
  const Json answer = api.post("/v1/completions", body);
  for (const Json& choice : answer["choices"]) {
    const Json& logprobs = choice["logprobs"];
    std::vector<int32_t> ids = LetterTokenizer().encode("ab");
    const std::string text = choice["text"];
    ASSERT_EQ(logprobs["tokens"].size(), 6u);
    std::vector<float> logits(LetterTokenizer::kVocab);
    for (size_t i = 0; i < 6; ++i) {
      api.model.write(ids, logits);
      const int32_t id = LetterTokenizer::id_of(text[i]);
      EXPECT_EQ(logprobs["token_logprobs"][i].get<double>(), log_probability(logits, id));
      const auto best = top_log_probabilities(logits, 2);
      const bool among = best[0].id == id || best[1].id == id;
      EXPECT_EQ(logprobs["top_logprobs"][i].size(), among ? 2u : 3u);
      for (const TokenLogprob& one : best)
        EXPECT_EQ(logprobs["top_logprobs"][i][std::string(LetterTokenizer().token_bytes(one.id))],
                  one.logprob);
      ids.push_back(id);
    }
  }
}

TEST(Beams, AnEchoedPromptHasTheLogprobsOfAPlainRequest) {
  const Served api;
  for (const int max_tokens : {0, 3}) {
    for (const int n : {1, 2}) {
      const Json body = {{"prompt", "Line 7"}, {"max_tokens", max_tokens}, {"echo", true},
                         {"logprobs", 1},      {"temperature", 0},         {"n", n}};
      const Json plain = api.post("/v1/completions", body);
      const Json beams = api.post("/v1/completions", with(body, {{"num_beams", 2}}));
      ASSERT_EQ(beams["choices"].size(), static_cast<size_t>(n));
      for (const Json& choice : beams["choices"]) {
        const Json &got = choice["logprobs"], &wanted = plain["choices"][0]["logprobs"];
        EXPECT_EQ(got["tokens"].size(), 6u + static_cast<size_t>(max_tokens));
        for (size_t i = 0; i < 6; ++i) {
          EXPECT_EQ(got["token_logprobs"][i], wanted["token_logprobs"][i]);
          EXPECT_EQ(got["top_logprobs"][i], wanted["top_logprobs"][i]);
          EXPECT_EQ(got["text_offset"][i], i);
        }
      }
    }
  }
}

TEST(Beams, AServersOwnBeamsAnswerLogLikelihoods) {
  const Served api({}, [](auto& options, auto&) { options.defaults.num_beams = 2; });
  const Json body = {
      {"prompt", "Line 7"}, {"max_tokens", 1}, {"echo", true}, {"logprobs", 1}, {"temperature", 0}};
  EXPECT_EQ(api.post("/v1/completions", body)["choices"][0]["logprobs"]["tokens"].size(), 7u);
}

TEST(Beams, EveryTextOfAChatIsAChoice) {
  const Served api;
  const Json body = with(kSearch, {{"messages", {{{"role", "user"}, {"content", "hi"}}}},
                                   {"logprobs", true},
                                   {"top_logprobs", 2}});
  const Json whole = api.post("/v1/chat/completions", body);
  ASSERT_EQ(whole["choices"].size(), 3u);
  EXPECT_EQ(whole["usage"]["completion_tokens"], 18);
  std::map<size_t, std::string> texts;
  std::map<size_t, Json> logprobs, reasons;
  std::map<size_t, int> roles;
  Json usage;
  for (const Json& event : api.events("/v1/chat/completions", with(body, kStreamed))) {
    if (event["choices"].empty()) usage = event["usage"];
    for (const Json& piece : event["choices"]) {
      const size_t index = piece["index"];
      if (piece["delta"].contains("role")) ++roles[index];
      texts[index] += piece["delta"].value("content", "");
      if (!piece["logprobs"].is_null()) logprobs[index] = piece["logprobs"]["content"];
      if (!piece["finish_reason"].is_null()) reasons[index] = piece["finish_reason"];
    }
  }
  EXPECT_EQ(usage, whole["usage"]);
  for (size_t i = 0; i < 3; ++i) {
    const Json& choice = whole["choices"][i];
    EXPECT_EQ(choice["index"], i);
    EXPECT_EQ(texts[i], choice["message"]["content"]);
    EXPECT_EQ(logprobs[i], choice["logprobs"]["content"]);
    EXPECT_EQ(choice["logprobs"]["content"].size(), 6u);
    EXPECT_EQ(choice["logprobs"]["content"][0]["top_logprobs"].size(), 2u);
    EXPECT_EQ(reasons[i], choice["finish_reason"]);
    EXPECT_EQ(roles[i], 1);
  }
}

TEST(Beams, GenerateCountsAndStreamsThemAll) {
  const Served api;
  const Json body = with(kSearch, {{"inputs", {"ab", "c"}}});
  const Json whole = api.post("/generate", body);
  EXPECT_EQ(whole["usage"], Json({{"prompt_tokens", 3}, {"completion_tokens", 36}}));
  ASSERT_EQ(whole["choices"].size(), 6u);
  const auto events = api.events("/generate", with(body, {{"stream", true}}));
  ASSERT_EQ(events.size(), 7u);
  std::map<size_t, std::string> texts;
  for (size_t i = 0; i < 6; ++i) texts[events[i]["index"]] += events[i]["text"].get<std::string>();
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(whole["choices"][i]["index"], i);
    EXPECT_EQ(texts[i], whole["choices"][i]["text"]);
    EXPECT_EQ(events[6]["choices"][i]["text"], whole["choices"][i]["text"]);
  }
}

TEST(Beams, ThereAreNChoicesUnlessAGrammarHasFewerTexts) {
  const Served api;
  const Json nothing = api.post(
      "/v1/completions", {{"prompt", "ab"}, {"max_tokens", 0}, {"n", 16}, {"num_beams", 16}});
  ASSERT_EQ(nothing["choices"].size(), 16u);
  EXPECT_EQ(nothing["choices"][15]["index"], 15);
  EXPECT_EQ(nothing["choices"][15]["text"], "");
  const Json few = {{"prompt", {"ab", "c"}},
                    {"max_tokens", 6},
                    {"n", 3},
                    {"num_beams", 3},
                    {"grammar", "root ::= \"xy\" | \"z\""}};
  const Json answer = api.post("/v1/completions", few);
  ASSERT_EQ(answer["choices"].size(), 4u);
  std::vector<int> indices;
  for (const Json& choice : answer["choices"]) indices.push_back(choice["index"]);
  EXPECT_EQ(indices, (std::vector<int>{0, 1, 3, 4}));
  const Collected streamed =
      collect_completion(api.events("/v1/completions", with(few, kStreamed)));
  ASSERT_EQ(streamed.choices.size(), 4u);
  EXPECT_EQ(streamed.choices.at(4), answer["choices"][3]);
}

}  // namespace
}  // namespace llm::test
