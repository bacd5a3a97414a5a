#include "serving/inference_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/config.h"
#include "base/error.h"
#include "serving/engine.h"

namespace llm {
namespace {

constexpr int64_t kCountedTokens = 16;  // of a block that max_num_blocks counts
constexpr int64_t kMostDraftTokens = 64;

/// What no single key shows: "" where the key is in order.
struct InferenceRule {
  const char* key;
  std::string (*problem)(const InferenceConfig&);
};

std::string one_only(const char* key, int64_t value) {
  return value == 1 ? ""
                    : fmt::format(
                          "inference.{} {} is not supported: one process computes the "
                          "whole model, on one device",
                          key, value);
}

constexpr std::array<InferenceRule, 7> kInferenceRules = {{
    {"block_size",
     [](const InferenceConfig& c) {
       return c.block_size == kCountedTokens
                  ? ""
                  : fmt::format(
                        "inference.block_size {} is not supported: blocks are counted in "
                        "{} tokens (the kernels read two at once); max_num_blocks says how "
                        "many there are",
                        c.block_size, kCountedTokens);
     }},
    {"batch_size",
     [](const InferenceConfig& c) {
       if (c.use_continuous_batching && c.batch_size != 1)
         return fmt::format(
             "inference.batch_size {} has no effect with use_continuous_batching: "
             "up to max_batch_size texts run together",
             c.batch_size);
       if (c.batch_size > c.max_batch_size)
         return fmt::format("inference.batch_size {} is more than max_batch_size {}", c.batch_size,
                            c.max_batch_size);
       return std::string();
     }},
    {"draft_model_path",
     [](const InferenceConfig& c) {
       return c.use_speculative_decoding || c.draft_model_path.empty()
                  ? std::string()
                  : "inference.draft_model_path has no effect without use_speculative_decoding";
     }},
    {"num_speculative_tokens",
     [](const InferenceConfig& c) {
       const bool usual = c.num_speculative_tokens == InferenceConfig().num_speculative_tokens;
       return c.use_speculative_decoding || usual
                  ? std::string()
                  : "inference.num_speculative_tokens has no effect without "
                    "use_speculative_decoding";
     }},
    {"num_parallel_tokens",
     [](const InferenceConfig& c) {
       return !c.draft_model_path.empty() || c.num_parallel_tokens == kMostDraftTokens
                  ? std::string()
                  : "inference.num_parallel_tokens has no effect without a draft_model_path";
     }},
    {"tensor_parallel_size",
     [](const InferenceConfig& c) {
       return one_only("tensor_parallel_size", c.tensor_parallel_size);
     }},
    {"pipeline_parallel_size",
     [](const InferenceConfig& c) {
       return one_only("pipeline_parallel_size", c.pipeline_parallel_size);
     }},
}};

/// Texts in flight where each has memory of its own: as many full contexts as there are blocks for,
/// and one in any case.
int64_t batch_without_pool(const InferenceConfig& config, const InferencePlan& plan,
                           int64_t context) {
  check(config.use_paged_attention,
        "inference.use_paged_attention false has no effect: this model's texts have memory of "
        "their own");
  if (context == 0) return plan.max_batch_size;
  return std::clamp<int64_t>(plan.kv_tokens / context, 1, plan.max_batch_size);
}

}  // namespace

void InferenceConfig::fields(Fields& f) {
  f("batch_size", batch_size, "Texts at a time without use_continuous_batching", in_range(1, 4096));
  f("use_continuous_batching", use_continuous_batching,
    "Texts join whenever there is room; false: batch_size together, the next when all have ended");
  f("max_batch_size", max_batch_size, "Texts in flight, at most", in_range(1, 4096));
  f("use_paged_attention", use_paged_attention,
    "Keys and values in shared blocks; false: a whole context for each text at once");
  f("block_size", block_size, "Tokens of a block; 16 only", at_least(1));
  f("max_num_blocks", max_num_blocks, "Blocks for the keys and values of all texts",
    in_range(2, int64_t{1} << 31));
  f("use_speculative_decoding", use_speculative_decoding, "Guess ahead, and check in one pass");
  f("draft_model_path", draft_model_path, "Smaller model that guesses; empty: prompt lookup");
  f("num_speculative_tokens", num_speculative_tokens, "Guesses checked together",
    in_range(1, kMostDraftTokens));
  f("num_parallel_tokens", num_parallel_tokens,
    "Guesses in one pass of a draft that guesses in parallel, at most",
    in_range(1, kMostDraftTokens));
  f("quantization", quantization, "Format that weights are computed in",
    one_of({"none", "int8", "fp8", "int4"}));
  f("tensor_parallel_size", tensor_parallel_size, "1 only", at_least(1));
  f("pipeline_parallel_size", pipeline_parallel_size, "1 only", at_least(1));
  for (const InferenceRule& rule : kInferenceRules)
    f.cross_check(rule.key, [this, problem = rule.problem] { return problem(*this); });
}

void check_inference_config(const InferenceConfig& config) {
  InferenceConfig given = config, checked;
  Fields from, into;
  from.section("inference", given);
  into.section("inference", checked);
  for (const Field& row : from.rows()) into.override_default(row.path(), row.text());
  into.finish();
}

InferencePlan plan_of(const InferenceConfig& config) {
  const bool continuous = config.use_continuous_batching;
  return {
      .continuous_batching = continuous,
      .max_batch_size = continuous ? config.max_batch_size : config.batch_size,
      .kv_layout = config.use_paged_attention ? "paged" : "slab",
      .kv_tokens = config.max_num_blocks * kCountedTokens,
      .speculative_tokens = config.use_speculative_decoding ? config.num_speculative_tokens : 0};
}

EngineOptions engine_options(const InferenceConfig& config, const TokenModel& model) {
  const int64_t context = model.context_length();
  const InferencePlan plan = plan_of(config);
  EngineOptions options;
  options.continuous_batching = plan.continuous_batching;
  options.max_batch_size = plan.max_batch_size;
  options.kv.max_blocks = plan.kv_tokens / kKvBlockTokens;
  options.kv.layout = plan.kv_layout;
  options.kv.slab_tokens = context;
  if (model.kv_bytes_per_token() == 0) {
    options.max_batch_size = batch_without_pool(config, plan, context);
    options.kv.max_blocks = 1;
  } else if (!config.use_paged_attention) {
    check(context > 0 && context <= options.kv.max_blocks * kKvBlockTokens,
          "inference.use_paged_attention false takes a context of {} tokens for each text; "
          "max_num_blocks {} hold {}",
          context, config.max_num_blocks, options.kv.max_blocks * kKvBlockTokens);
  }
  return options;
}

}  // namespace llm
