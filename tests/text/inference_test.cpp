// A LanguageModel with an InferenceConfig: what each key does to a model that was opened with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>

#include "model/kernels/cpu_backend.h"
#include "serving/engine.h"
#include "tests/support/expect_error.h"
#include "tests/text/text_models.h"
#include "text/language_model.h"
#include "text/text_model.h"

namespace llm {
namespace {

using test::write_text_model;

GenerationConfig settings(const LanguageModel& model, int64_t new_tokens = 24) {
  GenerationConfig config = model.generation_defaults();
  config.temperature = 0;
  config.max_new_tokens = new_tokens;
  config.ignore_eos = true;
  return config;
}

LanguageModel opened(const std::filesystem::path& path,
                     const std::function<void(InferenceConfig&)>& change) {
  LanguageModelOptions options;
  change(options.inference.emplace());
  return LanguageModel(path.string(), options);
}

TEST(Inference, ComesFromFiles) {
  const TemporaryFolder folder;
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"a.yaml", "inference:\n  max_batch_size: 7\n  use_paged_attention: false\n"},
           {"b.json", R"({"max_batch_size": 7, "use_paged_attention": false})"}}) {
    const InferenceConfig config = load_inference_config(folder.write(name, text).string());
    EXPECT_EQ(config.max_batch_size, 7);
    EXPECT_FALSE(config.use_paged_attention);
    EXPECT_EQ(config.max_num_blocks, 2048);
  }
  const auto slip = folder.write("slip.yaml", "inference:\n  max_batch: 7\n");
  expect_error_with([&] { load_inference_config(slip.string()); }, Exit::usage,
                    "slip.yaml:2:3: unknown key inference.max_batch");
  const auto other = folder.write("other.yaml", "inference:\n  block_size: 32\n");
  expect_error_with([&] { load_inference_config(other.string()); }, Exit::usage,
                    "other.yaml:2:3: inference.block_size 32 is not supported");
}

TEST(Inference, TextsAreThoseOfAModelWithoutIt) {
  const TemporaryFolder folder;
  LanguageModel plain(write_text_model(folder, "llama").string());
  const std::vector<std::string> prompts = {"abc", "The cat", "x", ""};
  const auto wanted = plain.generate_all(prompts, settings(plain));
  const std::vector<std::function<void(InferenceConfig&)>> changes = {
      [](auto&) {}, [](auto& c) { c.use_continuous_batching = false, c.batch_size = 3; },
      [](auto& c) { c.use_speculative_decoding = true; }};
  for (const auto& change : changes) {
    LanguageModel model = opened(folder.path(), change);
    const auto all = model.generate_all(prompts, settings(model));
    ASSERT_EQ(all.size(), wanted.size());
    for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].ids, wanted[i].ids);
    EXPECT_EQ(model.generate("abc", settings(model)).ids, wanted[0].ids);
    GenerationConfig beams = settings(model);
    beams.num_beams = 3;
    EXPECT_EQ(model.generate("abc", beams).ids, plain.generate("abc", beams).ids);
  }
}

TEST(Inference, MemoryIsKeptBetweenCallsOfAllKinds) {
  if (!has_cpu_backend()) GTEST_SKIP() << "this CPU runs no model packed";
  const TemporaryFolder folder;
  LanguageModel model = opened(write_text_model(folder, "llama"), [](auto&) {});
  const std::string said(70, 'a');
  EXPECT_EQ(model.generate(said, settings(model)).cached_tokens, 0);
  EXPECT_EQ(model.generate_all({said}, settings(model))[0].cached_tokens, 64);
}

TEST(Inference, GuessesAreMadeWhereItSaysSo) {
  const TemporaryFolder folder;
  const auto path = write_text_model(folder, "llama");
  LanguageModel plain = opened(path, [](auto&) {});
  EXPECT_EQ(plain.generation_defaults().num_speculative_tokens, 0);
  const GeneratedText wanted = plain.generate("abc", settings(plain));
  EXPECT_EQ(wanted.drafted_tokens, 0);
  for (const int64_t guesses : {5, 2}) {
    LanguageModel model = opened(path, [&](auto& c) {
      c.use_speculative_decoding = true;
      c.num_speculative_tokens = guesses;
      c.draft_model_path = path.string();  // its own draft: every guess is right
    });
    EXPECT_EQ(model.generation_defaults().num_speculative_tokens, guesses);
    const GeneratedText text = model.generate("abc", settings(model, 1 + 12));
    EXPECT_EQ(text.new_ids().size(), 13u);
    EXPECT_TRUE(std::equal(text.ids.begin(), text.ids.end(), wanted.ids.begin()));
    EXPECT_EQ(text.drafted_tokens, 12 / (guesses + 1) * guesses);
    EXPECT_EQ(text.accepted_tokens, text.drafted_tokens);
  }
}

