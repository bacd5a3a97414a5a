#include "model/kernels/cpu_backend.h"
#include "text/language_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"
#include "base/sealed_file.h"
#include "base/utf8.h"
#include "serving/autoregressive.h"
#include "text/text_model.h"
#include "tests/support/expect_error.h"
#include "tests/text/text_models.h"
#include "tokenizer/chat_prompt.h"

namespace llm {
namespace {

using Ids = std::vector<int32_t>;
using test::write_text_model;

GenerationConfig greedy(const LanguageModel& model, int64_t new_tokens = 12) {
  GenerationConfig config = model.generation_defaults();
  config.temperature = 0;
  config.max_new_tokens = new_tokens;
  config.ignore_eos = true;
  return config;
}

/// What the verbs make of the same request.
GenerationResult by_decoder(const std::filesystem::path& path, const Ids& prompt,
                            const GenerationConfig& config) {
  const TextModel text = open_text_model({.model = path.string()}, {});
  const auto requests = text_requests({&prompt, 1}, freeze(config, limits_of(text)), text);
  return Autoregressive(*text.loaded.model).generate(requests)[0];
}

/// Packed, and through LibTorch, which this test is not linked with.
class LanguageModelKinds : public testing::TestWithParam<const char*> {};

TEST_P(LanguageModelKinds, PromptIdsLeadTheOutputAndTheRestIsWhatADecoderGives) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, GetParam()).string());
  const Ids prompt = model.encode("The cat");
  ASSERT_EQ(prompt.size(), 7u);
  const GeneratedText text = model.generate("The cat", greedy(model));
  const GenerationResult wanted = by_decoder(folder.path(), prompt, greedy(model));
  EXPECT_EQ(text.prompt_tokens, 7u);
  EXPECT_EQ(Ids(text.ids.begin(), text.ids.begin() + 7), prompt);
  EXPECT_EQ(Ids(text.new_ids().begin(), text.new_ids().end()), wanted.token_ids);
  EXPECT_EQ(text.new_ids().size(), 12u);
  EXPECT_EQ(text.text, wanted.text);
  EXPECT_EQ(text.finish_reason, "length");
  EXPECT_EQ(model.generate(prompt, greedy(model)).ids, text.ids);
}

TEST_P(LanguageModelKinds, AskedFromItsOwnCallbackItRefusesAndGoesOnAfterwards) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, GetParam()).string());
  const auto again = [&](std::string_view) {
    model.generate("a", greedy(model));
    return true;
  };
  expect_error_with([&] { model.generate("The cat", greedy(model), again); }, Exit::usage,
                    "asked from its own on_text");
  EXPECT_EQ(model.generate("The cat", greedy(model)).new_ids().size(), 12u);
}

TEST_P(LanguageModelKinds, StreamedPiecesAreTheTextAndWholeCharacters) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, GetParam()).string());
  GenerationConfig config = greedy(model, 40);
  config.temperature = 2;
  for (config.seed = 0; config.seed < 5; ++config.seed) {
    std::string streamed;
    const GeneratedText text = model.generate("caf\xc3\xa9", config, [&](std::string_view piece) {
      EXPECT_TRUE(utf8::is_valid(piece));
      EXPECT_FALSE(piece.empty());
      streamed += piece;
      return true;
    });
    EXPECT_EQ(streamed, text.text);
    EXPECT_EQ(text.text, model.generate("caf\xc3\xa9", config).text);
    EXPECT_EQ(text.seed, static_cast<uint64_t>(config.seed));
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, LanguageModelKinds, testing::Values("llama", "gpt2"));

TEST(LanguageModel, OneTypeGivesTwoModelsWhatEachGivesAlone) {
  const TemporaryFolder first, second;
  const auto llama = write_text_model(first, "llama").string();
  const auto gpt2 = write_text_model(second, "gpt2").string();
  std::vector<GeneratedText> in_turn;
  LanguageModel model(llama);
  in_turn.push_back(model.generate("abc", greedy(model)));
  model = LanguageModel(gpt2);
  in_turn.push_back(model.generate("abc", greedy(model)));
  model = LanguageModel(llama);
  in_turn.push_back(model.generate("abc", greedy(model)));
  EXPECT_EQ(in_turn[0].ids, in_turn[2].ids);
  EXPECT_NE(in_turn[0].ids, in_turn[1].ids);
  EXPECT_EQ(in_turn[1].text, by_decoder(gpt2, model.encode("abc"), greedy(model)).text);
}

TEST_P(LanguageModelKinds, EncryptedWeightsGiveTheSameText) {
  const TemporaryFolder folder;
  const std::string path = write_text_model(folder, GetParam()).string();
  LanguageModel plain(path);
  const std::string wanted = plain.generate("abc", greedy(plain)).text;
  const std::string key_file = folder.write("key", std::string(32, 'k')).string();
  const std::string weights = folder.read("model.safetensors");
  {
    OutputFile file = OutputFile::create(folder / "model.safetensors");
    SealedWriter writer(file, read_encryption_key(key_file));
    writer.write(std::as_bytes(std::span(weights)));
    writer.finish();
  }
  LanguageModel sealed(path, {.encryption_key_file = key_file});
  EXPECT_EQ(sealed.generate("abc", greedy(sealed)).text, wanted);
  expect_error([&] { LanguageModel model(path); }, Exit::bad_input,
               fmt::format("'{}' is encrypted: give --encryption-key-file",
                           (folder / "model.safetensors").string()));
}

