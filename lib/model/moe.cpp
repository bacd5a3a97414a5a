#include "model/moe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace llm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// y as it is; in the backward pass the loss counts as if it had been added to the total.
struct WithLoss : torch::autograd::Function<WithLoss> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& loss,
                            double weight) {
    context->saved_data["weight"] = weight;
    context->saved_data["shape"] = loss.detach();
    return y.view_as(y);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor like = context->saved_data["shape"].toTensor();
    return {gradients[0], at::full_like(like, context->saved_data["weight"].toDouble()),
            at::Tensor()};
  }
};

}  // namespace

Routing route(const at::Tensor& scores, int64_t experts_per_token, bool normalise) {
  const auto wide = scores.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  Routing routing;
  routing.probabilities = at::softmax(scores.to(wide), -1);  // (N, E)
  std::tie(routing.weights, routing.experts) =
      at::topk(routing.probabilities, experts_per_token, -1);  // (N, k)
  if (normalise) {
    routing.weights = routing.weights / routing.weights.sum(-1, true);
  }
  return routing;
}

at::Tensor load_balance_loss(const Routing& routing) {
  const int64_t E = routing.probabilities.size(1);
  const at::Tensor chosen =
      at::bincount(routing.experts.flatten(), {}, E).to(routing.probabilities.scalar_type());
  return (chosen / chosen.sum() * routing.probabilities.mean(0)).sum() * static_cast<double>(E);
}

at::Tensor run_experts(const Moe& moe, const at::Tensor& x, const PassContext& pass) {
  const ModelConfig& c = pass.config;
  const at::Tensor tokens = x.reshape({-1, x.size(-1)});  // (N, C)
  const Routing routing = route(moe.router(tokens), c.experts_per_token(), c.moe.norm_topk_prob);
  at::Tensor sum = at::zeros(tokens.sizes(), tokens.options().dtype(routing.weights.scalar_type()));
  for (size_t e = 0; e < moe.experts.size(); ++e) {
    const at::Tensor hits = (routing.experts == static_cast<int64_t>(e)).nonzero();  // (n, 2)
    if (hits.size(0) == 0) {
      continue;
    }
    const at::Tensor rows = hits.select(1, 0), places = hits.select(1, 1);
    const at::Tensor out = feed_forward(moe.experts[e], tokens.index_select(0, rows), c);
    const at::Tensor weights = routing.weights.index({rows, places}).unsqueeze(1);  // (n, 1)
    sum = sum.index_add(0, rows, out.to(sum.scalar_type()) * weights);
  }
  at::Tensor y = sum.to(x.scalar_type()).view(x.sizes());
  const double coefficient = c.moe.router_aux_loss_coef.value_or(0.0);
  if (pass.options.training && coefficient > 0 && at::GradMode::is_enabled()) {
    y = WithLoss::apply(y, load_balance_loss(routing),
                        coefficient * pass.options.router_loss_scale);
  }
  return y;
}

}  // namespace llm
