#include "model/kernels/reference.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"

namespace llm::reference {
namespace {

// splitmix64's finaliser: full avalanche, so that neighbouring elements draw independent numbers.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor cast = weight.to(x.scalar_type());
  return bias.defined() ? at::linear(x, cast, bias.to(x.scalar_type())) : at::linear(x, cast);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    at::ScalarType out_dtype) {
  at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  at::Tensor inverse = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
  return (wide * inverse * weight.to(wide.scalar_type())).to(out_dtype);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out_dtype) {
  at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  std::optional<at::Tensor> shift;
  if (bias.defined()) {
    shift = bias.to(wide.scalar_type());
  }
  return at::layer_norm(wide, {x.size(-1)}, weight.to(wide.scalar_type()), shift, eps)
      .to(out_dtype);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = cos.size(-1);
  at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  at::Tensor first = wide.narrow(-1, 0, half);
  at::Tensor second = wide.narrow(-1, half, half);
  at::Tensor c = cos.unsqueeze(-2).to(wide.scalar_type());  // (T, 1, R/2) or (B, T, 1, R/2)
  at::Tensor s = sin.unsqueeze(-2).to(wide.scalar_type());
  std::vector<at::Tensor> parts = {first * c - second * s, second * c + first * s};
  if (2 * half < x.size(-1)) {
    parts.push_back(wide.narrow(-1, 2 * half, x.size(-1) - 2 * half));
  }
  return at::cat(parts, -1).to(x.scalar_type());
}

at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t num_heads, int64_t num_key_value_heads, bool causal, double scale,
                          const at::Tensor& first_keys) {
  const int64_t B = qkv.size(0), T = qkv.size(1), H = num_heads, K = num_key_value_heads;
  const int64_t D = qkv.size(2) / (H + 2 * K);
  at::Tensor heads = qkv.view({B, T, H + 2 * K, D});
  at::Tensor q = heads.narrow(2, 0, H), k = heads.narrow(2, H, K), v = heads.narrow(2, H + K, K);
  if (cos.defined()) {
    q = rope(q, cos, sin);
    k = rope(k, cos, sin);
  }
  at::Tensor bias;
  if (first_keys.defined()) {
    const at::Tensor keys = at::arange(T, first_keys.options()),
                     before = keys.view({1, 1, T}) < first_keys.unsqueeze(2);  // (B or 1, T, T)
    bias = at::zeros(before.sizes(), qkv.options().dtype(at::kFloat))
               .masked_fill(before, -INFINITY)
               .unsqueeze(1);
  }
  at::Tensor out = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias, causal,
                             scale, 0.0, {});
  return out.transpose(1, 2).reshape({B, T, H * D});
}

at::Tensor attention_weights(const at::Tensor& q, const at::Tensor& k, const at::Tensor& bias,
                             bool causal, double scale, double softcap) {
  const int64_t H = q.size(1), K = k.size(1), Tq = q.size(2), Tk = k.size(2);
  const auto wide = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor keys = k.to(wide);
  if (K != H) {
    keys = keys.repeat_interleave(H / K, 1);
  }
  at::Tensor scores = at::matmul(q.to(wide), keys.transpose(-2, -1)) * scale;  // (B, H, Tq, Tk)
  if (softcap > 0) {
    scores = at::tanh(scores / softcap) * softcap;
  }
  if (bias.defined()) {
    scores = scores + bias.to(wide);
  }
  if (causal) {
    at::Tensor hidden = at::ones({Tq, Tk}, q.options().dtype(at::kBool)).triu(Tk - Tq + 1);
    scores = scores.masked_fill(hidden, -INFINITY);
  }
  // A row that sees nothing would be NaN: its weights become zero instead.
  at::Tensor blind = scores.amax(-1, true) == -INFINITY;  // (B, H, Tq, 1)
  return at::softmax(scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& bias, bool causal, double scale, double dropout_probability,
                     DropoutKey key, double softcap) {
  const int64_t H = q.size(1), K = k.size(1);
  at::Tensor weights = attention_weights(q, k, bias, causal, scale, softcap);
  at::Tensor values = v.to(weights.scalar_type());
  if (K != H) {
    values = values.repeat_interleave(H / K, 1);
  }
  if (dropout_probability > 0) {
    weights = weights * dropout_mask(weights.sizes(), weights.options(), dropout_probability, key);
  }
  return at::matmul(weights, values).to(q.scalar_type());
}

at::Tensor activation(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::relu:
      return at::relu(x);
  }
  fail(Exit::internal, "activation: unknown kind");
}

