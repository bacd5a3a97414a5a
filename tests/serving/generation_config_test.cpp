#include "serving/generation_config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/config.h"
#include "base/error.h"

namespace llm {
namespace {

constexpr GenerationLimits kLimits{.vocab_size = 100, .context_length = 64};

bool nothing_explicit(std::string_view) { return false; }

std::string message_of(const std::function<void()>& call, Exit code) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    return error.message();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(GenerationConfig, DefaultsAreThoseOfTheProgram) {
  const GenerationConfig config;
  EXPECT_EQ(config.max_new_tokens, 100);
  EXPECT_EQ(config.temperature, 0.8);
  EXPECT_TRUE(config.do_sample);
  EXPECT_EQ(config.top_k, 0);
  EXPECT_EQ(config.top_p, 1.0);
  EXPECT_EQ(config.min_p, 0.0);
  EXPECT_EQ(config.repetition_penalty, 1.0);
  EXPECT_EQ(config.seed, -1);
}

TEST(GenerationConfig, LibraryDefaultsAreThoseOfTheNamedObject) {
  const GenerationConfig config = library_defaults();
  EXPECT_EQ(config.max_new_tokens, std::nullopt);
  EXPECT_EQ(config.temperature, 1.0);
  EXPECT_FALSE(config.do_sample);
}

TEST(GenerationConfig, UnsetLengthBecomesTwentyWithAWarning) {
  std::vector<std::string> warnings;
  EXPECT_EQ(freeze(library_defaults(), kLimits, &warnings).max_new_tokens(), 20);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], "max_new_tokens is not set: 20 is used");
}

TEST(GenerationConfig, LengthIsCutToTheContextWithAWarning) {
  GenerationConfig config;
  config.max_new_tokens = 65;
  std::vector<std::string> warnings;
  EXPECT_EQ(freeze(config, kLimits, &warnings).max_new_tokens(), 64);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], "max_new_tokens 65 is cut to the context of 64 tokens");
  config.max_context_policy = "slide";
  EXPECT_EQ(freeze(config, kLimits).max_new_tokens(), 65);
}

TEST(GenerationConfig, ModelDefaultsReplaceDefaultsButNeverExplicitValues) {
  GenerationConfig config;
  config.temperature = 0.3;
  const std::string json =
      R"({"temperature": 0.6, "top_p": 0.9, "top_k": 50, "do_sample": false, "min_p": null, "transformers_version": "5"})";
  adopt_model_defaults(config, json, "g.json",
                       [](std::string_view key) { return key == "temperature" || key == "top_k"; });
  EXPECT_EQ(config.temperature, 0.3);
  EXPECT_EQ(config.top_k, 0);  // explicit, although it equals the default
  EXPECT_EQ(config.top_p, 0.9);
  EXPECT_FALSE(config.do_sample);
  EXPECT_EQ(config.min_p, 0.0);
  EXPECT_EQ(config.max_new_tokens, 100);
}

TEST(GenerationConfig, ModelDefaultsMayAskForBeams) {
  GenerationConfig config;
  const std::string json = R"({"num_beams": 4, "length_penalty": 0.8, "early_stopping": true})";
  adopt_model_defaults(config, json, "g.json", nothing_explicit);
  EXPECT_EQ(config.num_beams, 4);
  EXPECT_EQ(config.length_penalty, 0.8);
  EXPECT_TRUE(config.early_stopping);
  adopt_model_defaults(config, R"({"early_stopping": "never"})", "g.json", nothing_explicit);
  EXPECT_FALSE(config.early_stopping);
  GenerationConfig told;
  adopt_model_defaults(told, json, "g.json",
                       [](std::string_view key) { return key != "num_beams"; });
  EXPECT_EQ(told.num_beams, 4);
  EXPECT_EQ(told.length_penalty, 1.0);
  EXPECT_FALSE(told.early_stopping);
}

TEST(GenerationConfig, ModelDefaultsMayGuessAndSlide) {
  GenerationConfig config;
  const std::string json = R"({"num_speculative_tokens": 4, "max_context_policy": "slide"})";
  adopt_model_defaults(config, json, "g.json", nothing_explicit);
  EXPECT_EQ(config.num_speculative_tokens, 4);
  EXPECT_EQ(config.max_context_policy, "slide");
  GenerationConfig told;
  adopt_model_defaults(told, json, "g.json", [](std::string_view) { return true; });
  EXPECT_EQ(told.num_speculative_tokens, 0);
  EXPECT_EQ(told.max_context_policy, "error");
}

