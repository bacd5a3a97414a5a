#include "serving/http/api/fill_in_middle.h"

#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm {
namespace {

using test::Json;
using test::LetterTokenizer;

/// Bytes as in LetterTokenizer, then the tokens of these names. `space`: a space before every text,
/// as SentencePiece models have it; `bos`: <s> before what a model reads.
class NamedTokenizer final : public Tokenizer {
 public:
  explicit NamedTokenizer(std::vector<std::string> names, bool space = false, bool bos = false)
      : names_(std::move(names)), space_(space), bos_(bos) {}
  std::vector<int32_t> encode(std::string_view text) const override {
    if (text.empty()) return {};
    return letters_.encode((space_ ? " " : "") + std::string(text));
  }
  std::vector<int32_t> with_template(std::vector<int32_t> ids) const override {
    if (bos_) ids.insert(ids.begin(), bos_id());
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) text += token_bytes(id);
    return text;
  }
  std::string_view token_bytes(int32_t id) const override {
    return id < LetterTokenizer::kVocab ? letters_.token_bytes(id) : std::string_view();
  }
  std::string_view token_text(int32_t id) const override {
    return id < LetterTokenizer::kVocab
               ? letters_.token_text(id)
               : std::string_view(names_[static_cast<size_t>(id - LetterTokenizer::kVocab)]);
  }
  std::optional<int32_t> find_token(std::string_view text) const override {
    for (int32_t id = LetterTokenizer::kVocab; id < vocab_size(); ++id)
      if (token_text(id) == text) return id;
    return std::nullopt;
  }
  bool is_special(int32_t id) const override {
    return id >= LetterTokenizer::kVocab || letters_.is_special(id);
  }
  int64_t vocab_size() const override { return LetterTokenizer::kVocab + std::ssize(names_); }
  int32_t pad_id() const override { return 0; }
  int32_t bos_id() const override { return 1; }
  int32_t eos_id() const override { return 2; }
  int32_t unk_id() const override { return -1; }
  int32_t mask_id() const override { return -1; }
  const std::string& sha256() const override { return letters_.sha256(); }
  std::string_view file_bytes() const override { return ""; }
  std::string_view file_name() const override { return "tokenizer.json"; }

 private:
  LetterTokenizer letters_;
  std::vector<std::string> names_;
  bool space_, bos_;
};

constexpr int32_t kFirst = LetterTokenizer::kVocab;

std::vector<int32_t> ids_of(std::vector<int32_t> ids, const std::string& a, int32_t between,
                            const std::string& b, int32_t last) {
  for (const char c : a) ids.push_back(LetterTokenizer::id_of(c));
  ids.push_back(between);
  for (const char c : b) ids.push_back(LetterTokenizer::id_of(c));
  ids.push_back(last);
  return ids;
}

