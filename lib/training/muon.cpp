// Muon for hidden matrices, AdamW for everything else. The momentum of a matrix is replaced by the
// nearest (semi-)orthogonal matrix, found by a quintic Newton-Schulz iteration; products run in
// bf16 where the model's do.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "model/kernels/kernels.h"
#include "training/optimizer_kinds.h"

namespace llm {
namespace {

/// X -> U V^T of its singular value decomposition, roughly (singular values end in about 0.7
/// .. 1.2).
at::Tensor orthogonalized(const at::Tensor& matrix, int64_t iterations, at::ScalarType dtype) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = matrix.size(0) > matrix.size(1);
  at::Tensor x = tall ? matrix.t() : matrix;
  x = x.div(matrix.norm().add_(1e-7)).to(dtype).contiguous();  // (r, k), r <= k
  for (int64_t i = 0; i < iterations; ++i) {
    const at::Tensor gram = at::mm(x, x.t());  // (r, r)
    const at::Tensor polynomial = at::mm(gram, gram).mul_(c).add_(gram, b);
    x = at::mm(polynomial, x).add_(x, a);  // (r, k)
  }
  return (tall ? x.t() : x).to(at::kFloat);
}

class Muon final : public Optimizer {
 public:
  Muon(const OptimizerConfig& config, FlatParameters parameters)
      : config_(config),
        parameters_(std::move(parameters)),
        exp_avg_(zero_state(parameters_.gradients)),
        product_dtype_(parameters_.compute.defined() ? parameters_.compute.scalar_type()
                                                     : parameters_.values.scalar_type()) {
    if (product_dtype_ == at::kHalf) {
      product_dtype_ = at::kFloat;  // fp16 overflows in the iteration's squares
    }
    for (const ParameterSlice& slice : parameters_.slices) {
      (slice.kind == ParameterKind::matrix ? matrices_ : others_).push_back(slice);
    }
    ranges_ = decay_ranges(config_, others_);
    int64_t length = 0;
    for (const FlatRange& range : ranges_) {
      length += range.length;
    }
    exp_avg_sq_ = zero_state(parameters_.gradients.narrow(0, 0, length));
  }

  void step(const OptimizerStep& options) override {
    const at::NoGradGuard no_grad;
    ++updates;
    step_others(options);
    for (const ParameterSlice& slice : matrices_) {
      step_matrix(slice, options);
    }
    if (parameters_.compute.defined()) {
      convert_into(parameters_.compute, parameters_.values);
    }
  }

  std::vector<OptimizerTensor> state() override {
    std::vector<OptimizerTensor> out;
    append_state(out, "momentum", exp_avg_, matrices_);
    append_state(out, "exp_avg", exp_avg_, others_);
    int64_t offset = 0;
    for (const ParameterSlice& slice : others_) {
      out.push_back({"exp_avg_sq/" + slice.name,
                     exp_avg_sq_.narrow(0, offset, slice.numel()).view(slice.shape)});
      offset += slice.numel();
    }
    return out;
  }
  std::string name() const override { return "muon"; }

 private:
  void step_others(const OptimizerStep& options) {
    AdamwStep adamw{};
    adamw.learning_rate = options.learning_rate;
    adamw.beta1 = config_.betas[0];
    adamw.beta2 = config_.betas[1];
    adamw.epsilon = config_.epsilon;
    adamw.step = updates;
    adamw.gradient_scale = options.gradient_scale;
    adamw.clear_gradient = true;
    int64_t offset = 0;
    for (const FlatRange& range : ranges_) {
      const auto part = [&](const at::Tensor& flat) {
        return flat.defined() ? flat.narrow(0, range.offset, range.length) : flat;
      };
      adamw.weight_decay = range.weight_decay;
      adamw_step(part(parameters_.values.detach()), part(parameters_.gradients), part(exp_avg_),
                 exp_avg_sq_.narrow(0, offset, range.length), part(parameters_.compute), adamw);
      offset += range.length;
    }
  }

  void step_matrix(const ParameterSlice& slice, const OptimizerStep& options) {
    const auto part = [&](const at::Tensor& flat) {
      return flat.narrow(0, slice.offset, slice.numel()).view(slice.shape);
    };
    const at::Tensor value = part(parameters_.values);
    const at::Tensor gradient = part(parameters_.gradients);
    const at::Tensor momentum = part(exp_avg_);
    const at::Tensor scaled = scaled_gradient(gradient, options.gradient_scale);
    momentum.lerp_(scaled, 1 - config_.muon_momentum);
    const at::Tensor direction =
        scaled.lerp_(momentum, config_.muon_momentum);  // Nesterov's look ahead
    const at::Tensor update = orthogonalized(direction, config_.muon_iterations, product_dtype_);
    const double scale =
        0.2 * std::sqrt(static_cast<double>(std::max(slice.shape[0], slice.shape[1])));
    at::Tensor updated = value.scalar_type() == at::kFloat ? value : value.to(at::kFloat);
    updated.mul_(1 - options.learning_rate * (decays(config_, slice) ? config_.weight_decay : 0));
    updated.add_(update, -options.learning_rate * scale);
    if (!updated.is_same(value)) {
      value.copy_(updated);
    }
    gradient.zero_();
  }

  OptimizerConfig config_;
  FlatParameters parameters_;
  std::vector<ParameterSlice> matrices_, others_;
  std::vector<FlatRange> ranges_;  // of others_
  at::Tensor exp_avg_;     // Muon's momentum in the matrices, AdamW's first moment elsewhere
  at::Tensor exp_avg_sq_;  // others_ only, one after another
  at::ScalarType product_dtype_;
};

}  // namespace

std::unique_ptr<Optimizer> make_muon(const OptimizerConfig& config, FlatParameters parameters) {
  return std::make_unique<Muon>(config, std::move(parameters));
}

}  // namespace llm
