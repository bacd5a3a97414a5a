#include "model/model_size.h"

namespace llm {
namespace {

struct LayerSize {
  int64_t matrices = 0, biases = 0, norms = 0;
};

LayerSize layer_size(const ModelConfig& c) {
  const int64_t C = c.hidden_size, D = c.head_size(), F = c.ffn_size();
  const int64_t q = c.num_attention_heads * D, kv = c.key_value_heads() * D,
                inputs = c.gated_ffn() ? 2 : 1;
  LayerSize size;
  size.matrices = C * (q + 2 * kv) + q * C + (inputs + 1) * C * F;
  size.biases = (c.attention_bias ? q + 2 * kv + C : 0) + (c.mlp_bias ? inputs * F + C : 0);
  size.norms = (c.use_parallel_ffn ? 1 : 2) * C * (c.norm_type == "layer_norm" ? 2 : 1);
  return size;
}

}  // namespace

int64_t parameter_count(const ModelConfig& c) {
  const LayerSize layer = layer_size(c);
  const int64_t embeddings = c.vocab_size * c.hidden_size * (c.tie_word_embeddings ? 1 : 2);
  const int64_t positions =
      c.position_embedding_type == "absolute" ? c.max_position_embeddings * c.hidden_size : 0;
  const int64_t final_norm = c.hidden_size * (c.norm_type == "layer_norm" ? 2 : 1);
  return embeddings + positions + final_norm +
         c.num_hidden_layers * (layer.matrices + layer.biases + layer.norms);
}

int64_t matmul_parameter_count(const ModelConfig& c) {
  return c.num_hidden_layers * layer_size(c).matrices + c.vocab_size * c.hidden_size;
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
  const int64_t tables = (c.tie_word_embeddings ? 1 : 2) * c.vocab_size * c.hidden_size;
  const int64_t positions =
      c.position_embedding_type == "absolute" ? c.max_position_embeddings * c.hidden_size : 0;
  const int64_t rest = parameter_count(c) - tables - positions;
  return (rest + c.vocab_size * c.hidden_size + c.hidden_size) * bytes_per_element;
}

}  // namespace llm
