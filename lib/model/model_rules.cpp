// The rules over several model keys. One entry per rule; the key is where the message points in the
// user's file.
#include <fmt/format.h>

#include <algorithm>

#include "model/model_config.h"

namespace llm {
namespace {

std::string no_effect(const char* key, const ModelConfig& c) {
  return fmt::format("model.{} has no effect with model.position_embedding_type {}", key,
                     c.position_embedding_type);
}

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
  return !c.uses_rope() || c.rotary_dim || c.head_size() % 2 == 0
             ? ""
             : fmt::format("model.head_dim ({}) must be even for rotary positions", c.head_size());
}

std::string rotated_part(const ModelConfig& c) {
  if (!c.rotary_dim) {
    return "";
  }
  if (!c.uses_rope()) {
    return no_effect("rotary_dim", c);
  }
  return *c.rotary_dim % 2 == 0 && *c.rotary_dim <= c.head_size()
             ? ""
             : fmt::format("model.rotary_dim ({}) must be even and at most model.head_dim ({})",
                           *c.rotary_dim, c.head_size());
}

bool any_window(const ModelConfig& c) {
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    if (c.layer_window(layer)) {
      return true;
    }
  }
  return false;
}

std::string local_base(const ModelConfig& c) {
  if (!c.rope_local_base_freq || (c.uses_rope() && any_window(c))) {
    return "";
  }
  return c.uses_rope() ? "model.rope_local_base_freq has no effect without sliding layers"
                       : no_effect("rope_local_base_freq", c);
}

std::string offset_has_reader(const ModelConfig& c) {
  return !c.position_offset || c.position_embedding_type == "absolute"
             ? ""
             : no_effect("position_offset", c);
}

std::string layer_list(const ModelConfig& c) {
  if (c.layer_types.empty()) {
    return "";
  }
  if (static_cast<int64_t>(c.layer_types.size()) != c.num_hidden_layers) {
    return fmt::format("model.layer_types names {} layers, model.num_hidden_layers is {}",
                       c.layer_types.size(), c.num_hidden_layers);
  }
  return any_window(c) ? ""
                       : std::string(
                             "model.layer_types needs model.sliding_window and a "
                             "sliding_attention layer");
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
  return c.uses_rope() || c.rope_theta == ModelConfig{}.rope_theta ? ""
                                                                   : no_effect("rope_theta", c);
}

std::string scaling_has_reader(const ModelConfig& c) {
  return c.uses_rope() || c.rope_scaling == RopeScalingConfig{} ? "" : no_effect("rope_scaling", c);
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
  return !c.rope_scaling.original_max_position_embeddings || type == "yarn" || type == "llama3" ||
                 type == "longrope"
             ? ""
             : fmt::format(
                   "model.rope_scaling.original_max_position_embeddings belongs to rope_type yarn "
                   "or llama3, not {}",
                   type);
}

std::string pair_factors(const ModelConfig& c) {
  const RopeScalingConfig& scaling = c.rope_scaling;
  if (scaling.rope_type != "longrope") {
    return only_for(c, !scaling.short_factor.empty(), "short_factor", "longrope");
  }
  const auto pairs = static_cast<size_t>(c.rotary_size() / 2);
  return scaling.short_factor.size() == pairs && scaling.long_factor.size() == pairs
             ? ""
             : fmt::format(
                   "model.rope_scaling.short_factor and long_factor must have {} numbers (one per "
                   "rotated pair), not {} and {}",
                   pairs, scaling.short_factor.size(), scaling.long_factor.size());
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
  return c.rope_scaling.rope_type != "ntk" || c.rotary_size() > 2
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
  const bool cubic = *c.hidden_act == "gelu_new" || *c.hidden_act == "gelu_pytorch_tanh";
  const std::string act = *c.hidden_act == "swish" ? "silu" : cubic ? "gelu_tanh" : *c.hidden_act;
  const std::string inside = c.ffn_type == "swiglu"       ? "silu"
                             : c.ffn_type == "geglu"      ? "gelu"
                             : c.ffn_type == "geglu_tanh" ? "gelu_tanh"
                                                          : c.ffn_type;
  return act == inside ? ""
                       : fmt::format(
                             "model.hidden_act ({}) contradicts model.ffn_type ({}), which "
                             "decides: set ffn_type",
                             act, c.ffn_type);
}

