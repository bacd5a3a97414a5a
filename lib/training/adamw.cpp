#include "model/kernels/kernels.h"
#include "training/optimizer_kinds.h"

namespace llm {
namespace {

class Adamw final : public Optimizer {
 public:
  Adamw(const OptimizerConfig& config, FlatParameters parameters)
      : config_(config),
        parameters_(std::move(parameters)),
        ranges_(decay_ranges(config_, parameters_.slices)),
        exp_avg_(zero_state(parameters_.gradients)),
        exp_avg_sq_(zero_state(parameters_.gradients)) {}

  void step(const OptimizerStep& options) override {
    AdamwStep adamw{};
    adamw.learning_rate = options.learning_rate;
    adamw.beta1 = config_.betas[0];
    adamw.beta2 = config_.betas[1];
    adamw.epsilon = config_.epsilon;
    adamw.step = ++updates;
    adamw.gradient_scale = options.gradient_scale;
    adamw.clear_gradient = true;
    for (const FlatRange& range : ranges_) {
      const auto part = [&](const at::Tensor& flat) {
        return flat.defined() ? flat.narrow(0, range.offset, range.length) : flat;
      };
      adamw.weight_decay = range.weight_decay;
      adamw_step(part(parameters_.values.detach()), part(parameters_.gradients), part(exp_avg_),
                 part(exp_avg_sq_), part(parameters_.compute), adamw);
    }
  }

  std::vector<OptimizerTensor> state() override {
    std::vector<OptimizerTensor> out;
    append_state(out, "exp_avg", exp_avg_, parameters_.slices);
    append_state(out, "exp_avg_sq", exp_avg_sq_, parameters_.slices);
    return out;
  }
  std::string name() const override { return "adamw"; }

 private:
  OptimizerConfig config_;
  FlatParameters parameters_;
  std::vector<FlatRange> ranges_;
  at::Tensor exp_avg_, exp_avg_sq_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const OptimizerConfig& config, FlatParameters parameters) {
  return std::make_unique<Adamw>(config, std::move(parameters));
}

}  // namespace llm
