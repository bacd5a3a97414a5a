// Adafactor, https://arxiv.org/abs/1804.04235: the second moment of a matrix is kept as its row and
// column means, so the state is R + C instead of R * C.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "model/kernels/kernels.h"
#include "training/optimizer_kinds.h"

namespace llm {
namespace {

constexpr double kSquareFloor = 1e-30;  // epsilon_1 of the paper

class Adafactor final : public Optimizer {
 public:
  Adafactor(const OptimizerConfig& config, FlatParameters parameters)
      : config_(config), parameters_(std::move(parameters)) {
    const auto options = parameters_.gradients.options().dtype(at::kFloat);
    for (const ParameterSlice& slice : parameters_.slices) {
      Moments moments;
      if (slice.shape.size() == 2) {
        moments.row = at::zeros({slice.shape[0]}, options);
        moments.column = at::zeros({slice.shape[1]}, options);
      } else {
        moments.full = at::zeros(slice.shape, options);
      }
      moments_.push_back(moments);
    }
  }

  void step(const OptimizerStep& options) override {
    const at::NoGradGuard no_grad;
    ++updates;
    const double beta = 1 - std::pow(static_cast<double>(updates), -config_.adafactor_decay_rate);
    for (size_t i = 0; i < parameters_.slices.size(); ++i) {
      update_slice(parameters_.slices[i], moments_[i], beta, options);
    }
    parameters_.gradients.zero_();
    if (parameters_.compute.defined()) {
      convert_into(parameters_.compute, parameters_.values);
    }
  }

  std::vector<OptimizerTensor> state() override {
    std::vector<OptimizerTensor> out;
    for (size_t i = 0; i < parameters_.slices.size(); ++i) {
      const std::string& name = parameters_.slices[i].name;
      if (moments_[i].full.defined()) {
        out.push_back({"exp_avg_sq/" + name, moments_[i].full});
      } else {
        out.push_back({"exp_avg_sq_row/" + name, moments_[i].row});
        out.push_back({"exp_avg_sq_col/" + name, moments_[i].column});
      }
    }
    return out;
  }
  std::string name() const override { return "adafactor"; }

 private:
  struct Moments {
    at::Tensor row, column;  // (R), (C) of a matrix
    at::Tensor full;         // everything else
  };

  static at::Tensor direction(const at::Tensor& gradient, const Moments& moments, double beta) {
    const at::Tensor square = gradient.square().add_(kSquareFloor);
    if (moments.full.defined()) {
      moments.full.mul_(beta).add_(square, 1 - beta);
      return gradient.div(moments.full.sqrt());
    }
    moments.row.mul_(beta).add_(square.mean(1), 1 - beta);
    moments.column.mul_(beta).add_(square.mean(0), 1 - beta);
    const at::Tensor row_factor =
        moments.row.div(moments.row.mean()).rsqrt_().unsqueeze(1);              // (R, 1)
    return gradient.mul(row_factor).mul_(moments.column.rsqrt().unsqueeze(0));  // (R, C)
  }

  void update_slice(const ParameterSlice& slice, const Moments& moments, double beta,
                    const OptimizerStep& options) {
    const at::Tensor value =
        parameters_.values.narrow(0, slice.offset, slice.numel()).view(slice.shape);
    const at::Tensor gradient =
        parameters_.gradients.narrow(0, slice.offset, slice.numel()).view(slice.shape);
    at::Tensor update = direction(scaled_gradient(gradient, options.gradient_scale), moments, beta);
    const double rms = std::sqrt(update.square().mean().item<double>());
    update.mul_(options.learning_rate / std::max(1.0, rms / config_.adafactor_clip_threshold));
    at::Tensor updated = value.scalar_type() == at::kFloat ? value : value.to(at::kFloat);
    if (decays(config_, slice)) {
      updated.mul_(1 - options.learning_rate * config_.weight_decay);
    }
    updated.sub_(update);
    if (!updated.is_same(value)) {
      value.copy_(updated);
    }
  }

  OptimizerConfig config_;
  FlatParameters parameters_;
  std::vector<Moments> moments_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adafactor(const OptimizerConfig& config,
                                          FlatParameters parameters) {
  return std::make_unique<Adafactor>(config, std::move(parameters));
}

}  // namespace llm
