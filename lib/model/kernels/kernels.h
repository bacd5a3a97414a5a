// The operators that a Transformer is made of, as free functions on tensors with gradients.
//
// Every function here has a plain composition of LibTorch operators in reference.h (any device, any
// float dtype), which is its definition and its test oracle. On a CPU with AVX-512 a fused version
// runs instead, chosen at run time; callers never ask which. Results of the two agree to rounding;
// each is deterministic for a given machine and thread count, and no row's result depends on the
// other rows of the batch.
//
// Shapes: B batch, T tokens, C hidden_size, H query heads, K key/value heads, D head_dim, F
// intermediate_size, V vocab, N = B * T rows, M out features. Mixed precision: a weight comes as
// `Weight{master, compute}`: gradients go to `master` (fp32), products use `compute` (a bf16/fp16
// copy, or the master itself). Activations between operators have the dtype of `compute`; the
// residual stream has the dtype of the masters. Errors: shape mismatches throw Error(usage).
// Threads: at::parallel_for's pool; functions may be called from one thread at a time per autograd
// graph.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

namespace llm {

/// One weight as the operators see it. `compute` undefined means: use the master.
struct Weight {
  at::Tensor master;
  at::Tensor compute;
  const at::Tensor& used() const { return compute.defined() ? compute : master; }
  bool defined() const { return master.defined(); }
};

/// Which numbers a dropout draws: a pure function of the key and of the element's place in the
/// global batch, so the mask does not depend on how the batch was split. `site` differs for every
/// dropout of the model; first_row is the global index of this micro-batch's first sequence.
struct DropoutKey {
  uint64_t seed = 0;
  int64_t first_row = 0;
  DropoutKey at_site(uint64_t site) const;
};

/// x (..., K) -> (..., M): x W^T + b. bias may be undefined.
at::Tensor linear(const at::Tensor& x, const Weight& weight, const Weight& bias = {});

/// Several linears of one input as one product: `packed` is the (M1 + M2 + ..., K) matrix over the
/// weights' adjacent memory (masters or compute copies; a view, no gradient of its own). Gradients
/// arrive at each weight's master. Biases: one per weight or none at all.
at::Tensor fused_linear(const at::Tensor& x, const std::vector<at::Tensor>& masters,
                        const at::Tensor& packed, const std::vector<at::Tensor>& bias_masters = {},
                        const at::Tensor& packed_bias = {});

/// Root-mean-square norm over the last dimension, https://arxiv.org/abs/1910.07467. x (..., C) any
/// float dtype, weight (C) -> out_dtype.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    at::ScalarType out_dtype);

/// sum = residual + delta; returns {sum in residual's dtype, rms_norm(sum)}. One pass instead of
/// three.
std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps,
                                                at::ScalarType out_dtype);

/// LayerNorm over the last dimension; bias may be undefined.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out_dtype);

/// Rotary embedding in Hugging Face's half-split order, https://arxiv.org/abs/2104.09864. x (B, T,
/// heads, D); cos, sin (T, R/2) or (B, T, R/2) fp32 where R <= D is the rotated part; the rest
/// passes through. Same shape and dtype out.
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// Self-attention of a training or full-prefill pass, straight from the fused projection: qkv (B,
/// T, (H + 2 K) * D) in the order q heads, k heads, v heads; rotates q and k where cos is defined;
/// returns (B, T, H * D). Causal (query t sees keys <= t), or all keys where causal is false. scale
/// multiplies q k^T. first_keys (B or 1, T) int32, at most t and never falling along a row: query t
/// sees no key before first_keys[t] (rows of several texts, sliding windows); undefined: 0 each;
/// causal only.
at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t num_heads, int64_t num_key_value_heads, bool causal, double scale,
                          const at::Tensor& first_keys = {});

/// General attention. q (B, H, Tq, D), k and v (B, K, Tk, D); bias (broadcastable to (B, H, Tq,
/// Tk), added to the scores, -inf hides) may be undefined. causal aligns the LAST query with the
/// last key. Dropout of the weights where probability > 0. softcap > 0: scores become softcap *
/// tanh(score / softcap) before the bias. v may have another width than q and k. Returns (B, H, Tq,
/// D). A row that sees no key gives zeros.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& bias, bool causal, double scale,
                     double dropout_probability = 0.0, DropoutKey key = {}, double softcap = 0.0);

enum class Activation { silu, gelu, gelu_tanh, relu };

/// gate_up (..., 2 F) = [gate | up] -> (..., F): act(gate) * up. silu gives SwiGLU, gelu GeGLU,
/// https://arxiv.org/abs/2002.05202.
at::Tensor gated_activation(const at::Tensor& gate_up, Activation activation);
at::Tensor activation(const at::Tensor& x, Activation activation);

/// ids (B, T) int64, table (V, C) master -> (B, T, C) in the master's dtype. The gradient is dense
/// and summed in a fixed order.
at::Tensor embedding(const at::Tensor& ids, const at::Tensor& table);

/// Zeroes elements with the given probability and scales the rest by 1 / (1 - p). x (B, T, C).
at::Tensor dropout(const at::Tensor& x, double probability, DropoutKey key);

struct CrossEntropy {
  at::Tensor loss;  // scalar fp32 with gradient: scale * sum of weight * -ln p(target) over counted
                    // rows
  double nll_sum = 0;   // the unscaled weighted sum, nats
  int64_t correct = 0;  // rows whose argmax is the target
  int64_t counted = 0;  // rows with target != ignore
};
inline constexpr int64_t kIgnoreTarget = -100;

/// Language-model head and loss in one, in row chunks: the (N, V) logits never exist at once, and
/// the gradients of hidden and weight are made in the forward pass while a chunk of logits is in
/// cache. hidden (N, C) or (B, T, C); weight (V, C); targets int64 of as many rows; row_weights
/// fp32 of as many rows, undefined = 1 each. chunk_rows 0 = choose.
CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& weight,
                                  const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights = {}, int64_t chunk_rows = 0);

/// Sum of squares of a flat fp32 or bf16 tensor, in double, in an order that does not depend on the
/// number of threads.
double sum_of_squares(const at::Tensor& flat);

struct AdamwStep {
  double learning_rate, beta1, beta2, epsilon,
      weight_decay;       // decoupled decay, https://arxiv.org/abs/1711.05101
  int64_t step;           // 1 for the first
  double gradient_scale;  // clip factor / loss scale; multiplies the gradient
  bool clear_gradient;    // leaves zeros in the gradient: the next step's accumulation starts from
                          // them
};
/// One AdamW step on 1-D slices of equal length: parameter, gradient fp32 or both bf16; exp_avg,
/// exp_avg_sq fp32; compute (bf16/fp16, may be undefined)
/// receives the rounded new parameter.
void adamw_step(at::Tensor parameter, at::Tensor gradient, at::Tensor exp_avg,
                at::Tensor exp_avg_sq, at::Tensor compute, const AdamwStep& options);

/// Writes source into destination, converting the dtype (fp32 <-> bf16/fp16), with the same
/// rounding as tensor.to().
void convert_into(at::Tensor destination, const at::Tensor& source);

/// Test hook: false forces the reference compositions where the fused versions would run: on a CPU
/// with a backend (cpu_backend.h); for attention in bfloat16 that must be AVX-512.
void set_fused_kernels_enabled(bool enabled);

}  // namespace llm
