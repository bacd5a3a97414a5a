// Which models run packed, and why the others do not.
#include <fmt/format.h>

#include <utility>

#include "model/kernels/cpu_backend.h"
#include "model/rope_frequencies.h"
#include "serving/packed_model.h"

namespace llm {
namespace {

/// What of the architecture the packed pass does not compute. Every key of ModelConfig that changes
/// the computation is here or in the pass.
std::optional<std::string> unlike_llama(const ModelConfig& c) {
  if (!c.uses_rope())
    return fmt::format("position_embedding_type is {}", c.position_embedding_type);
  if (c.norm_type != "rms_norm" || !c.norm_first)
    return "its norms are not RMSNorm in front of each half";
  if (c.ffn_type != "swiglu" && c.ffn_type != "geglu")
    return fmt::format("ffn_type is {}", c.ffn_type);
  if (c.use_parallel_ffn) return "its feed-forward runs beside attention";
  if (c.sparse_attention.block_size) return "its attention is block-sparse";
  if (c.head_size() % 2 != 0) return "head_dim is odd";
  const std::pair<bool, const char*> others[] = {
      {c.moe.num_experts.has_value(), "it has experts"},
      {c.rotary_size() != c.head_size(), "it rotates a part of each head"},
      {c.rope_local_base_freq.has_value(), "its layers rotate differently"},
      {has_long_rope(c), "its rotation depends on the length of the text"},
      {!c.layer_types.empty(), "its layers see windows of different lengths"},
      {c.qk_norm.has_value(), "it norms queries and keys"},
      {c.attn_logit_softcapping || c.final_logit_softcapping, "it caps scores or logits"},
      {c.sublayer_output_norm, "it norms what a sublayer adds"},
      {c.remove_final_norm, "it has no final norm"},
      {c.norm_unit_offset, "its norms multiply by one plus the weight"},
      {c.word_embed_proj_dim.has_value(), "its embedding is projected"},
      {c.embedding_multiplier.has_value(), "its embeddings are multiplied"},
      {c.lm_head_bias, "its head has a bias"}};
  for (const auto& [applies, reason] : others) {
    if (applies) return reason;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_not_packed(const ModelConfig& config, std::string_view dtype) {
  if (!has_cpu_backend()) return "kernels: " + cpu_backend_text();
  if (dtype != "float32" && dtype != "bfloat16")
    return "its weights are neither float32 nor bfloat16";
  return unlike_llama(config);
}

}  // namespace llm
