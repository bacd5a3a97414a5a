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
  serving.continuous_batching = inference.use_continuous_batching;
  if (set("max_batch_size")) serving.max_batch_size = inference.max_batch_size;
  if (!inference.use_continuous_batching) serving.max_batch_size = inference.batch_size;
  if (!inference.use_paged_attention) serving.kv_cache_layout = "slab";
  if (set("max_num_blocks"))
    serving.kv_cache_tokens = inference.max_num_blocks * inference.block_size;
  if (inference.use_speculative_decoding)
    generation.num_speculative_tokens = inference.num_speculative_tokens;
  if (set("quantization")) paths.quantize = inference.quantization;
  if (set("draft_model_path")) draft_model_path = inference.draft_model_path;
}

}  // namespace llm
