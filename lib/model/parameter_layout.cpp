#include "model/parameter_layout.h"

#include <fmt/format.h>

#include <functional>
#include <numeric>

namespace llm {
namespace {

struct PlaceList {
  std::vector<ParameterPlace> places;
  int64_t layer = -1;

  void add(const std::string& name, std::vector<int64_t> shape, ParameterKind kind) {
    const int64_t offset = places.empty() ? 0 : places.back().offset + places.back().count;
    const int64_t count =
        std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    const std::string prefix = layer >= 0 ? fmt::format("model.layers.{}.", layer) : std::string();
    places.push_back({prefix + name, std::move(shape), kind, layer, offset, count});
  }

  // Weights of linears that share their input lie side by side, then their biases side by side.
  void add_linears(const std::vector<std::pair<std::string, int64_t>>& outputs, int64_t inputs,
                   bool biases) {
    for (const auto& [name, rows] : outputs) {
      add(name + ".weight", {rows, inputs}, ParameterKind::matrix);
    }
    for (const auto& [name, rows] : outputs) {
      if (biases) {
        add(name + ".bias", {rows}, ParameterKind::bias);
      }
    }
  }

  void add_norm(const std::string& name, const ModelConfig& c) {
    add(name + ".weight", {c.hidden_size}, ParameterKind::norm);
    if (c.norm_type == "layer_norm") {
      add(name + ".bias", {c.hidden_size}, ParameterKind::norm);
    }
  }

  void add_mlp(const std::string& name, const ModelConfig& c, int64_t width) {
    if (c.gated_ffn()) {
      add_linears({{name + "gate_proj", width}, {name + "up_proj", width}}, c.hidden_size,
                  c.mlp_bias);
    } else {
      add_linears({{name + "up_proj", width}}, c.hidden_size, c.mlp_bias);
    }
    add_linears({{name + "down_proj", c.hidden_size}}, width, c.mlp_bias);
  }
};

void add_norms(PlaceList& list, const ModelConfig& c) {
  if (c.norm_first || !c.sublayer_output_norm) {
    list.add_norm("input_layernorm", c);
  }
  if (!c.use_parallel_ffn || c.separate_ffn_norm) {
    list.add_norm("post_attention_layernorm", c);
  }
  if (c.sublayer_output_norm) {
    if (c.norm_first) {
      list.add_norm("pre_feedforward_layernorm", c);
    }
    list.add_norm("post_feedforward_layernorm", c);
  }
}

void add_layer(PlaceList& list, const ModelConfig& c) {
  const int64_t C = c.hidden_size, D = c.head_size(), q = c.num_attention_heads * D,
                kv = c.key_value_heads() * D;
  list.add_linears({{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}}, C,
                   c.attention_bias);
  list.add_linears({{"self_attn.o_proj", C}}, q, c.output_bias());
  if (c.qk_norm) {
    const bool full = *c.qk_norm == "full";
    list.add("self_attn.q_norm.weight", {full ? q : D}, ParameterKind::norm);
    list.add("self_attn.k_norm.weight", {full ? kv : D}, ParameterKind::norm);
  }
  if (c.layer_has_experts(list.layer)) {
    list.add_linears({{"mlp.gate", *c.moe.num_experts}}, C, false);
    for (int64_t expert = 0; expert < *c.moe.num_experts; ++expert) {
      list.add_mlp(fmt::format("mlp.experts.{}.", expert), c, c.expert_size());
    }
  } else {
    list.add_mlp("mlp.", c, c.ffn_size());
  }
  add_norms(list, c);
}

}  // namespace

std::vector<ParameterPlace> parameter_layout(const ModelConfig& c) {
  PlaceList list;
  list.add("model.embed_tokens.weight", {c.vocab_size, c.embedding_size()},
           ParameterKind::embedding);
  if (c.word_embed_proj_dim) {
    list.add("model.project_in.weight", {c.hidden_size, c.embedding_size()}, ParameterKind::matrix);
  }
  if (c.position_embedding_type == "absolute") {
    list.add("model.embed_positions.weight", {c.position_rows(), c.hidden_size},
             ParameterKind::embedding);
  }
  for (list.layer = 0; list.layer < c.num_hidden_layers; ++list.layer) {
    add_layer(list, c);
  }
  list.layer = -1;
  if (!c.remove_final_norm) {
    list.add_norm("model.norm", c);
  }
  if (c.word_embed_proj_dim) {
    list.add("model.project_out.weight", {c.embedding_size(), c.hidden_size},
             ParameterKind::matrix);
  }
  if (!c.tie_word_embeddings) {
    list.add("lm_head.weight", {c.vocab_size, c.embedding_size()}, ParameterKind::head);
  }
  if (c.lm_head_bias) {
    list.add("lm_head.bias", {c.vocab_size}, ParameterKind::bias);
  }
  return list.places;
}

}  // namespace llm
