#include "serving/http/api/completions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/api/served.h"

namespace llm {
namespace {

using test::greedy_text;
using test::Json;
using test::LetterTokenizer;
using test::Served;
using test::with;

const Json kGreedy = {{"prompt", "ab"}, {"max_tokens", 8}, {"temperature", 0}};

TEST(Completions, GreedyTextIsTheModelsOwn) {
  const Served api;
  const Json answer = api.post("/v1/completions", kGreedy);
  const std::string expected = greedy_text(api.model, LetterTokenizer().encode("ab"), 8);
  EXPECT_EQ(answer["choices"][0]["text"], expected);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["model"], "letters");
  EXPECT_EQ(answer["usage"], Json::parse(R"({"prompt_tokens": 2, "completion_tokens": 8,
      "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 0}})"));
  EXPECT_EQ(answer["timings"]["predicted_n"], 8);
}

TEST(Completions, PromptsMayBeTextsIdsOrLists) {
  const Served api;
  const auto ids = LetterTokenizer().encode("ab"), other = LetterTokenizer().encode("c");
  const auto texts = [&](const Json& prompt) {
    std::vector<std::string> all;
    const Json answer = api.post("/v1/completions", with(kGreedy, {{"prompt", prompt}}));
    for (const Json& choice : answer["choices"]) {
      EXPECT_EQ(choice["index"], all.size());
      all.push_back(choice["text"]);
    }
    return all;
  };
  const std::string ab = greedy_text(api.model, ids, 8), c = greedy_text(api.model, other, 8);
  EXPECT_EQ(texts("ab"), std::vector<std::string>{ab});
  EXPECT_EQ(texts(ids), std::vector<std::string>{ab});
  EXPECT_EQ(texts({"ab", "c"}), (std::vector<std::string>{ab, c}));
  EXPECT_EQ(texts(Json::array({ids, other, ids})), (std::vector<std::string>{ab, c, ab}));
}

TEST(Completions, AGrammarThatExplodesOnTheWayIsTheRequestsFault) {
  const Served api;
  std::string grammar = "root ::= [a-z ] r0\n";
  for (int i = 0; i < 20; ++i) {
    const std::string rule = "r" + std::to_string(i), next = "r" + std::to_string(i + 1);
    grammar += rule + " ::= " + next + " \"a\" | " + next + " \"b\"\n";
  }
  const Json answer =
      api.post("/v1/completions", with(kGreedy, {{"grammar", grammar + "r20 ::= \"x\"\n"}}), 400);
  EXPECT_EQ(answer["error"]["code"], "unsupported_schema");
  EXPECT_EQ(answer["error"]["message"], "grammar: more than 65536 live stacks at one place");
}

TEST(Completions, PaddingOnTheLeftIsNoPartOfARow) {
  const Served api;
  const Json ab = LetterTokenizer().encode("ab"), c = LetterTokenizer().encode("c");
  const Json padded_c = Json::array({0, 0, c[0]});
  Json body =
      with(kGreedy,
           {{"prompt", Json::array({ab, padded_c})}, {"echo", true}, {"logprobs", 2}, {"seed", 7}});
  const Json batch = api.post("/v1/completions", body);
  EXPECT_EQ(batch["usage"]["prompt_tokens"], 3);
  int index = 0;
  for (const Json& alone : {ab, c}) {  // the same bits: texts, log probabilities, places
    body["prompt"] = alone;
    Json choice = api.post("/v1/completions", body)["choices"][0];
    choice["index"] = index;
    EXPECT_EQ(batch["choices"][static_cast<size_t>(index++)], choice);
  }
  EXPECT_EQ(api.post("/embed", {{"input", Json::array({padded_c, ab})}}),
            api.post("/embed", {{"input", Json::array({c, ab})}}));
  EXPECT_EQ(api.post("/v1/embeddings", {{"input", padded_c}}),
            api.post("/v1/embeddings", {{"input", c}}));
  const Json generate = {{"max_tokens", 5}, {"temperature", 0}};
  EXPECT_EQ(api.post("/generate", with(generate, {{"prompt", padded_c}}))["choices"],
            api.post("/generate", with(generate, {{"prompt", "c"}}))["choices"]);
}

TEST(Completions, PaddingOnTheRightIsRefused) {
  const Served api;
  const std::string rule =
      " ends with padding, token 0 (<pad>): pad on the left (padding_side=\"left\" of a Hugging "
      "Face tokenizer) or send rows of their own lengths";
  const auto refused = [&](const std::string& path, const std::string& field, const Json& rows) {
    return api.post(path, {{field, rows}}, 400)["error"];
  };
  const Json second = Json::array({{100, 101}, {100, 0}}), only = {100, 0, 0};
  for (const auto& [path, field] :
       std::vector<std::pair<std::string, std::string>>{{"/v1/completions", "prompt"},
                                                        {"/generate", "prompt"},
                                                        {"/generate", "inputs"},
                                                        {"/v1/embeddings", "input"},
                                                        {"/embed", "input"}}) {
    const Json error = refused(path, field, second);
    EXPECT_EQ(error["message"], field + "[1]" + rule) << path;
    EXPECT_EQ(error["param"], field + "[1]") << path;
    EXPECT_EQ(refused(path, field, only)["message"], field + rule) << path;
  }
  EXPECT_EQ(refused("/v1/completions", "prompt", Json::array({{0, 0}}))["message"],
            "prompt[0] holds nothing but padding, token 0 (<pad>)");
  EXPECT_EQ(api.post("/detokenize", {{"tokens", {100, 0, 0}}})["prompt"],
            "a<pad><pad>");  // is no prompt
}

TEST(Completions, WhatAlsoEndsTextsIsNoPadding) {
  const Served api({}, [](auto& options, auto&) { options.defaults.eos_token_id = {2, 0}; });
  const Json ids = {0, 100, 0};
  const Json answer = api.post("/v1/completions", with(kGreedy, {{"prompt", ids}}));
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(answer["choices"][0]["text"], greedy_text(api.model, {0, 100, 0}, 8));
}

TEST(Completions, ChoicesAreIndexedPromptByPrompt) {
  const Served api;
  const Json answer = api.post(
      "/v1/completions",
      {{"prompt", {"ab", "c"}}, {"max_tokens", 6}, {"n", 3}, {"seed", 5}, {"temperature", 1}});
  ASSERT_EQ(answer["choices"].size(), 6u);
  const Json alone =
      api.post("/v1/completions",
               {{"prompt", "c"}, {"max_tokens", 6}, {"n", 3}, {"seed", 5}, {"temperature", 1}});
  for (size_t k = 0; k < 3; ++k)
    EXPECT_EQ(answer["choices"][3 + k]["text"], alone["choices"][k]["text"]);
  EXPECT_NE(alone["choices"][0]["text"], alone["choices"][1]["text"]);
}

// What lm-eval's local-completions asks, and how it reads the answer.
TEST(Completions, EchoedLogprobsAreTheModelsOfEveryPromptToken) {
  const Served api;
  const auto ids = LetterTokenizer().encode("hello");
  for (const int max_tokens : {0, 1}) {
    const Json answer = api.post("/v1/completions", {{"prompt", Json::array({ids})},
                                                     {"max_tokens", max_tokens},
                                                     {"logprobs", 1},
                                                     {"echo", true},
                                                     {"temperature", 0},
                                                     {"seed", 1234}});
    const Json& logprobs = answer["choices"][0]["logprobs"];
    ASSERT_EQ(logprobs["token_logprobs"].size(), 5u + static_cast<size_t>(max_tokens));
    EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
    std::vector<float> logits(LetterTokenizer::kVocab);
    for (size_t i = 1; i < 5; ++i) {
      api.model.write({ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i)}, logits);
      EXPECT_EQ(logprobs["token_logprobs"][i].get<double>(), log_probability(logits, ids[i]));
      const int32_t best = argmax(logits);
      const Json& top = logprobs["top_logprobs"][i];
      EXPECT_EQ(top.size(), best == ids[i] ? 1u : 2u);
      EXPECT_EQ(top[std::string(LetterTokenizer().token_bytes(best))].get<double>(),
                log_probability(logits, best));
    }
    const std::string text = answer["choices"][0]["text"];
    EXPECT_EQ(text.substr(0, 5), "hello");
    EXPECT_EQ(logprobs["text_offset"][4], 4);
  }
}