TEST(GenerationConfig, EosListsAreMerged) {
  GenerationConfig config;
  config.eos_token_id = {7};
  adopt_model_defaults(config, R"({"eos_token_id": [2, 7, 3]})", "g.json",
                       [](std::string_view) { return true; });
  EXPECT_EQ(config.eos_token_id, (std::vector<int64_t>{7, 2, 3}));
  adopt_model_defaults(config, R"({"eos_token_id": 9})", "g.json", nothing_explicit);
  EXPECT_EQ(config.eos_token_id, (std::vector<int64_t>{7, 2, 3, 9}));
  const FrozenGenerationConfig frozen = freeze(config, kLimits);
  EXPECT_TRUE(frozen.ends_text(3));
  EXPECT_FALSE(frozen.ends_text(4));
  EXPECT_EQ(frozen->pad_token_id, 7);  // pad = first end-of-text id
}

TEST(GenerationConfig, TrailingCommasAreTolerated) {
  GenerationConfig config;
  adopt_model_defaults(config, "{\"stop_strings\": [\"a,]\", \"b\" , ],\n \"top_p\": 0.5,\n}",
                       "g.json", nothing_explicit);
  EXPECT_EQ(config.stop_strings, (std::vector<std::string>{"a,]", "b"}));
  EXPECT_EQ(config.top_p, 0.5);
}

TEST(GenerationConfig, DamagedModelDefaultsAreBadInput) {
  GenerationConfig config;
  const auto adopt = [&](std::string json) {
    return [&config, json] { adopt_model_defaults(config, json, "g.json", nothing_explicit); };
  };
  EXPECT_NE(message_of(adopt("{\"top_p\": 1.5}"), Exit::bad_input).find("top_p"),
            std::string::npos);
  EXPECT_NE(message_of(adopt("{\"temperature\": \"hot\"}"), Exit::bad_input).find("temperature"),
            std::string::npos);
  EXPECT_NE(message_of(adopt("{\"eos_token_id\": -5}"), Exit::bad_input).find("eos_token_id"),
            std::string::npos);
  EXPECT_NE(message_of(adopt("{\"length_penalty\": 11}"), Exit::bad_input).find("length_penalty"),
            std::string::npos);
  EXPECT_NE(
      message_of(adopt("{\"early_stopping\": \"soon\"}"), Exit::bad_input).find("early_stopping"),
      std::string::npos);
  EXPECT_NE(message_of(adopt("{\"num_speculative_tokens\": 65}"), Exit::bad_input)
                .find("num_speculative_tokens"),
            std::string::npos);
  EXPECT_NE(
      message_of(adopt("{\"max_context_policy\": \"cut\"}"), Exit::bad_input)
          .find("max_context_policy 'cut' is not supported; choose error, truncate-left, slide"),
      std::string::npos);
  EXPECT_NE(message_of(adopt("{\"top_k\": 1"), Exit::bad_input).find("g.json"), std::string::npos);
  EXPECT_NE(message_of(adopt("[]"), Exit::bad_input).find("g.json"), std::string::npos);
}

TEST(GenerationConfig, AbsentFileChangesNothing) {
  GenerationConfig config;
  adopt_model_defaults_from(config, "/nonexistent", nothing_explicit);
  EXPECT_EQ(config.temperature, 0.8);
}

