// Fused CPU versions of the operators in kernels.h, with hand-written gradients. Contiguous fp32 or
// bf16 tensors on a CPU with AVX-512 and AVX512-BF16; kernels.cpp decides when they may run. Shapes
// as in kernels.h.
#pragma once

#include "model/kernels/kernels.h"

namespace llm::fused {

at::Tensor linear(const at::Tensor& x, const std::vector<at::Tensor>& masters,
                  const at::Tensor& packed, const std::vector<at::Tensor>& bias_masters,
                  const at::Tensor& packed_bias);
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    at::ScalarType out_dtype);
std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps,
                                                at::ScalarType out_dtype);
at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t num_heads, int64_t num_key_value_heads, bool causal, double scale,
                          const at::Tensor& first_keys);
at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor embedding(const at::Tensor& ids, const at::Tensor& table);
CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& weight,
                                  const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights, int64_t chunk_rows);
double sum_of_squares(const at::Tensor& flat);
void adamw_step(at::Tensor parameter, at::Tensor gradient, at::Tensor exp_avg,
                at::Tensor exp_avg_sq, at::Tensor compute, const AdamwStep& options);

/// Adds a weight gradient (any float dtype, same shape) to master.grad in place, creating it where
/// absent. Called from backward passes, so that autograd neither copies nor converts gradients.
void accumulate_gradient(const at::Tensor& master, const at::Tensor& gradient);

}  // namespace llm::fused
