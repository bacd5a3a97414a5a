// The engine with several adapters of one model: CountingModel remembers which adapter a token was
// computed with, so a block that is shared across adapters changes the text.
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/lora_adapter.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_prompt;
using test::a_request;
using test::kVocab;
using test::run_all;
using test::run_alone;
using test::with_blocks;

const std::vector<ModelAdapterPtr>& three_adapters() {
  static const std::vector<ModelAdapterPtr> adapters = {
      nullptr, std::make_shared<CountingAdapter>(1), std::make_shared<CountingAdapter>(2)};
  return adapters;
}

GenerationRequest with_adapter(GenerationRequest request, size_t number) {
  request.adapter = three_adapters()[number];
  return request;
}

/// Greedy, sampled, beams and speculation, each with each adapter, over few different prompts.
std::vector<GenerationRequest> mixed_requests() {
  const std::vector<std::function<void(GenerationConfig&)>> kinds = {
      [](auto& config) { config.do_sample = false; }, [](auto&) {},
      [](auto& config) { config.do_sample = false, config.num_beams = 3; },
      [](auto& config) { config.num_speculative_tokens = 4; }};
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < 24; ++i)
    requests.push_back(with_adapter(a_request(a_prompt(70, i % 2), kinds[i / 3 % 4]), i % 3));
  return requests;
}

TEST(EngineAdapters, EveryTextIsTheSameAloneAndAmongOtherAdapters) {
  const CountingModel model(kVocab);
  const std::vector<GenerationRequest> requests = mixed_requests();
  for (const int64_t blocks : {400, 20}) {  // the second: requests are put aside and read again
    EngineOptions options = with_blocks(blocks);
    options.prefill_chunk = 24;  // not by measurement: what is put aside would hang on the clock
    EngineStats stats;
    const auto crowd = run_all(model, options, requests, &stats);
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(crowd[i].token_ids, run_alone(model, requests[i]).token_ids) << blocks << " " << i;
    EXPECT_EQ(stats.preemptions > 0, blocks == 20);
  }
}

TEST(EngineAdapters, EachAdapterWritesATextOfItsOwn) {
  const CountingModel model(kVocab);
  const auto request = a_request(a_prompt(40, 5));
  const auto plain = run_alone(model, with_adapter(request, 0)).token_ids,
             one = run_alone(model, with_adapter(request, 1)).token_ids,
             two = run_alone(model, with_adapter(request, 2)).token_ids;
  EXPECT_NE(plain, one);
  EXPECT_NE(plain, two);
  EXPECT_NE(one, two);
}

TEST(EngineAdapters, ABeginningIsSharedWithinAnAdapterOnly) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(200));
  const auto run = [&](size_t adapter) {
    GenerationResult kept;
    engine.submit(with_adapter(a_request(a_prompt(100, 7)), adapter),
                  [&](GenerationResult&& result) { kept = std::move(result); });
    while (engine.step()) {
    }
    return kept;
  };
  const auto first = run(1);
  EXPECT_EQ(first.prompt_tokens_cached, 0);
  EXPECT_EQ(run(0).prompt_tokens_cached, 0);
  EXPECT_EQ(run(2).prompt_tokens_cached, 0);
  const auto again = run(1);
  EXPECT_EQ(again.prompt_tokens_cached, 96);  // three whole blocks of 32
  EXPECT_EQ(again.token_ids, first.token_ids);
  // The rate is of the tokens that were read.
  const auto read = [](const GenerationTiming& timing) {
    return timing.prompt_tokens_per_second * (timing.ttft_ms - timing.queue_ms) / 1e3;
  };
  EXPECT_NEAR(read(first.timing), 100, 1e-6);
  EXPECT_NEAR(read(again.timing), 4, 1e-6);
}

TEST(EngineAdapters, NobodyWaitsForWhatAnotherAdapterReads) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(200));
  for (const size_t adapter : {0, 1, 2, 1})
    engine.submit(with_adapter(a_request(a_prompt(100, 7)), adapter), {});
  engine.step();
  EXPECT_EQ(model.largest_batch, 3u);  // the fourth begins as the second does
  while (engine.step()) {
  }
  EXPECT_EQ(engine.stats().prompt_tokens, 3u * 100 + 4);
}

TEST(EngineAdapters, AModelWithoutAdaptersSaysSo) {
  const CountingModel model(kVocab);
  EXPECT_THROW(model.adapt({}), Error);
}

}  // namespace
}  // namespace llm