TEST(LanguageModel, ACallbackMayEndTheText) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  std::string streamed;
  const GeneratedText text = model.generate("abc", greedy(model, 50), [&](std::string_view piece) {
    streamed += piece;
    return streamed.size() < 3;
  });
  EXPECT_EQ(text.finish_reason, "cancelled");
  EXPECT_EQ(streamed.size(), 3u);
  EXPECT_EQ(text.text.substr(0, 3), streamed);
  EXPECT_LT(text.new_ids().size(), 6u);
}

TEST(LanguageModel, WhatACallbackThrowsTheCallThrowsAndTheModelGoesOn) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  const std::string wanted = model.generate("abc", greedy(model)).text;
  EXPECT_THROW(model.generate("abc", greedy(model),
                              [](std::string_view) -> bool { throw std::out_of_range("mine"); }),
               std::out_of_range);
  EXPECT_EQ(model.generate("abc", greedy(model)).text, wanted);
}

TEST(LanguageModel, ManyPromptsAreEachWhatTheyAreAlone) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  GenerationConfig config = greedy(model);
  config.temperature = 1;
  config.seed = 3;
  config.num_return_sequences = 2;
  const std::vector<GeneratedText> all = model.generate_all({"abc", "x", ""}, config, 4);
  ASSERT_EQ(all.size(), 6u);
  config.num_return_sequences = 1;
  EXPECT_EQ(all[0].ids, model.generate("abc", config).ids);
  EXPECT_NE(all[0].ids, all[1].ids);
  EXPECT_EQ(all[2].ids, model.generate("x", config).ids);
  EXPECT_EQ(all[4].ids[0], test::kEnd) << "an empty prompt stands between two documents";
}

TEST(LanguageModel, BeamsGiveTheBestText) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  GenerationConfig config = greedy(model);
  config.num_beams = 4;
  EXPECT_EQ(model.generate("abc", config).text,
            by_decoder(folder.path(), model.encode("abc"), config).text);
}

TEST(LanguageModel, DefaultsAreTheModelsOwn) {
  const TemporaryFolder folder;
  write_text_model(folder, "llama");
  folder.write("generation_config.json", R"({"temperature": 0.25, "top_k": 7, "eos_token_id": 9})");
  const LanguageModel model(folder.path().string());
  const GenerationConfig config = model.generation_defaults();
  EXPECT_EQ(config.temperature, 0.25);
  EXPECT_EQ(config.top_k, 7);
  EXPECT_EQ(config.max_new_tokens, 100);
  EXPECT_EQ(config.eos_token_id, (std::vector<int64_t>{9, test::kEnd}));
}

constexpr const char* kTemplate =
    "{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}{% if "
    "add_generation_prompt %}<s>assistant {% endif %}";

TEST(LanguageModel, AChatIsWhatTheTemplateMakesOfIt) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama", kTemplate).string());
  EXPECT_TRUE(model.has_chat_template());
  const GeneratedText reply = model.chat({{"system", "be brief"}, {"user", "hi"}}, greedy(model));
  Ids wanted;
  for (const char* said : {"system be brief", "user hi", "assistant "}) {
    const Ids ids = test::letters()->encode(said);
    wanted.push_back(test::kStart);
    wanted.insert(wanted.end(), ids.begin(), ids.end());
    wanted.push_back(test::kEnd);
  }
  wanted.pop_back();
  EXPECT_EQ(Ids(reply.ids.begin(), reply.ids.begin() + static_cast<int64_t>(reply.prompt_tokens)),
            wanted);
  EXPECT_EQ(reply.text, by_decoder(folder.path(), wanted, greedy(model)).text);
}

TEST(LanguageModel, AChatWithoutTemplateIsPlainText) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  EXPECT_FALSE(model.has_chat_template());
  const GeneratedText reply = model.chat(
      {{"system", "S"}, {"user", "ab"}, {"assistant", "cd"}, {"user", "ef"}}, greedy(model, 3));
  EXPECT_EQ(model.decode(std::span(reply.ids).first(reply.prompt_tokens)), "S\nabcd\nef");
}

TEST(LanguageModel, TheNextTurnFindsWhatTheLastOneComputed) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  const std::string said(50, 'a');
  const GeneratedText first = model.chat({{"user", said}}, greedy(model, 3));
  EXPECT_EQ(first.cached_tokens, 0);
  const GeneratedText second =
      model.chat({{"user", said}, {"assistant", first.text}, {"user", "b"}}, greedy(model, 3));
  LanguageModel fresh(folder.path().string());
  const GeneratedText alone =
      fresh.chat({{"user", said}, {"assistant", first.text}, {"user", "b"}}, greedy(model, 3));
  EXPECT_EQ(second.ids, alone.ids);
  EXPECT_EQ(second.cached_tokens, has_cpu_backend() ? 32 : 0);
}

TEST(LanguageModel, RefusesByName) {
  const TemporaryFolder folder;
  LanguageModel model(write_text_model(folder, "llama").string());
  expect_error_with([] { LanguageModel("/nowhere/at/all"); }, Exit::bad_input, "/nowhere/at/all");
  const std::string path = folder.path().string();
  expect_error_with([&] { LanguageModel(path, {.threads = -1}); }, Exit::usage, "threads -1");
  GenerationConfig config = greedy(model);
  config.num_return_sequences = 3;
  expect_error_with([&] { model.generate("a", config); }, Exit::usage, "num_return_sequences 3");
  config = greedy(model);
  config.top_p = 2;
  expect_error_with([&] { model.generate("a", config); }, Exit::usage, "top_p");
  expect_error_with([&] { model.generate(Ids{1000}, greedy(model)); }, Exit::usage, "1000");
  expect_error_with([&] { model.generate(std::string(1000, 'a'), greedy(model)); }, Exit::usage,
                    "context");
  expect_error_with([&] { model.chat({}, greedy(model)); }, Exit::usage, "no message");
}

}  // namespace
}  // namespace llm
