// The rules over several model keys. One entry per rule; the key is where the message points in the
// user's file.
#include <fmt/format.h>

#include "model/model_config.h"

namespace llm {
namespace {

std::string width_divides(const ModelConfig& c) {
  return c.head_dim || c.hidden_size % c.num_attention_heads == 0
             ? ""
             : fmt::format(
                   "model.hidden_size ({}) must be divisible by model.num_attention_heads ({})",
                   c.hidden_size, c.num_attention_heads);
}

std::string heads_group(const ModelConfig& c) {
  return c.num_attention_heads % c.key_value_heads() == 0
             ? ""
             : fmt::format(
                   "model.num_attention_heads ({}) must be a multiple of model.num_key_value_heads "
                   "({})",
                   c.num_attention_heads, c.key_value_heads());
}

std::string rotary_width(const ModelConfig& c) {
  return !c.uses_rope() || c.head_size() % 2 == 0
             ? ""
             : fmt::format("model.head_dim ({}) must be even for rotary positions", c.head_size());
}

std::string use_rope_agrees(const ModelConfig& c) {
  return !c.use_rope || *c.use_rope == c.uses_rope()
             ? ""
             : fmt::format(
                   "model.use_rope ({}) contradicts model.position_embedding_type ({}), which "
                   "decides: remove use_rope",
                   *c.use_rope, c.position_embedding_type);
}

std::string theta_has_reader(const ModelConfig& c) {
  return c.uses_rope() || c.rope_theta == ModelConfig{}.rope_theta
             ? ""
             : fmt::format("model.rope_theta has no effect with model.position_embedding_type {}",
                           c.position_embedding_type);
}

std::string scaling_has_reader(const ModelConfig& c) {
  return c.uses_rope() || c.rope_scaling == RopeScalingConfig{}
             ? ""
             : fmt::format("model.rope_scaling has no effect with model.position_embedding_type {}",
                           c.position_embedding_type);
}

std::string scaling_factor(const ModelConfig& c) {
  return c.rope_scaling.rope_type != "none" || c.rope_scaling.factor == 1.0
             ? ""
             : std::string(
                   "model.rope_scaling.factor has no effect while model.rope_scaling.rope_type is "
                   "none");
}

std::string only_for(const ModelConfig& c, bool given, const char* key, const char* method) {
  return !given || c.rope_scaling.rope_type == method
             ? ""
             : fmt::format("model.rope_scaling.{} belongs to rope_type {}, not {}", key, method,
                           c.rope_scaling.rope_type);
}

std::string original_length(const ModelConfig& c) {
  const std::string& type = c.rope_scaling.rope_type;
  return !c.rope_scaling.original_max_position_embeddings || type == "yarn" || type == "llama3"
             ? ""
             : fmt::format(
                   "model.rope_scaling.original_max_position_embeddings belongs to rope_type yarn "
                   "or llama3, not {}",
                   type);
}

std::string frequency_order(const ModelConfig& c) {
  const double low = c.rope_scaling.low_freq_factor.value_or(1),
               high = c.rope_scaling.high_freq_factor.value_or(4);
  return c.rope_scaling.rope_type != "llama3" || low < high
             ? ""
             : fmt::format(
                   "model.rope_scaling.low_freq_factor ({}) must be below "
                   "model.rope_scaling.high_freq_factor ({})",
                   low, high);
}

std::string ntk_width(const ModelConfig& c) {
  return c.rope_scaling.rope_type != "ntk" || c.head_size() > 2
             ? ""
             : fmt::format("model.head_dim ({}) must be above 2 for ntk scaling", c.head_size());
}

std::string one_pattern(const ModelConfig& c) {
  return !c.sliding_window || !c.sparse_attention.block_size
             ? ""
             : std::string(
                   "model.sliding_window and model.sparse_attention.block_size cannot be used "
                   "together");
}

std::string sparse_has_block(const ModelConfig& c) {
  const auto& sparse = c.sparse_attention;
  return sparse.block_size || (!sparse.local_blocks && !sparse.global_blocks)
             ? ""
             : std::string(
                   "model.sparse_attention.local_blocks and global_blocks have no effect without "
                   "model.sparse_attention.block_size");
}

std::string activation_agrees(const ModelConfig& c) {
  if (!c.hidden_act) {
    return "";
  }
  const std::string act = *c.hidden_act == "swish" ? "silu" : *c.hidden_act;
  const std::string inside = c.ffn_type == "swiglu"  ? "silu"
                             : c.ffn_type == "geglu" ? "gelu"
                                                     : c.ffn_type;
  return act == inside ? ""
                       : fmt::format(
                             "model.hidden_act ({}) contradicts model.ffn_type ({}), which "
                             "decides: set ffn_type",
                             act, c.ffn_type);
}

std::string id_in_vocabulary(const ModelConfig& c, const char* key, int64_t id) {
  return id < c.vocab_size ? ""
                           : fmt::format("model.{} ({}) must be below model.vocab_size ({})", key,
                                         id, c.vocab_size);
}

}  // namespace

const std::vector<ModelRule>& model_rules() {
  static const std::vector<ModelRule> rules = {
      {"hidden_size", width_divides},
      {"num_attention_heads", heads_group},
      {"head_dim", rotary_width},
      {"use_rope", use_rope_agrees},
      {"rope_theta", theta_has_reader},
      {"rope_scaling.rope_type", scaling_has_reader},
      {"rope_scaling.factor", scaling_factor},
      {"rope_scaling.original_max_position_embeddings", original_length},
      {"rope_scaling.low_freq_factor",
       [](const ModelConfig& c) {
         return only_for(c, c.rope_scaling.low_freq_factor.has_value(), "low_freq_factor",
                         "llama3");
       }},
      {"rope_scaling.high_freq_factor",
       [](const ModelConfig& c) {
         return only_for(c, c.rope_scaling.high_freq_factor.has_value(), "high_freq_factor",
                         "llama3");
       }},
      {"rope_scaling.beta_fast",
       [](const ModelConfig& c) {
         return only_for(c, c.rope_scaling.beta_fast.has_value(), "beta_fast", "yarn");
       }},
      {"rope_scaling.beta_slow",
       [](const ModelConfig& c) {
         return only_for(c, c.rope_scaling.beta_slow.has_value(), "beta_slow", "yarn");
       }},
      {"rope_scaling.attention_factor",
       [](const ModelConfig& c) {
         return only_for(c, c.rope_scaling.attention_factor.has_value(), "attention_factor",
                         "yarn");
       }},
      {"rope_scaling.low_freq_factor", frequency_order},
      {"rope_scaling.rope_type", ntk_width},
      {"sliding_window", one_pattern},
      {"sparse_attention.local_blocks", sparse_has_block},
      {"hidden_act", activation_agrees},
      {"pad_token_id",
       [](const ModelConfig& c) { return id_in_vocabulary(c, "pad_token_id", c.pad_token_id); }},
      {"bos_token_id",
       [](const ModelConfig& c) { return id_in_vocabulary(c, "bos_token_id", c.bos_token_id); }},
      {"eos_token_id",
       [](const ModelConfig& c) { return id_in_vocabulary(c, "eos_token_id", c.eos_token_id); }},
  };
  return rules;
}

}  // namespace llm
