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
};

void add_layer(PlaceList& list, const ModelConfig& c) {
  const int64_t C = c.hidden_size, D = c.head_size(), F = c.ffn_size(),
                q = c.num_attention_heads * D, kv = c.key_value_heads() * D;
  list.add_linears({{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}}, C,
                   c.attention_bias);
  list.add_linears({{"self_attn.o_proj", C}}, q, c.attention_bias);
  if (c.gated_ffn()) {
    list.add_linears({{"mlp.gate_proj", F}, {"mlp.up_proj", F}}, C, c.mlp_bias);
  } else {
    list.add_linears({{"mlp.up_proj", F}}, C, c.mlp_bias);
  }
  list.add_linears({{"mlp.down_proj", C}}, F, c.mlp_bias);
  list.add_norm("input_layernorm", c);
  if (!c.use_parallel_ffn) {
    list.add_norm("post_attention_layernorm", c);
  }
}

}  // namespace

std::vector<ParameterPlace> parameter_layout(const ModelConfig& c) {
  PlaceList list;
  list.add("model.embed_tokens.weight", {c.vocab_size, c.hidden_size}, ParameterKind::embedding);
  if (c.position_embedding_type == "absolute") {
    list.add("model.embed_positions.weight", {c.max_position_embeddings, c.hidden_size},
             ParameterKind::embedding);
  }
  for (list.layer = 0; list.layer < c.num_hidden_layers; ++list.layer) {
    add_layer(list, c);
  }
  list.layer = -1;
  list.add_norm("model.norm", c);
  if (!c.tie_word_embeddings) {
    list.add("lm_head.weight", {c.vocab_size, c.hidden_size}, ParameterKind::head);
  }
  return list.places;
}

}  // namespace llm