TEST(Completions, StreamedPiecesAddUpToTheWholeAnswer) {
  const Served api;
  for (const Json& more : {Json::object(), Json{{"stop", "e"}}, Json{{"logprobs", 2}},
                           Json{{"n", 2}, {"temperature", 1}, {"seed", 3}}}) {
    const Json body = with(with(kGreedy, {{"max_tokens", 30}}), more);
    const Json whole = api.post("/v1/completions", body);
    std::vector<std::string> texts(whole["choices"].size());
    std::vector<Json> reasons(texts.size());
    const auto events =
        api.events("/v1/completions",
                   with(body, {{"stream", true}, {"stream_options", {{"include_usage", true}}}}));
    for (const Json& event : events) {
      EXPECT_EQ(event["id"], events[0]["id"]);
      if (event["choices"].empty()) {
        EXPECT_EQ(event, events.back());
        EXPECT_EQ(event["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
        continue;
      }
      EXPECT_TRUE(event["usage"].is_null());
      const Json& choice = event["choices"][0];
      texts[choice["index"]] += choice["text"].get<std::string>();
      if (!choice["finish_reason"].is_null()) reasons[choice["index"]] = choice["finish_reason"];
    }
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(texts[i], whole["choices"][i]["text"]);
      EXPECT_EQ(reasons[i], whole["choices"][i]["finish_reason"]);
    }
  }
}

TEST(Completions, BestOfIsTheMostProbableOfThem) {
  const Served api;
  const Json sampled = {{"prompt", "ab"}, {"max_tokens", 6}, {"temperature", 1}, {"seed", 7}};
  const Json best = api.post("/v1/completions", with(sampled, {{"best_of", 8}, {"logprobs", 0}}));
  const Json all = api.post("/v1/completions", with(sampled, {{"n", 8}, {"logprobs", 0}}));
  double highest = -1e9;
  std::string text;
  for (const Json& choice : all["choices"]) {
    double sum = 0;
    for (const double logprob : choice["logprobs"]["token_logprobs"]) sum += logprob;
    if (sum > highest) highest = sum, text = choice["text"];
  }
  ASSERT_EQ(best["choices"].size(), 1u);
  EXPECT_EQ(best["choices"][0]["text"], text);
  EXPECT_EQ(best["usage"]["completion_tokens"], 48);
}

TEST(Completions, LogitBiasAndGrammarBindTheText) {
  const Served api;
  const std::string z = std::to_string(LetterTokenizer::id_of('z'));
  EXPECT_EQ(api.post("/v1/completions",
                     with(kGreedy, {{"logit_bias", {{z, 100}}}}))["choices"][0]["text"],
            "zzzzzzzz");
  EXPECT_EQ(
      api.post("/v1/completions",
               with(kGreedy,
                    {{"grammar", "root ::= \"x\" [0-9] \"y\""}}))["choices"][0]["finish_reason"],
      "stop");
}

TEST(Completions, ADeterministicAnswerIsKeptASampledOneIsNot) {
  const Served api;
  const std::string greedy = kGreedy.dump();
  EXPECT_EQ(api.ask("POST", "/v1/completions", greedy).header("X-Cache"), "");
  const auto again = api.ask("POST", "/v1/completions", greedy);
  EXPECT_EQ(again.header("X-Cache"), "hit");
  EXPECT_EQ(api.get("/stats")["response_cache_hits"], 1);
  const std::string sampled = R"({"prompt":"ab","max_tokens":4,"temperature":1})";
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(api.ask("POST", "/v1/completions", sampled).header("X-Cache"), "");
}

TEST(Completions, AKeptAnswerIsGivenToTheSameRequestOnly) {
  const Served api;
  const std::string body = kGreedy.dump(), length = std::to_string(body.size());
  const auto ask = [&](const std::string& headers) {
    http::RawClient client(api.server->port());
    client.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length +
                "\r\n" + headers + "\r\n" + body);
    return client.read_answer(20);
  };
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_EQ(ask(json).status, 200);
  for (const std::string& headers : {std::string(), std::string("Content-Type: text/plain\r\n"),
                                     json + "Content-Encoding: gzip\r\n"}) {
    const auto answer = ask(headers);
    EXPECT_EQ(answer.status, 415) << headers;
    EXPECT_EQ(answer.header("X-Cache"), "") << headers;
    EXPECT_EQ(Json::parse(answer.body)["error"]["code"], "unsupported_media_type") << headers;
  }
  EXPECT_EQ(ask(json).header("X-Cache"), "hit");
}

