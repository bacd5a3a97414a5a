// The definitions of the operators in kernels.h as plain compositions of LibTorch operators:
// differentiable, any device, any float dtype, no fusion. Fused versions are tested against these.
// Shapes, units and errors as in kernels.h.
#pragma once

#include "model/kernels/kernels.h"

namespace llm::reference {

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    at::ScalarType out_dtype);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out_dtype);
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t num_heads, int64_t num_key_value_heads, bool causal, double scale,
                          const at::Tensor& first_keys);
/// softmax of what each query sees: (B, H, Tq, Tk), float32 (float64 of float64).
at::Tensor attention_weights(const at::Tensor& q, const at::Tensor& k, const at::Tensor& bias,
                             bool causal, double scale, double softcap = 0.0);
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& bias, bool causal, double scale, double dropout_probability,
                     DropoutKey key, double softcap = 0.0);
at::Tensor gated_activation(const at::Tensor& gate_up, Activation activation);
at::Tensor activation(const at::Tensor& x, Activation activation);
at::Tensor dropout_mask(at::IntArrayRef shape, const at::TensorOptions& options, double probability,
                        DropoutKey key);
CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                  const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights);
/// Loss and counts of logits (N, V) in fp32 or fp64 that are there already.
CrossEntropy logits_cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights);
void adamw_step(at::Tensor parameter, at::Tensor gradient, at::Tensor exp_avg,
                at::Tensor exp_avg_sq, at::Tensor compute, const AdamwStep& options);

}  // namespace llm::reference