std::string experts_have_reader(const ModelConfig& c) {
  return c.moe.num_experts || c.moe == MoeConfig{}
             ? ""
             : std::string(
                   "model.num_experts_per_tok, moe_intermediate_size, norm_topk_prob, "
                   "decoder_sparse_step, mlp_only_layers and router_aux_loss_coef have no effect "
                   "without model.num_experts");
}

std::string experts_suffice(const ModelConfig& c) {
  if (!c.moe.num_experts) {
    return "";
  }
  if (c.experts_per_token() > *c.moe.num_experts) {
    return fmt::format("model.num_experts_per_tok ({}) must not exceed model.num_experts ({})",
                       c.experts_per_token(), *c.moe.num_experts);
  }
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    if (c.layer_has_experts(layer)) {
      return "";
    }
  }
  return "model.num_experts has no effect: no layer has experts";
}

std::string norms_fit(const ModelConfig& c) {
  if (c.separate_ffn_norm && !c.use_parallel_ffn) {
    return "model.separate_ffn_norm has no effect without model.use_parallel_ffn";
  }
  return !c.sublayer_output_norm || !c.use_parallel_ffn
             ? ""
             : std::string(
                   "model.sublayer_output_norm and model.use_parallel_ffn cannot be used together");
}

std::string offset_needs_rms(const ModelConfig& c) {
  return !c.norm_unit_offset || c.norm_type == "rms_norm"
             ? ""
             : fmt::format("model.norm_unit_offset needs model.norm_type rms_norm, not {}",
                           c.norm_type);
}

std::string projection_projects(const ModelConfig& c) {
  return c.word_embed_proj_dim != c.hidden_size
             ? ""
             : fmt::format("model.word_embed_proj_dim ({}) is model.hidden_size: leave it out",
                           c.hidden_size);
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
      {"rotary_dim", rotated_part},
      {"rope_local_base_freq", local_base},
      {"position_offset", offset_has_reader},
      {"layer_types", layer_list},
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
         return c.rope_scaling.rope_type == "longrope"
                    ? std::string()
                    : only_for(c, c.rope_scaling.attention_factor.has_value(), "attention_factor",
                               "yarn");
       }},
      {"rope_scaling.short_factor", pair_factors},
      {"rope_scaling.long_factor",
       [](const ModelConfig& c) {
         return only_for(c, !c.rope_scaling.long_factor.empty(), "long_factor", "longrope");
       }},
      {"rope_scaling.low_freq_factor", frequency_order},
      {"rope_scaling.rope_type", ntk_width},
      {"sliding_window", one_pattern},
      {"sparse_attention.local_blocks", sparse_has_block},
      {"hidden_act", activation_agrees},
      {"num_experts_per_tok", experts_have_reader},
      {"num_experts_per_tok", experts_suffice},
      {"separate_ffn_norm", norms_fit},
      {"norm_unit_offset", offset_needs_rms},
      {"word_embed_proj_dim", projection_projects},
      {"pad_token_id",
       [](const ModelConfig& c) { return id_in_vocabulary(c, "pad_token_id", c.pad_token_id); }},
      {"bos_token_id",
       [](const ModelConfig& c) { return id_in_vocabulary(c, "bos_token_id", c.bos_token_id); }},
      {"eos_token_id",
       [](const ModelConfig& c) { return id_in_vocabulary(c, "eos_token_id", c.eos_token_id); }},
      {"further_eos_token_ids",
       [](const ModelConfig& c) {
         const auto& ids = c.further_eos_token_ids;
         return ids.empty() ? std::string()
                            : id_in_vocabulary(c, "further_eos_token_ids",
                                               *std::max_element(ids.begin(), ids.end()));
       }},
  };
  return rules;
}

}  // namespace llm