at::Tensor gated_activation(const at::Tensor& gate_up, Activation kind) {
  const int64_t F = gate_up.size(-1) / 2;
  return reference::activation(gate_up.narrow(-1, 0, F), kind) * gate_up.narrow(-1, F, F);
}

at::Tensor dropout_mask(at::IntArrayRef shape, const at::TensorOptions& options, double probability,
                        DropoutKey key) {
  at::Tensor mask = at::empty(shape, at::TensorOptions().dtype(at::kFloat));
  float* out = mask.data_ptr<float>();
  const int64_t rows = shape.empty() ? 1 : shape[0];
  const int64_t per_row = rows == 0 ? 0 : mask.numel() / rows;
  const uint64_t threshold = static_cast<uint64_t>(probability * 4294967296.0);
  const float keep = static_cast<float>(1.0 / (1.0 - probability));
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t row_key =
        mix(key.seed ^ mix(static_cast<uint64_t>(key.first_row + row) + 0x9e3779b97f4a7c15ULL));
    for (int64_t i = 0; i < per_row; ++i) {
      const uint64_t draw = mix(row_key + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ULL) >> 32;
      out[row * per_row + i] = draw < threshold ? 0.0f : keep;
    }
  }
  return mask.to(options);
}

CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                  const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights) {
  at::Tensor rows = hidden.reshape({-1, hidden.size(-1)});
  at::Tensor logits = at::linear(rows, weight.to(rows.scalar_type()));
  if (logits.scalar_type() != at::kDouble) {
    logits = logits.to(at::kFloat);
  }
  return logits_cross_entropy(logits, targets, scale, row_weights);
}

CrossEntropy logits_cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights) {
  const at::Tensor goal = targets.reshape({-1}), counted = goal != kIgnoreTarget;
  at::Tensor sum;
  if (row_weights.defined()) {
    const at::Tensor each =
        at::cross_entropy_loss(logits, goal, {}, at::Reduction::None, kIgnoreTarget);
    sum = (each * row_weights.reshape({-1}).to(each.scalar_type())).sum();
  } else {
    sum = at::cross_entropy_loss(logits, goal, {}, at::Reduction::Sum, kIgnoreTarget);
  }
  CrossEntropy result;
  result.nll_sum = sum.item<double>();
  result.correct = (logits.argmax(-1).eq(goal) & counted).sum().item<int64_t>();
  result.counted = counted.sum().item<int64_t>();
  result.loss = sum * scale;
  return result;
}

void adamw_step(at::Tensor parameter, at::Tensor gradient, at::Tensor exp_avg,
                at::Tensor exp_avg_sq, at::Tensor compute, const AdamwStep& o) {
  at::Tensor g = gradient.to(exp_avg.scalar_type()) * o.gradient_scale;
  exp_avg.mul_(o.beta1).add_(g, 1.0 - o.beta1);
  exp_avg_sq.mul_(o.beta2).addcmul_(g, g, 1.0 - o.beta2);
  const double correction1 = 1.0 - std::pow(o.beta1, static_cast<double>(o.step));
  const double correction2 = 1.0 - std::pow(o.beta2, static_cast<double>(o.step));
  at::Tensor denominator = (exp_avg_sq / correction2).sqrt_().add_(o.epsilon);
  at::Tensor updated =
      parameter.to(exp_avg.scalar_type()) * (1.0 - o.learning_rate * o.weight_decay);
  updated.addcdiv_(exp_avg, denominator, -o.learning_rate / correction1);
  parameter.copy_(updated);
  if (compute.defined()) {
    compute.copy_(updated);
  }
  if (o.clear_gradient) {
    gradient.zero_();
  }
}

}  // namespace llm::reference