TEST(Inference, ADraftThatGuessesInParallelHasABound) {
  const TemporaryFolder folder, other;
  const auto path = write_text_model(folder, "llama");
  std::string config = "{\"pard_token\": 9,";
  {
    std::ifstream file(write_text_model(other, "llama") / "config.json");
    std::string rest{std::istreambuf_iterator<char>(file), {}};
    config += rest.substr(rest.find('{') + 1);
  }
  other.write("config.json", config);
  const auto with_draft = [&](const std::filesystem::path& draft, int64_t at_once) {
    return opened(path, [&](auto& c) {
      c.use_speculative_decoding = true;
      c.draft_model_path = draft.string();
      c.num_parallel_tokens = at_once;
    });
  };
  // One at a time it is an ordinary draft, and the model's own guesses are right; masks are not.
  LanguageModel one = with_draft(other.path(), 1), many = with_draft(other.path(), 64);
  const GeneratedText by_one = one.generate("abc", settings(one)),
                      by_many = many.generate("abc", settings(many));
  EXPECT_EQ(by_one.ids, by_many.ids);
  EXPECT_EQ(by_one.accepted_tokens, by_one.drafted_tokens);
  EXPECT_LT(by_many.accepted_tokens, by_many.drafted_tokens);
  expect_error_with([&] { with_draft(path, 2); }, Exit::usage,
                    "num_parallel_tokens 2 has no effect: the draft does not guess in parallel");
}

TEST(Inference, WeightsAreRoundedWhereItSaysSo) {
  const TemporaryFolder folder, other;
  const auto gpt2 = write_text_model(other, "gpt2");
  const auto int4 = [](auto& c) { c.quantization = "int4"; };
  expect_error_with([&] { opened(gpt2, int4); }, Exit::usage, "int4");
  if (!has_cpu_backend()) GTEST_SKIP() << "this CPU runs no model packed";
  const auto path = write_text_model(folder, "llama");
  LanguageModel plain = opened(path, [](auto&) {}), rounded = opened(path, int4);
  GenerationConfig config = settings(plain, 60);
  config.temperature = 2;
  int differ = 0;
  for (config.seed = 0; config.seed < 5; ++config.seed)
    differ += plain.generate("abc", config).ids != rounded.generate("abc", config).ids;
  EXPECT_GT(differ, 0);
}

TEST(Inference, AModelWithoutAPoolTakesWholeContexts) {
  const TemporaryFolder folder;
  const auto path = write_text_model(folder, "gpt2");
  LanguageModel model = opened(path, [](auto&) {});
  EXPECT_EQ(model.generate("abc", settings(model)).new_ids().size(), 24u);
  expect_error_with([&] { opened(path, [](auto& c) { c.use_paged_attention = false; }); },
                    Exit::usage, "inference.use_paged_attention false has no effect");
  const TextModel text = open_text_model({.model = path.string()}, {});
  const int64_t context_blocks = model.context_length() / 16;
  for (const auto& [blocks, batch] : {std::pair{context_blocks / 2, 1}, {context_blocks * 3, 3}}) {
    InferenceConfig config;
    config.max_num_blocks = blocks;
    EXPECT_EQ(engine_options(config, *text.loaded.model).max_batch_size, batch);
  }
}

TEST(Inference, RefusesByName) {
  const TemporaryFolder folder;
  const auto path = write_text_model(folder, "llama");
  expect_error_with([&] { opened(path, [](auto& c) { c.block_size = 8; }); }, Exit::usage,
                    "inference.block_size 8 is not supported");
  expect_error_with(
      [&] {
        opened(path, [](auto& c) {
          c.use_speculative_decoding = true;
          c.draft_model_path = "/nowhere/at/all";
        });
      },
      Exit::bad_input, "/nowhere/at/all");
  LanguageModel model = opened(path, [](auto&) {});
  expect_error_with([&] { model.generate_all({"a"}, settings(model), 4); }, Exit::usage,
                    "generate_all: at_once 4 has no effect beside options.inference");
}

}  // namespace
}  // namespace llm
