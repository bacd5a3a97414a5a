#include "apps/api_inference.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace llm {
namespace {

/// Keys of the section, and the rows that say the same.
constexpr std::array<std::pair<const char*, const char*>, 9> kSameThings = {{
    {"use_continuous_batching", "serving.max_batch_size"},
    {"batch_size", "serving.max_batch_size"},
    {"max_batch_size", "serving.max_batch_size"},
    {"use_paged_attention", "serving.kv_cache_layout"},
    {"max_num_blocks", "serving.kv_cache_memory"},
    {"use_speculative_decoding", "generation.num_speculative_tokens"},
    {"num_speculative_tokens", "generation.num_speculative_tokens"},
    {"draft_model_path", "draft_model_path"},
    {"quantization", "quantize"},
}};

}  // namespace

void adopt_inference(const Fields& fields, const InferenceConfig& inference, ServingConfig& serving,
                     GenerationConfig& generation, TextModelPaths& paths,
                     std::string& draft_model_path) {
  const auto set = [&](const char* key) { return fields.is_set(fmt::format("inference.{}", key)); };
  for (const auto& [key, row] : kSameThings) {
    if (set(key) && fields.is_set(row))
      fields.fail_at(fmt::format("inference.{}", key),
                     fmt::format("inference.{} and {} say the same thing", key, row),
                     "leave one of them out");
  }
  const InferencePlan plan = plan_of(inference);
  serving.continuous_batching = plan.continuous_batching;
  if (set("max_batch_size") || !plan.continuous_batching)
    serving.max_batch_size = plan.max_batch_size;
  if (set("use_paged_attention")) serving.kv_cache_layout = plan.kv_layout;
  if (set("max_num_blocks")) serving.kv_cache_tokens = plan.kv_tokens;
  if (plan.speculative_tokens > 0) generation.num_speculative_tokens = plan.speculative_tokens;
  if (set("quantization")) paths.quantize = inference.quantization;
  if (set("draft_model_path")) draft_model_path = inference.draft_model_path;
}

}  // namespace llm
