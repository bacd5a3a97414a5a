#include "model/moe.h"

#include <gtest/gtest.h>

#include "tests/model/small_models.h"

namespace llm::test {
namespace {

ModelConfig expert_config(int64_t experts, int64_t per_token) {
  ModelConfig config = small_config();
  config.moe.num_experts = experts;
  config.moe.num_experts_per_tok = per_token;
  return config;
}

TEST(Moe, EveryTokenGetsItsExpertsBestFirst) {
  const at::Tensor scores = at::tensor({1.0, 3.0, 2.0, 0.0, 5.0, -1.0}, at::kDouble).view({2, 3});
  const Routing routing = route(scores, 2, /*normalise=*/false);
  EXPECT_TRUE(at::equal(routing.experts, at::tensor({1, 2, 1, 0}, at::kLong).view({2, 2})));
  EXPECT_TRUE(at::equal(routing.weights[0],
                        at::softmax(scores[0], 0).index_select(0, at::tensor({1, 2}, at::kLong))));
  EXPECT_LT(largest_difference(route(scores, 2, true).weights.sum(-1), at::ones({2})), 1e-15);
}

TEST(Moe, AllExpertsWithAnEvenRouterAreTheirMean) {
  const auto sparse = small_model(expert_config(3, 3));
  at::NoGradGuard no_grad;
  at::Tensor mean_of_experts;
  for (const Parameter& parameter : sparse->named_parameters()) {
    if (parameter.name.ends_with("mlp.gate.weight")) {
      parameter.tensor.detach().zero_();
    }
  }
  const auto dense = small_model(small_config());
  for (const Parameter& parameter : dense->named_parameters()) {
    at::Tensor target = parameter.tensor.detach();
    if (const Parameter* same = sparse->find_parameter(parameter.name)) {
      target.copy_(same->tensor);
      continue;
    }
    // The same weights in every expert: their mean is the dense model.
    const size_t mlp = parameter.name.find("mlp.") + 4;
    for (const std::string expert : {"0.", "1.", "2."}) {
      const std::string name =
          parameter.name.substr(0, mlp) + "experts." + expert + parameter.name.substr(mlp);
      sparse->find_parameter(name)->tensor.detach().copy_(target);
    }
  }
  const at::Tensor ids = token_ids(2, 9, 37);
  EXPECT_LT(largest_difference(logits_of(*sparse, ids), logits_of(*dense, ids)), 1e-5);
}

TEST(Moe, BalanceLossIsOneWhereEvenAndGrowsToTheNumberOfExperts) {
  const at::Tensor even = at::zeros({8, 4}, at::kDouble);
  Routing routing = route(even, 4, false);
  EXPECT_DOUBLE_EQ(load_balance_loss(routing).item<double>(), 1.0);
  at::Tensor one = at::zeros({8, 4}, at::kDouble);
  one.select(1, 2).fill_(100.0);
  EXPECT_NEAR(load_balance_loss(route(one, 1, false)).item<double>(), 4.0, 1e-9);
}

TEST(Moe, TrainingAddsTheGradientOfTheBalanceLoss) {
  const auto router_gradient = [](std::optional<double> coefficient, bool training) {
    ModelConfig config = expert_config(4, 2);
    config.moe.router_aux_loss_coef = coefficient;
    const auto model = small_model(config);
    model->flat_gradients();
    const at::Tensor hidden = model->hidden_states(token_ids(2, 8, 37), {.training = training});
    model->cross_entropy(hidden, token_ids(2, 8, 37, 5), 1.0 / 16).loss.backward();
    return model->find_parameter("model.layers.0.mlp.gate.weight")->tensor.grad().clone();
  };
  const at::Tensor plain = router_gradient(std::nullopt, true);
  EXPECT_TRUE(at::equal(plain, router_gradient(0.5, false)));
  EXPECT_GT(largest_difference(plain, router_gradient(0.5, true)), 1e-6);
}

TEST(Moe, TokensDoNotDependOnTheirCompany) {
  const auto model = small_model(expert_config(4, 2));
  const at::Tensor ids = token_ids(5, 9, 37), all = logits_of(*model, ids);
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_LT(largest_difference(all[row], logits_of(*model, ids.narrow(0, row, 1))[0]), 1e-5);
  }
}

}  // namespace
}  // namespace llm::test
