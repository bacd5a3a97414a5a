#include "model/init.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/small_models.h"

namespace llm::test {
namespace {

TEST(Init, EveryGroupHasItsStandardDeviation) {
  ModelConfig config = small_config();
  config.vocab_size = 2000;
  config.hidden_size = 128;
  config.intermediate_size = 512;
  config.num_hidden_layers = 8;
  config.initializer_range = 0.02;
  config.attention_bias = true;
  config.norm_type = "layer_norm";
  const auto model = small_model(config);
  for (const Parameter& parameter : model->named_parameters()) {
    const at::Tensor values = parameter.tensor.detach().to(at::kDouble);
    const auto ends = [&](const std::string& end) {
      return parameter.name.size() > end.size() &&
             parameter.name.compare(parameter.name.size() - end.size(), end.size(), end) == 0;
    };
    if (ends(".bias")) {
      EXPECT_EQ(values.abs().max().item<double>(), 0.0) << parameter.name;
    } else if (ends("norm.weight")) {
      EXPECT_EQ((values - 1).abs().max().item<double>(), 0.0) << parameter.name;
    } else {
      const double expected =
          ends("o_proj.weight") || ends("down_proj.weight") ? 0.02 / std::sqrt(16.0) : 0.02;
      const double count = static_cast<double>(values.numel());
      EXPECT_NEAR(values.std().item<double>() / expected, 1.0, 5 / std::sqrt(2 * count))
          << parameter.name;
      EXPECT_NEAR(values.mean().item<double>() / expected, 0.0, 5 / std::sqrt(count))
          << parameter.name;
    }
  }
}

TEST(Init, ValuesFollowSeedAndNameOnly) {
  const auto a = small_model(small_config(), at::kFloat, 1),
             b = small_model(small_config(), at::kFloat, 1),
             c = small_model(small_config(), at::kFloat, 2);
  EXPECT_TRUE(same_bits(a->flat_parameters(), b->flat_parameters()));
  EXPECT_FALSE(same_bits(a->flat_parameters(), c->flat_parameters()));
  ModelConfig other = small_config();
  other.num_hidden_layers = 5;
  other.tie_word_embeddings = true;
  const auto deeper = small_model(other, at::kFloat, 1);
  const std::string name = "model.layers.1.self_attn.q_proj.weight";
  EXPECT_TRUE(same_bits(a->find_parameter(name)->tensor, deeper->find_parameter(name)->tensor))
      << "other parameters must not shift the numbers";
  const auto half = small_model(small_config(), at::kBFloat16, 1);
  EXPECT_TRUE(same_bits(half->flat_parameters(), a->flat_parameters().to(at::kBFloat16)));
}

TEST(Init, FirstLossIsNearTheUniformOne) {
  ModelConfig config = small_config();
  config.initializer_range = 0.02;
  const auto model = small_model(config);
  const at::Tensor ids = token_ids(4, 32, 37);
  at::NoGradGuard no_grad;
  const CrossEntropy loss = linear_cross_entropy(model->hidden_states(ids), model->output_weight(),
                                                 token_ids(4, 32, 37, 4), 1.0);
  EXPECT_NEAR(loss.nll_sum / 128, std::log(37.0), 0.1);
}

}  // namespace
}  // namespace llm::test
