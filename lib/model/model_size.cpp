#include "model/model_size.h"

namespace llm {
namespace {

struct LayerSize {
  int64_t matrices = 0;  // all of them
  int64_t used = 0;      // of those, what one token multiplies with: its own experts
  int64_t rest = 0;      // biases and norms
};

int64_t norm_size(const ModelConfig& c) {
  return c.hidden_size * (c.norm_type == "layer_norm" ? 2 : 1);
}

int64_t norms_of_layer(const ModelConfig& c) {
  if (c.sublayer_output_norm) {
    return c.norm_first ? 4 : 2;
  }
  return c.use_parallel_ffn && !c.separate_ffn_norm ? 1 : 2;
}

LayerSize layer_size(const ModelConfig& c, int64_t layer) {
  const int64_t C = c.hidden_size, D = c.head_size(), inputs = c.gated_ffn() ? 2 : 1;
  const int64_t q = c.num_attention_heads * D, kv = c.key_value_heads() * D;
  const bool experts = c.layer_has_experts(layer);
  const int64_t count = experts ? *c.moe.num_experts : 1,
                taken = experts ? c.experts_per_token() : 1,
                F = experts ? c.expert_size() : c.ffn_size(), mlp = (inputs + 1) * C * F;
  LayerSize size;
  const int64_t always = C * (q + 2 * kv) + q * C + (experts ? C * count : 0);
  size.matrices = always + count * mlp;
  size.used = always + taken * mlp;
  size.rest = (c.attention_bias ? q + 2 * kv : 0) + (c.output_bias() ? C : 0) +
              (c.mlp_bias ? count * (inputs * F + C) : 0) + norms_of_layer(c) * norm_size(c);
  if (c.qk_norm) {
    size.rest += *c.qk_norm == "full" ? q + kv : 2 * D;
  }
  return size;
}

LayerSize all_layers(const ModelConfig& c) {
  LayerSize sum;
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const LayerSize size = layer_size(c, layer);
    sum.matrices += size.matrices;
    sum.used += size.used;
    sum.rest += size.rest;
  }
  return sum;
}

int64_t position_size(const ModelConfig& c) {
  return c.position_embedding_type == "absolute" ? c.position_rows() * c.hidden_size : 0;
}

int64_t projection_size(const ModelConfig& c) {
  return c.word_embed_proj_dim ? 2 * c.hidden_size * c.embedding_size() : 0;
}

}  // namespace

int64_t parameter_count(const ModelConfig& c) {
  const LayerSize layers = all_layers(c);
  const int64_t embeddings = c.vocab_size * c.embedding_size() * (c.tie_word_embeddings ? 1 : 2);
  const int64_t final_norm = c.remove_final_norm ? 0 : norm_size(c);
  return embeddings + position_size(c) + projection_size(c) + final_norm +
         (c.lm_head_bias ? c.vocab_size : 0) + layers.matrices + layers.rest;
}

int64_t matmul_parameter_count(const ModelConfig& c) {
  return all_layers(c).used + projection_size(c) + c.vocab_size * c.embedding_size();
}

double forward_flops_per_token(const ModelConfig& c, int64_t context_length) {
  const double attention_width = static_cast<double>(c.num_attention_heads * c.head_size());
  return 2.0 * static_cast<double>(matmul_parameter_count(c)) +
         4.0 * static_cast<double>(c.num_hidden_layers) * attention_width *
             static_cast<double>(context_length);
}

double training_flops_per_token(const ModelConfig& c, int64_t sequence_length) {
  return 3.0 * forward_flops_per_token(c, sequence_length);
}

int64_t kv_cache_bytes_per_token(const ModelConfig& c, int64_t bytes_per_element) {
  return 2 * c.num_hidden_layers * c.key_value_heads() * c.head_size() * bytes_per_element;
}

int64_t decode_weight_bytes(const ModelConfig& c, int64_t bytes_per_element) {
  const LayerSize layers = all_layers(c);
  const int64_t tables = (c.tie_word_embeddings ? 1 : 2) * c.vocab_size * c.embedding_size();
  const int64_t rest = parameter_count(c) - tables - position_size(c) - layers.matrices;
  return (rest + layers.used + c.vocab_size * c.embedding_size() + c.embedding_size()) *
         bytes_per_element;
}

}  // namespace llm