TEST(FillInMiddle, FindsTheTokensUnderAllTheirNames) {
  const std::vector<std::vector<std::string>> kinds = {
      {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
      {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
      {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
      {"<PRE>", "<SUF>", "<MID>"},
      {"▁<PRE>", "▁<SUF>", "▁<MID>"},
      {"[PREFIX]", "[SUFFIX]", "[MIDDLE]"},
      {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}};
  for (const auto& names : kinds) {
    const auto found = api::fill_in_middle_of(NamedTokenizer(names), kFirst + 3);
    ASSERT_TRUE(found) << names[0];
    EXPECT_EQ(found->prefix, kFirst) << names[0];
    EXPECT_EQ(found->suffix, kFirst + 1) << names[0];
    EXPECT_EQ(found->middle, kFirst + 2) << names[0];
  }
}

TEST(FillInMiddle, AllThreeMustBeThere) {
  const std::vector<std::string> names = {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"};
  EXPECT_FALSE(api::fill_in_middle_of(LetterTokenizer(), kFirst));
  EXPECT_FALSE(api::fill_in_middle_of(NamedTokenizer({names[0], names[1]}), kFirst + 2));
  EXPECT_FALSE(api::fill_in_middle_of(NamedTokenizer({names[0], names[1], "<MID>"}), kFirst + 3));
  EXPECT_FALSE(api::fill_in_middle_of(NamedTokenizer(names), kFirst + 2));  // no row of the model
}

TEST(FillInMiddle, ThePromptIsPrefixSuffixMiddle) {
  const api::FillInMiddle tokens{kFirst + 1, kFirst + 2, kFirst};
  const NamedTokenizer plain({"<fim_middle>", "<fim_prefix>", "<fim_suffix>"});
  EXPECT_EQ(api::fill_in_middle_prompt(plain, tokens, "ab", "cd"),
            ids_of({kFirst + 1}, "ab", kFirst + 2, "cd", kFirst));
  EXPECT_EQ(api::fill_in_middle_prompt(plain, tokens, "", "cd"),
            ids_of({kFirst + 1}, "", kFirst + 2, "cd", kFirst));
  EXPECT_EQ(api::fill_in_middle_prompt(plain, tokens, "<fim_middle>", "x"),  // stays text
            ids_of({kFirst + 1}, "<fim_middle>", kFirst + 2, "x", kFirst));
}

TEST(FillInMiddle, StandsInsideTheTemplateWithoutASpaceBeforeTheEnd) {
  const NamedTokenizer llama({"▁<PRE>", "▁<SUF>", "▁<MID>"}, true, true);
  const api::FillInMiddle tokens{kFirst, kFirst + 1, kFirst + 2};
  EXPECT_EQ(api::fill_in_middle_prompt(llama, tokens, "ab", "cd"),
            ids_of({1, kFirst}, " ab", kFirst + 1, "cd", kFirst + 2));
  EXPECT_EQ(api::fill_in_middle_prompt(llama, tokens, "ab", " cd"),
            ids_of({1, kFirst}, " ab", kFirst + 1, " cd", kFirst + 2));
}

/// `llm api` for a model with such a tokenizer.
struct FillingServer {
  TemporaryFolder folder;
  NamedTokenizer tokenizer{{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}};
  CountingModel model{kFirst + 3, 256};
  api::ServedModel served{model, tokenizer, options(), engine()};
  api::ApiServer server{served, port()};

  static api::ServedModelOptions options() {
    api::ServedModelOptions all;
    all.name = "filler";
    all.defaults.eos_token_id = {2};
    return all;
  }
  static EngineOptions engine() {
    EngineOptions all;
    all.kv.max_blocks = 100;
    return all;
  }
  static api::ApiServerOptions port() {
    api::ApiServerOptions all;
    all.port = 0;
    return all;
  }
  Json post(const Json& body) const {
    http::RawClient client(server.port());
    const std::string text = body.dump();
    client.send(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: " +
        std::to_string(text.size()) + "\r\n\r\n" + text);
    return Json::parse(client.read_answer(20).body);
  }
};

TEST(FillInMiddle, ACompletionWithASuffixIsThatOfItsPrompt) {
  const FillingServer api;
  const Json base = {{"max_tokens", 12}, {"temperature", 0}};
  const auto prompt = ids_of({kFirst}, "ab", kFirst + 1, "cd", kFirst + 2);
  const Json wanted = api.post(test::with(base, {{"prompt", prompt}}));
  const Json filled = api.post(test::with(base, {{"prompt", "ab"}, {"suffix", "cd"}}));
  EXPECT_EQ(filled["choices"], wanted["choices"]) << filled;
  EXPECT_EQ(filled["usage"]["prompt_tokens"], 7);
  const Json plain = api.post(test::with(base, {{"prompt", "ab"}, {"suffix", ""}}));
  EXPECT_EQ(plain["usage"]["prompt_tokens"], 2);
  EXPECT_NE(plain["choices"][0]["text"], filled["choices"][0]["text"]);
  const Json two =
      api.post(test::with(base, {{"prompt", Json::array({"ab", "x"})}, {"suffix", "cd"}}));
  EXPECT_EQ(two["choices"][0]["text"], filled["choices"][0]["text"]);
  EXPECT_EQ(two["choices"].size(), 2u);
}

TEST(FillInMiddle, WhatHasNoMeaningIsRefusedByName) {
  const FillingServer api;
  const auto refused = [&](const Json& body) { return api.post(body)["error"]; };
  const Json ids = refused({{"prompt", Json::array({5, 6})}, {"suffix", "cd"}});
  EXPECT_EQ(ids["param"], "prompt");
  EXPECT_EQ(ids["message"], "prompt must be a text or a list of texts where there is a suffix");
  EXPECT_EQ(refused({{"prompt", Json::array()}, {"suffix", "cd"}})["param"], "prompt");
  EXPECT_EQ(refused({{"suffix", "cd"}})["code"], "missing_field");
  EXPECT_EQ(refused({{"prompt", "ab"}, {"suffix", "cd"}, {"echo", true}})["param"], "echo");
  EXPECT_EQ(refused({{"prompt", "ab"}, {"suffix", 7}})["param"], "suffix");
}

TEST(FillInMiddle, AModelWithoutTheTokensRefusesASuffix) {
  const test::Served api;
  const Json error =
      api.post("/v1/completions", {{"prompt", "ab"}, {"suffix", "cd"}}, 400)["error"];
  EXPECT_EQ(error["param"], "suffix");
  EXPECT_EQ(error["code"], "invalid_value");
  EXPECT_EQ(error["message"],
            "suffix needs a model with fill-in-the-middle tokens; this one has none");
  api.post("/v1/completions", {{"prompt", "ab"}, {"suffix", nullptr}, {"max_tokens", 1}});
}

}  // namespace
}  // namespace llm
