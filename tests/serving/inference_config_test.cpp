// Every key of InferenceConfig changes something, or is refused by name (features A50).
#include "serving/inference_config.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "tests/serving/engine_requests.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

using test::a_prompt;
using test::a_request;
using test::kVocab;

constexpr int64_t kShortContext = 256;

InferenceConfig changed(const std::function<void(InferenceConfig&)>& change) {
  InferenceConfig config;
  change(config);
  return config;
}

TEST(InferenceConfig, DefaultsAreThoseOfTheNamedObject) {
  InferenceConfig config;
  Fields fields;
  fields.section("inference", config);
  std::string keys;
  for (const Field& row : fields.rows()) keys += row.path() + "=" + row.text() + "\n";
  EXPECT_EQ(keys,
            "inference.batch_size=1\ninference.use_continuous_batching=true\n"
            "inference.max_batch_size=128\ninference.use_paged_attention=true\n"
            "inference.block_size=16\ninference.max_num_blocks=2048\n"
            "inference.use_speculative_decoding=false\ninference.draft_model_path=\n"
            "inference.num_speculative_tokens=5\ninference.num_parallel_tokens=64\n"
            "inference.quantization=none\ninference.tensor_parallel_size=1\n"
            "inference.pipeline_parallel_size=1\n");
  check_inference_config(config);
}

TEST(InferenceConfig, WhatCannotBeHadIsRefusedByName) {
  const std::vector<std::pair<InferenceConfig, std::string>> cases = {
      {changed([](auto& c) { c.block_size = 32; }),
       "inference.block_size 32 is not supported: blocks are counted in 16 tokens"},
      {changed([](auto& c) { c.tensor_parallel_size = 2; }),
       "inference.tensor_parallel_size 2 is not supported: one process computes the whole model"},
      {changed([](auto& c) { c.pipeline_parallel_size = 4; }),
       "inference.pipeline_parallel_size 4 is not supported: one process computes the whole model"},
      {changed([](auto& c) { c.quantization = "int2"; }),
       "inference.quantization: 'int2' is not supported; choose none, int8, fp8, int4"},
      {changed([](auto& c) { c.batch_size = 4; }),
       "inference.batch_size 4 has no effect with use_continuous_batching"},
      {changed([](auto& c) { c.use_continuous_batching = false, c.batch_size = 129; }),
       "inference.batch_size 129 is more than max_batch_size 128"},
      {changed([](auto& c) { c.draft_model_path = "draft"; }),
       "inference.draft_model_path has no effect without use_speculative_decoding"},
      {changed([](auto& c) { c.num_speculative_tokens = 6; }),
       "inference.num_speculative_tokens has no effect without use_speculative_decoding"},
      {changed([](auto& c) { c.use_speculative_decoding = true, c.num_parallel_tokens = 2; }),
       "inference.num_parallel_tokens has no effect without a draft_model_path"},
      {changed([](auto& c) { c.max_batch_size = 0; }),
       "inference.max_batch_size: '0' must be between 1 and 4096"},
      {changed([](auto& c) { c.max_num_blocks = 1; }), "inference.max_num_blocks: '1'"},
  };
  for (const auto& [config, message] : cases)
    expect_error_with([&] { check_inference_config(config); }, Exit::usage, message);
}

/// What six texts of different lengths take: most of them in one pass, and passes.
std::pair<size_t, size_t> batches(const InferenceConfig& config) {
  const CountingModel model(kVocab, kShortContext);
  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < 6; ++i)
    requests.push_back(a_request({5 + i}, [&](auto& c) { c.max_new_tokens = i % 2 ? 12 : 3; }));
  test::run_all(model, engine_options(config, model), requests);
  return {model.largest_batch, model.passes};
}

TEST(InferenceConfig, BatchesAreContinuousUnlessToldOtherwise) {
  using Pair = std::pair<size_t, size_t>;
  EXPECT_EQ(batches({}), (Pair{6, 12}));
  EXPECT_EQ(batches(changed([](auto& c) { c.max_batch_size = 2; })), (Pair{2, 27}));
  const auto in_turn = [](int64_t size) {
    return changed([&](auto& c) { c.use_continuous_batching = false, c.batch_size = size; });
  };
  // Short texts do not make room for others: each pair lasts as long as its longer text.
  EXPECT_EQ(batches(in_turn(2)), (Pair{2, 36}));
  EXPECT_EQ(batches(in_turn(1)), (Pair{1, 3 * 3 + 3 * 12}));
  EXPECT_EQ(batches(in_turn(6)), (Pair{6, 12}));
}

TEST(InferenceConfig, TextsDoNotDependOnIt) {
  const CountingModel model(kVocab, kShortContext);
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < 9; ++i) requests.push_back(a_request(a_prompt(1 + 7 * i, i)));
  for (const InferenceConfig& config :
       {InferenceConfig(),
        changed([](auto& c) { c.use_continuous_batching = false, c.batch_size = 4; }),
        changed([](auto& c) { c.max_num_blocks = 10; }),
        changed([](auto& c) { c.use_paged_attention = false, c.max_num_blocks = 48; })}) {
    const auto results = test::run_all(model, engine_options(config, model), requests);
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(results[i].token_ids, test::run_alone(model, requests[i]).token_ids);
  }
}

TEST(InferenceConfig, BlocksAreMemory) {
  const CountingModel model(kVocab, kShortContext);
  EXPECT_EQ(engine_options({}, model).kv.max_blocks, 2048 * 16 / kKvBlockTokens);
  const InferenceConfig small = changed([](auto& c) { c.max_num_blocks = 4; });
  Engine engine(model, engine_options(small, model));
  EXPECT_EQ(engine.stats().kv_blocks, 2);
  EXPECT_THROW(engine.submit(a_request(a_prompt(60, 1)), {}), Error);  // 72 tokens in memory for 64
}

TEST(InferenceConfig, WithoutPagesEachTextTakesAWholeContext) {
  const CountingModel model(kVocab, kShortContext);
  for (const auto& [paged, blocks] : {std::pair{true, 1}, std::pair{false, 8}}) {
    const InferenceConfig config = changed([&](auto& c) { c.use_paged_attention = paged; });
    Engine engine(model, engine_options(config, model));
    engine.submit(a_request({5}), [](auto&&) {});
    EXPECT_TRUE(engine.step());
    EXPECT_EQ(engine.stats().kv_blocks_used, blocks);
  }
  const InferenceConfig little =
      changed([](auto& c) { c.use_paged_attention = false, c.max_num_blocks = 15; });
  expect_error_with([&] { engine_options(little, model); }, Exit::usage,
                    "inference.use_paged_attention false takes a context of 256 tokens for each "
                    "text; max_num_blocks 15 hold 224");
}

}  // namespace
}  // namespace llm
