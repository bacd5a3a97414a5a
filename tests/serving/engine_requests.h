// Requests for tests of the engine.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "serving/engine.h"
#include "tests/serving/counting_model.h"

namespace llm::test {

inline constexpr int64_t kVocab = 50;

inline GenerationRequest a_request(
    std::vector<int32_t> prompt,
    const std::function<void(GenerationConfig&)>& change = [](auto&) {}, int64_t context = 0) {
  GenerationConfig config;
  config.max_new_tokens = 12;
  config.seed = 3;
  change(config);
  GenerationRequest made;
  made.prompt_ids = std::move(prompt);
  made.config = freeze(config, {.vocab_size = kVocab, .context_length = context});
  made.token_bytes = [](int32_t id) {
    return id < 2 ? std::string() : std::string(1, static_cast<char>('A' + id));
  };
  return made;
}

inline std::vector<int32_t> a_prompt(size_t length, uint64_t key) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < length; ++i)
    ids.push_back(static_cast<int32_t>(2 + CounterRandom(key).bits(i) % (kVocab - 2)));
  return ids;
}

inline std::vector<GenerationResult> run_all(const TokenModel& model, EngineOptions options,
                                             const std::vector<GenerationRequest>& requests,
                                             EngineStats* stats = nullptr) {
  Engine engine(model, std::move(options));
  std::vector<GenerationResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i)
    engine.submit(requests[i],
                  [&results, i](GenerationResult&& result) { results[i] = std::move(result); });
  while (engine.step()) {
  }
  if (stats != nullptr) *stats = engine.stats();
  return results;
}

inline EngineOptions with_blocks(int64_t blocks) {
  EngineOptions options;
  options.kv.max_blocks = blocks;
  return options;
}

inline GenerationResult run_alone(const TokenModel& model, const GenerationRequest& request) {
  return run_all(model, with_blocks(200), {request})[0];
}

/// The law: every answer is what it is alone.
inline void expect_as_alone(const TokenModel& model, const std::vector<GenerationRequest>& requests,
                            const std::vector<GenerationResult>& together) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const GenerationResult alone = run_alone(model, requests[i]);
    EXPECT_EQ(together[i].token_ids, alone.token_ids) << i;
    EXPECT_EQ(together[i].text, alone.text) << i;
    EXPECT_EQ(together[i].finish_reason, alone.finish_reason) << i;
    EXPECT_EQ(together[i].score, alone.score) << i;
    EXPECT_EQ(together[i].input_logprobs, alone.input_logprobs) << i;
    EXPECT_FALSE(together[i].token_ids.empty()) << i;
  }
}

}  // namespace llm::test
