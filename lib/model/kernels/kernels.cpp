#include "model/kernels/kernels.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "model/kernels/cpu_backend.h"
#include "model/kernels/fused.h"
#include "model/kernels/reference.h"

namespace llm {
namespace {

bool g_fused_enabled = true;

bool fuses(const at::Tensor& x) {
  return g_fused_enabled && has_cpu_backend() && x.device().is_cpu() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

/// LibTorch multiplies small tiles of bfloat16 only where the processor has AVX-512.
bool fuses_attention(const at::Tensor& x) {
  return fuses(x) && (x.scalar_type() == at::kFloat || cpu_backend() == CpuBackend::avx512);
}

}  // namespace

void set_fused_kernels_enabled(bool enabled) { g_fused_enabled = enabled; }

DropoutKey DropoutKey::at_site(uint64_t site) const {
  return {seed ^ ((site + 1) * 0xd1342543de82ef95ULL), first_row};
}

at::Tensor linear(const at::Tensor& x, const Weight& weight, const Weight& bias) {
  check(x.size(-1) == weight.master.size(1), "linear: input has {} features, weight takes {}",
        x.size(-1), weight.master.size(1));
  std::vector<at::Tensor> biases;
  if (bias.defined()) {
    biases.push_back(bias.master);
  }
  return fused_linear(x, {weight.master}, weight.used(), biases, bias.used());
}

at::Tensor fused_linear(const at::Tensor& x, const std::vector<at::Tensor>& masters,
                        const at::Tensor& packed, const std::vector<at::Tensor>& bias_masters,
                        const at::Tensor& packed_bias) {
  if (fuses(x)) {
    return fused::linear(x.scalar_type() == packed.scalar_type() ? x : x.to(packed.scalar_type()),
                         masters, packed, bias_masters, packed_bias);
  }
  at::Tensor input = x.to(packed.scalar_type());
  at::Tensor weight = masters.size() == 1 ? masters[0] : at::cat(masters, 0);
  at::Tensor bias;
  if (!bias_masters.empty()) {
    bias = bias_masters.size() == 1 ? bias_masters[0] : at::cat(bias_masters, 0);
  }
  return reference::linear(input, weight, bias);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    at::ScalarType out_dtype) {
  return fuses(x) ? fused::rms_norm(x, weight, eps, out_dtype)
                  : reference::rms_norm(x, weight, eps, out_dtype);
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps,
                                                at::ScalarType out_dtype) {
  if (fuses(residual)) {
    return fused::add_rms_norm(residual, delta, weight, eps, out_dtype);
  }
  at::Tensor sum = residual + delta.to(residual.scalar_type());
  return {sum, reference::rms_norm(sum, weight, eps, out_dtype)};
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out_dtype) {
  return reference::layer_norm(x, weight, bias, eps, out_dtype);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return reference::rope(x, cos, sin);
}

at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t num_heads, int64_t num_key_value_heads, bool causal, double scale,
                          const at::Tensor& first_keys) {
  check(qkv.size(2) % (num_heads + 2 * num_key_value_heads) == 0,
        "self_attention: {} features do not divide into {} + 2 x {} heads", qkv.size(2), num_heads,
        num_key_value_heads);
  check(!first_keys.defined() || (causal && first_keys.size(1) == qkv.size(1)),
        "self_attention: first keys are for causal attention, one for each token");
  if (fuses_attention(qkv)) {
    return fused::self_attention(qkv, cos, sin, num_heads, num_key_value_heads, causal, scale,
                                 first_keys);
  }
  return reference::self_attention(qkv, cos, sin, num_heads, num_key_value_heads, causal, scale,
                                   first_keys);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& bias, bool causal, double scale, double dropout_probability,
                     DropoutKey key, double softcap) {
  check(q.size(1) % k.size(1) == 0, "attention: {} query heads are not a multiple of {} key heads",
        q.size(1), k.size(1));
  return reference::attention(q, k, v, bias, causal, scale, dropout_probability, key, softcap);
}

at::Tensor gated_activation(const at::Tensor& gate_up, Activation activation) {
  check(gate_up.size(-1) % 2 == 0, "gated_activation: {} features are not two halves",
        gate_up.size(-1));
  if (fuses(gate_up) && activation == Activation::silu) {
    return fused::swiglu(gate_up);
  }
  return reference::gated_activation(gate_up, activation);
}

at::Tensor activation(const at::Tensor& x, Activation kind) {
  return reference::activation(x, kind);
}

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& table) {
  return fuses(table) && table.scalar_type() == at::kFloat ? fused::embedding(ids, table)
                                                           : at::embedding(table, ids);
}

at::Tensor dropout(const at::Tensor& x, double probability, DropoutKey key) {
  return probability <= 0 ? x
                          : x * reference::dropout_mask(x.sizes(), x.options(), probability, key);
}

CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& weight,
                                  const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights, int64_t chunk_rows) {
  check(hidden.numel() / hidden.size(-1) == targets.numel(),
        "linear_cross_entropy: {} rows but {} targets", hidden.numel() / hidden.size(-1),
        targets.numel());
  check(!row_weights.defined() || row_weights.numel() == targets.numel(),
        "linear_cross_entropy: {} weights for {} targets",
        row_weights.defined() ? row_weights.numel() : 0, targets.numel());
  if (fuses(hidden)) {
    return fused::linear_cross_entropy(hidden, weight, targets, scale, row_weights, chunk_rows);
  }
  return reference::linear_cross_entropy(hidden, weight.master, targets, scale, row_weights);
}

double sum_of_squares(const at::Tensor& flat) {
  // Fixed pieces added in order: the result does not depend on the number of threads.
  constexpr int64_t kPiece = 1 << 16;
  if (fuses(flat) && flat.is_contiguous()) {
    return fused::sum_of_squares(flat);
  }
  double sum = 0;
  for (int64_t begin = 0; begin < flat.numel(); begin += kPiece) {
    sum += flat.narrow(0, begin, std::min(kPiece, flat.numel() - begin))
               .to(at::kDouble)
               .square()
               .sum()
               .item<double>();
  }
  return sum;
}

void adamw_step(at::Tensor parameter, at::Tensor gradient, at::Tensor exp_avg,
                at::Tensor exp_avg_sq, at::Tensor compute, const AdamwStep& options) {
  const bool plain = parameter.scalar_type() == at::kFloat &&
                     gradient.scalar_type() == at::kFloat && exp_avg.scalar_type() == at::kFloat &&
                     (!compute.defined() || compute.scalar_type() == at::kBFloat16);
  if (fuses(parameter) && plain) {
    fused::adamw_step(parameter, gradient, exp_avg, exp_avg_sq, compute, options);
  } else {
    reference::adamw_step(parameter, gradient, exp_avg, exp_avg_sq, compute, options);
  }
}

void convert_into(at::Tensor destination, const at::Tensor& source) { destination.copy_(source); }

}  // namespace llm
