// Lion and SGD: one momentum buffer, updated piece by piece so that a piece stays in cache over the
// few operators of its update.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "model/kernels/kernels.h"
#include "training/optimizer_kinds.h"

namespace llm {
namespace {

class MomentumOptimizer : public Optimizer {
 public:
  MomentumOptimizer(const OptimizerConfig& config, FlatParameters parameters)
      : config_(config),
        parameters_(std::move(parameters)),
        ranges_(decay_ranges(config_, parameters_.slices)),
        momentum_(zero_state(parameters_.gradients)) {}

  void step(const OptimizerStep& options) final {
    const at::NoGradGuard no_grad;
    ++updates;
    for_each_piece(ranges_, [&](int64_t offset, int64_t length, double weight_decay) {
      const at::Tensor value = parameters_.values.narrow(0, offset, length);
      const at::Tensor gradient = parameters_.gradients.narrow(0, offset, length);
      at::Tensor updated = value.scalar_type() == at::kFloat ? value : value.to(at::kFloat);
      updated.mul_(1 - options.learning_rate * weight_decay);
      updated.add_(direction(momentum_.narrow(0, offset, length),
                             scaled_gradient(gradient, options.gradient_scale)),
                   -options.learning_rate);
      if (!updated.is_same(value)) {
        value.copy_(updated);
      }
      gradient.zero_();
    });
    if (parameters_.compute.defined()) {
      convert_into(parameters_.compute, parameters_.values);
    }
  }

  std::vector<OptimizerTensor> state() final {
    std::vector<OptimizerTensor> out;
    append_state(out, "momentum", momentum_, parameters_.slices);
    return out;
  }

 protected:
  /// Updates the momentum from the gradient and returns what to subtract, times the learning rate.
  virtual at::Tensor direction(const at::Tensor& momentum, const at::Tensor& gradient) = 0;
  OptimizerConfig config_;

 private:
  FlatParameters parameters_;
  std::vector<FlatRange> ranges_;
  at::Tensor momentum_;
};

class Lion final : public MomentumOptimizer {
 public:
  using MomentumOptimizer::MomentumOptimizer;
  std::string name() const override { return "lion"; }

 private:
  at::Tensor direction(const at::Tensor& momentum, const at::Tensor& gradient) override {
    const double beta1 = config_.betas[0];
    const double beta2 = config_.betas[1];
    at::Tensor update = momentum.mul(beta1).add_(gradient, 1 - beta1).sign_();
    momentum.mul_(beta2).add_(gradient, 1 - beta2);
    return update;
  }
};

class Sgd final : public MomentumOptimizer {
 public:
  using MomentumOptimizer::MomentumOptimizer;
  std::string name() const override { return "sgd"; }

 private:
  at::Tensor direction(const at::Tensor& momentum, const at::Tensor& gradient) override {
    momentum.mul_(config_.momentum).add_(gradient);
    return config_.nesterov ? gradient.add(momentum, config_.momentum) : momentum;
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_lion(const OptimizerConfig& config, FlatParameters parameters) {
  return std::make_unique<Lion>(config, std::move(parameters));
}

std::unique_ptr<Optimizer> make_sgd(const OptimizerConfig& config, FlatParameters parameters) {
  return std::make_unique<Sgd>(config, std::move(parameters));
}

}  // namespace llm