TEST(GenerationConfig, FreezeRefusesWhatIsOutOfRangeNamingTheField) {
  const std::vector<std::pair<std::string, std::function<void(GenerationConfig&)>>> cases = {
      {"temperature must be between 0 and 2, got -0.1", [](auto& c) { c.temperature = -0.1; }},
      {"temperature must be between 0 and 2, got 9", [](auto& c) { c.temperature = 9; }},
      {"temperature must be between 0 and 2, got nan",
       [](auto& c) { c.temperature = std::nan(""); }},
      {"top_k must be at least 0, got -1", [](auto& c) { c.top_k = -1; }},
      {"top_p must be between 0 and 1, got 1.01", [](auto& c) { c.top_p = 1.01; }},
      {"min_p must be between 0 and 1, got -0.5", [](auto& c) { c.min_p = -0.5; }},
      {"repetition_penalty must be between 0.01 and 10, got 0",
       [](auto& c) { c.repetition_penalty = 0; }},
      {"frequency_penalty must be between -2 and 2, got 3",
       [](auto& c) { c.frequency_penalty = 3; }},
      {"presence_penalty must be between -2 and 2, got -3",
       [](auto& c) { c.presence_penalty = -3; }},
      {"max_new_tokens must be at least 0, got -1", [](auto& c) { c.max_new_tokens = -1; }},
      {"min_new_tokens must be at least 0, got -1", [](auto& c) { c.min_new_tokens = -1; }},
      {"num_beams must be at most 64, got 65", [](auto& c) { c.num_beams = 65; }},
      {"length_penalty must be between -10 and 10, got 11", [](auto& c) { c.length_penalty = 11; }},
      {"top_logprobs must be between 0 and 20, got 21", [](auto& c) { c.top_logprobs = 21; }},
      {"num_speculative_tokens must be between 0 and 64, got 65",
       [](auto& c) { c.num_speculative_tokens = 65; }},
      {"logit_bias must be between -100 and 100, got 101",
       [](auto& c) {
         c.logit_bias = {{3, 101.0}};
       }},
      {"logit_bias id -1 is out of range",
       [](auto& c) {
         c.logit_bias = {{-1, 1.0}};
       }},
      {"num_return_sequences must be at least 1, got 0",
       [](auto& c) { c.num_return_sequences = 0; }},
      {"stop strings must not be empty",
       [](auto& c) {
         c.stop_strings = {"a", ""};
       }},
      {"stop strings must be valid UTF-8: no text holds other bytes",
       [](auto& c) { c.stop_strings = {"\xff"}; }},
      {"max_context_policy: 'wrap' is not supported; choose error, truncate-left, slide",
       [](auto& c) { c.max_context_policy = "wrap"; }},
      {"eos_token_id 100 is not a token of this model (vocab_size 100)",
       [](auto& c) { c.eos_token_id = {100}; }},
      {"seed must be -1 (random) or from 0 to 9007199254740991, got -2",
       [](auto& c) { c.seed = -2; }},
  };
  for (const auto& [message, change] : cases) {
    GenerationConfig config;
    change(config);
    EXPECT_EQ(message_of([&] { freeze(config, kLimits); }, Exit::usage), message);
  }
}

TEST(GenerationConfig, RandomSeedsAreReportedAndDiffer) {
  const FrozenGenerationConfig a = freeze({}, kLimits), b = freeze({}, kLimits);
  EXPECT_NE(a.seed(), b.seed());
  EXPECT_EQ(a->seed, static_cast<int64_t>(a.seed()));
  GenerationConfig fixed;
  fixed.seed = 42;
  EXPECT_EQ(freeze(fixed, kLimits).seed(), 42u);
}

TEST(GenerationConfig, GreedyIsTemperatureBelowAThresholdOrNoSampling) {
  GenerationConfig config;
  EXPECT_FALSE(freeze(config, kLimits).greedy());
  config.temperature = 9e-6;
  EXPECT_TRUE(freeze(config, kLimits).greedy());
  config.temperature = 1;
  config.do_sample = false;
  EXPECT_TRUE(freeze(config, kLimits).greedy());
}

TEST(GenerationConfig, EveryFieldIsAFlag) {
  GenerationConfig config;
  Fields fields;
  fields.section("generation", config);
  fields.apply_flag("max-tokens", "7");
  fields.apply_flag("top-p", "0.5");
  fields.apply_flag("stop", std::vector<std::string>{"a,b", "c"});
  fields.apply_flag("do-sample", "false");
  fields.apply_flag("max-context-policy", "slide");
  fields.finish();
  EXPECT_EQ(config.max_new_tokens, 7);
  EXPECT_EQ(config.top_p, 0.5);
  EXPECT_EQ(config.stop_strings, (std::vector<std::string>{"a,b", "c"}));
  EXPECT_FALSE(config.do_sample);
  EXPECT_EQ(config.max_context_policy, "slide");
  EXPECT_TRUE(fields.is_set("generation.top_p"));
  EXPECT_FALSE(fields.is_set("generation.top_k"));
}

}  // namespace
}  // namespace llm
