// Texts whose readers do not keep up: they wait, cost others nothing, and are what they are alone.
#include <gtest/gtest.h>

#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_prompt;
using test::a_request;
using test::kVocab;
using test::run_alone;
using test::with_blocks;

GenerationRequest of_length(int64_t tokens, uint64_t key) {
  return a_request(a_prompt(20, key), [&](auto& c) { c.max_new_tokens = tokens; });
}

/// The first request is held once it has five tokens, until the second has ended.
void expect_that_the_held_gives_way(EngineOptions options, int64_t first_length,
                                    int64_t second_length) {
  const CountingModel model(kVocab);
  const GenerationRequest first = of_length(first_length, 1);
  const GenerationRequest second = of_length(second_length, 2);
  Engine engine(model, std::move(options));
  size_t tokens = 0, tokens_when_second_ended = 0;
  bool second_ended = false;
  GenerationResult first_result, second_result;
  GenerationRequest slow = first;
  slow.on_token = [&](const TokenEvent& event) { return tokens += event.id >= 0, true; };
  slow.is_held = [&] { return tokens >= 5 && !second_ended; };
  engine.submit(slow, [&](GenerationResult&& result) { first_result = std::move(result); });
  while (tokens < 5) engine.step();
  engine.submit(second, [&](GenerationResult&& result) {
    second_result = std::move(result);
    second_ended = true;
    tokens_when_second_ended = tokens;
  });
  while (engine.step()) {
  }
  EXPECT_EQ(tokens_when_second_ended, 5u);
  EXPECT_EQ(first_result.token_ids, run_alone(model, first).token_ids);
  EXPECT_EQ(second_result.token_ids, run_alone(model, second).token_ids);
  EXPECT_EQ(first_result.finish_reason, FinishReason::length);
  EXPECT_EQ(second_result.finish_reason, FinishReason::length);
  EXPECT_EQ(engine.stats().kv_blocks_used, engine.stats().kv_blocks_cached) << "blocks were lost";
}

TEST(EngineHeld, ATextGivesItsPlaceToOthersWhileItsReaderHasEnough) {
  EngineOptions one = with_blocks(100);
  one.max_batch_size = 1;
  expect_that_the_held_gives_way(one, 30, 30);
  EngineOptions in_batches = with_blocks(100);
  in_batches.continuous_batching = false;
  expect_that_the_held_gives_way(in_batches, 30, 30);
  expect_that_the_held_gives_way(with_blocks(100), 30, 30);
}

TEST(EngineHeld, ATextGivesItsMemoryToOthersWhileItsReaderHasEnough) {
  // Together they need more than there is; the second alone does not.
  const int64_t all = 120 / kKvBlockTokens + 2;
  expect_that_the_held_gives_way(with_blocks(all), 100, 100);
  EngineOptions without_cache = with_blocks(all);
  without_cache.prefix_cache = false;
  expect_that_the_held_gives_way(without_cache, 100, 100);
}

TEST(EngineHeld, ATextKeepsItsPlaceWhereNobodyCouldTakeIt) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(100);
  options.continuous_batching = false;
  Engine engine(model, options);
  size_t tokens = 0, others = 0;
  GenerationRequest first = of_length(30, 1), second = of_length(30, 2);
  first.on_token = [&](const TokenEvent&) { return ++tokens, true; };
  first.is_held = [&] { return tokens >= 5 && others < 15; };
  second.on_token = [&](const TokenEvent&) { return ++others, true; };
  engine.submit(first, [](GenerationResult&&) {});
  engine.submit(second, [](GenerationResult&&) {});
  engine.step();
  engine.submit(of_length(30, 3), [](GenerationResult&&) {});
  while (engine.step()) {
  }
  EXPECT_GT(tokens, 30u);
  EXPECT_EQ(engine.stats().preemptions, 0u);
}

TEST(EngineHeld, OneThatIsHeldForEverCanBeCancelled) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(100));
  GenerationRequest request = of_length(30, 1);
  request.is_held = [] { return true; };
  request.cancelled = std::make_shared<std::atomic<bool>>(false);
  FinishReason reason = FinishReason::none;
  engine.submit(request, [&](GenerationResult&& result) { reason = result.finish_reason; });
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(engine.step());
  EXPECT_EQ(model.passes, 0u);
  *request.cancelled = true;
  engine.step();
  EXPECT_EQ(reason, FinishReason::cancelled);
}

}  // namespace
}  // namespace llm