struct BadBody {
  const char* body;
  int status;
  const char* code;
  const char* message;
};

TEST(Completions, BadBodiesAreNamed) {
  const Served api;
  const BadBody cases[] = {
      {"", 400, "invalid_json", "request body is empty"},
      {"{\"prompt\":", 400, "invalid_json", "invalid JSON at byte 10: unexpected end"},
      {"[]", 400, "invalid_type", "body must be a JSON object"},
      {"{}", 400, "missing_field", "'prompt' is required"},
      {R"({"prompt":"a","model":"gpt-9"})", 404, "model_not_found",
       "model 'gpt-9' is not served; available: letters"},
      {R"({"prompt":"a","n":1000000})", 400, "out_of_range", "n must be between 1 and 16"},
      {R"({"prompt":"a","max_tokens":1.5})", 400, "invalid_value",
       "max_tokens must be a whole number from 0 to 256"},
      {R"({"prompt":"a","temperature":9})", 400, "out_of_range",
       "temperature must be between 0 and 2"},
      {R"({"prompt":[5,99999]})", 400, "invalid_token",
       "prompt[1] = 99999 is not below vocab_size 259"},
      {R"({"prompt":[5,1e30]})", 400, "invalid_token",
       "prompt[1] = 1e+30 is not below vocab_size 259"},
      {R"({"prompt":[-1]})", 400, "invalid_value",
       "prompt[0] must be a whole number from 0 to 258"},
      {R"({"prompt":[1,"a"]})", 400, "invalid_value",
       "prompt[1] must be a whole number from 0 to 258"},
      {R"({"prompt":"a","logit_bias":{"5":1,"05":2}})", 400, "invalid_value",
       "logit_bias id 05 is out of range"},
      {R"({"prompt":"a","stop":[""]})", 400, "invalid_value", "stop strings must not be empty"},
      {R"({"prompt":"a","stop":["a","b","c","d","e"]})", 400, "invalid_value",
       "stop: at most 4 stop strings"},
      {R"({"prompt":"a","logit_bias":{"99999":5}})", 400, "invalid_value",
       "logit_bias id 99999 is out of range"},
      {R"({"prompt":"a","logprobs":99})", 400, "invalid_value", "logprobs must be between 0 and 5"},
      {R"({"prompt":"a","best_of":1,"n":2})", 400, "invalid_value", "best_of must be at least n"},
      {R"({"prompt":[]})", 400, "invalid_value",
       "prompt must be a text, a list of texts, token ids or lists of token ids"},
      {R"({"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","properties":{"a":{"$ref":"#/properties/a"}}}}}})",
       400, "unsupported_schema", "$ref cycles are not supported (properties.a)"},
  };
  for (const BadBody& bad : cases) {
    const auto answer = api.ask("POST", "/v1/completions", bad.body);
    EXPECT_EQ(answer.status, bad.status) << bad.body << answer.body;
    const Json error = Json::parse(answer.body)["error"];
    EXPECT_EQ(error["code"], bad.code) << bad.body;
    EXPECT_EQ(error["message"], bad.message) << bad.body;
  }
  const auto too_long =
      api.ask("POST", "/v1/completions", Json{{"prompt", std::string(300, 'a')}}.dump());
  EXPECT_EQ(Json::parse(too_long.body)["error"]["message"],
            "prompt is 300 tokens; this model allows 256");
  EXPECT_EQ(Json::parse(too_long.body)["error"]["code"], "context_length_exceeded");
}

}  // namespace
}  // namespace llm
