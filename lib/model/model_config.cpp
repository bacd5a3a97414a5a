#include "model/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace llm {

int64_t ModelConfig::key_value_heads() const {
  return num_key_value_heads.value_or(num_attention_heads);
}

int64_t ModelConfig::head_size() const {
  return head_dim.value_or(hidden_size / num_attention_heads);
}

bool ModelConfig::gated_ffn() const {
  return ffn_type == "swiglu" || ffn_type == "geglu" || ffn_type == "geglu_tanh";
}

double ModelConfig::attention_scale() const {
  return 1.0 / std::sqrt(query_pre_attn_scalar.value_or(static_cast<double>(head_size())));
}

std::optional<int64_t> ModelConfig::layer_window(int64_t layer) const {
  return layer_types.empty() || layer_types[static_cast<size_t>(layer)] == "sliding_attention"
             ? sliding_window
             : std::nullopt;
}

bool ModelConfig::layer_rope_is_local(int64_t layer) const {
  return rope_local_base_freq && layer_window(layer);
}

bool ModelConfig::layer_has_experts(int64_t layer) const {
  return moe.num_experts && (layer + 1) % moe.decoder_sparse_step.value_or(1) == 0 &&
         std::find(moe.mlp_only_layers.begin(), moe.mlp_only_layers.end(), layer) ==
             moe.mlp_only_layers.end();
}

std::vector<int64_t> ModelConfig::end_tokens() const {
  std::vector<int64_t> ids = further_eos_token_ids;
  if (eos_token_id >= 0) {
    ids.insert(ids.begin(), eos_token_id);
  }
  return ids;
}

int64_t ModelConfig::ffn_size() const {
  if (intermediate_size) {
    return *intermediate_size;
  }
  const int64_t wanted = gated_ffn() ? (8 * hidden_size + 2) / 3 : 4 * hidden_size;
  const int64_t multiple = hidden_size < 1024 ? 64 : 256;
  return (wanted + multiple - 1) / multiple * multiple;
}

ModelConfig resolved(ModelConfig c) {
  c.num_key_value_heads = c.key_value_heads();
  c.head_dim = c.head_size();
  c.intermediate_size = c.ffn_size();
  c.attention_dropout = c.attention_dropout_probability();
  c.attention_output_bias = c.output_bias();
  c.query_pre_attn_scalar = c.query_pre_attn_scalar.value_or(static_cast<double>(c.head_size()));
  c.use_rope = c.uses_rope();
  c.hidden_act.reset();  // another spelling of ffn_type
  if (c.uses_rope()) {
    c.rotary_dim = c.rotary_size();
  }
  if (c.position_embedding_type == "absolute") {
    c.position_offset = c.position_offset.value_or(0);
  }
  const std::string& scaling = c.rope_scaling.rope_type;
  if (scaling == "yarn" || scaling == "llama3" || scaling == "longrope") {
    c.rope_scaling.original_max_position_embeddings =
        c.rope_scaling.original_max_position_embeddings.value_or(c.max_position_embeddings);
  }
  if (c.moe.num_experts) {
    c.moe.num_experts_per_tok = c.experts_per_token();
    c.moe.moe_intermediate_size = c.expert_size();
    c.moe.decoder_sparse_step = c.moe.decoder_sparse_step.value_or(1);
  }
  return c;
}

void validate(const ModelConfig& config) {
  for (const ModelRule& rule : model_rules()) {
    std::string problem = rule.problem(config);
    if (!problem.empty()) {
      fail(Exit::usage, std::move(problem));
    }
  }
}

ModelConfig llmodel_defaults() {
  ModelConfig config;
  config.vocab_size = 32000;
  config.hidden_size = 4096;
  config.num_hidden_layers = 32;
  config.num_attention_heads = 32;
  config.intermediate_size = 11008;
  config.max_position_embeddings = 4096;
  return config;
}

}  // namespace llm
