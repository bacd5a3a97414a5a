// The laws of architecture.md 6 for the model: what must hold for every position type and attention
// pattern.
#include <gtest/gtest.h>

#include <vector>

#include "tests/model/small_models.h"

namespace llm::test {
namespace {

struct Variant {
  std::string name;
  std::function<void(ModelConfig&)> change;
};

std::vector<Variant> model_variants() {
  std::vector<Variant> variants;
  for (const std::string position : {"rope", "absolute", "sinusoidal", "alibi"}) {
    for (const int64_t kv_heads : {4, 2, 1}) {
      for (const std::string pattern : {"dense", "sliding", "sparse"}) {
        variants.push_back(
            {position + "_kv" + std::to_string(kv_heads) + "_" + pattern, [=](ModelConfig& c) {
               c.position_embedding_type = position;
               c.num_key_value_heads = kv_heads;
               if (pattern == "sliding") {
                 c.sliding_window = 3;
               } else if (pattern == "sparse") {
                 c.sparse_attention.block_size = 3;
               }
             }});
      }
    }
  }
  variants.push_back({"standard", [](ModelConfig& c) { c.attention_type = "standard"; }});
  variants.push_back({"parallel_layer_norm", [](ModelConfig& c) {
                        c.use_parallel_ffn = true, c.norm_type = "layer_norm";
                      }});
  variants.push_back({"post_norm", [](ModelConfig& c) { c.norm_first = false; }});
  variants.push_back({"biases", [](ModelConfig& c) { c.attention_bias = c.mlp_bias = true; }});
  variants.push_back(
      {"wide_heads_gelu", [](ModelConfig& c) { c.head_dim = 12, c.ffn_type = "gelu"; }});
  variants.push_back({"query_key_norms", [](ModelConfig& c) { c.qk_norm = "head"; }});
  variants.push_back({"output_norms_only", [](ModelConfig& c) {
                        c.qk_norm = "full", c.norm_first = false, c.sublayer_output_norm = true;
                      }});
  variants.push_back({"norms_on_both_sides", [](ModelConfig& c) {
                        c.sublayer_output_norm = c.norm_unit_offset = true;
                        c.ffn_type = "geglu_tanh", c.embedding_multiplier = 5.6;
                      }});
  variants.push_back({"soft_caps_and_layer_types", [](ModelConfig& c) {
                        c.attn_logit_softcapping = 2.0, c.query_pre_attn_scalar = 3.0;
                        c.sliding_window = 3, c.rope_local_base_freq = 100.0;
                        c.layer_types = {"sliding_attention", "full_attention"};
                      }});
  variants.push_back({"experts", [](ModelConfig& c) { c.moe.num_experts = 3; }});
  variants.push_back({"some_experts", [](ModelConfig& c) {
                        c.moe.num_experts = 4, c.moe.moe_intermediate_size = 20;
                        c.moe.mlp_only_layers = {0}, c.moe.norm_topk_prob = true;
                      }});
  variants.push_back({"parallel_two_norms_part_rotated", [](ModelConfig& c) {
                        c.use_parallel_ffn = c.separate_ffn_norm = true, c.rotary_dim = 4;
                      }});
  variants.push_back({"projected_embedding_offset_positions", [](ModelConfig& c) {
                        c.position_embedding_type = "absolute", c.position_offset = 2;
                        c.word_embed_proj_dim = 20, c.remove_final_norm = true;
                      }});
  for (const std::string scaling : {"linear", "ntk", "yarn", "llama3"}) {
    variants.push_back({"rope_" + scaling, [=](ModelConfig& c) {
                          c.rope_scaling.rope_type = scaling, c.rope_scaling.factor = 4;
                        }});
  }
  return variants;
}

class TransformerLaws : public testing::TestWithParam<Variant> {
 protected:
  ModelConfig config() const {
    ModelConfig c = small_config();
    GetParam().change(c);
    return c;
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, TransformerLaws, testing::ValuesIn(model_variants()),
                         [](const auto& info) { return info.param.name; });

TEST_P(TransformerLaws, CachedDecodeEqualsFullForwardAtEveryStep) {
  const auto model = small_model(config());
  const at::Tensor ids = token_ids(2, 13, 37);
  const at::Tensor whole = logits_of(*model, ids);
  for (const int64_t prefill : {1, 5}) {
    KvCache cache(model->config());
    int64_t done = 0;
    while (done < 13) {
      const int64_t step = done == 0   ? prefill
                           : done == 5 ? 3
                                       : 1;  // also several tokens on top of a filled cache
      const at::Tensor part = logits_of(*model, ids.narrow(1, done, step), {.cache = &cache});
      EXPECT_LT(largest_difference(part, whole.narrow(1, done, step)), 2e-5)
          << "tokens " << done << " + " << step;
      done += step;
    }
    EXPECT_EQ(cache.length(), 13);
  }
}

TEST_P(TransformerLaws, EditingATokenNeverChangesEarlierLogits) {
  const auto model = small_model(config());
  const at::Tensor ids = token_ids(1, 12, 37);
  at::Tensor edited = ids.clone();
  edited[0][7] = (ids[0][7].item<int64_t>() + 5) % 37;
  const at::Tensor before = logits_of(*model, ids), after = logits_of(*model, edited);
  EXPECT_EQ(largest_difference(before.narrow(1, 0, 7), after.narrow(1, 0, 7)), 0.0);
  EXPECT_GT(largest_difference(before.narrow(1, 7, 1), after.narrow(1, 7, 1)), 1e-3);
}

TEST_P(TransformerLaws, LeftPaddedBatchEqualsEachRowAlone) {
  const auto model = small_model(config());
  const std::vector<int64_t> lengths = {9, 4, 7};
  at::Tensor ids = at::zeros({3, 9}, at::kLong), mask = at::zeros({3, 9}, at::kLong);
  std::vector<at::Tensor> rows;
  for (size_t row = 0; row < lengths.size(); ++row) {
    const int64_t length = lengths[row];
    rows.push_back(token_ids(1, length + 3, 37, static_cast<int64_t>(row) + 2));
    ids[static_cast<int64_t>(row)]
        .narrow(0, 9 - length, length)
        .copy_(rows.back()[0].narrow(0, 0, length));
    mask[static_cast<int64_t>(row)].narrow(0, 9 - length, length).fill_(1);
  }
  KvCache cache(model->config());
  const at::Tensor prefill = logits_of(*model, ids, {.cache = &cache, .attention_mask = mask});
  std::vector<at::Tensor> steps;
  for (int64_t step = 0; step < 3; ++step) {
    at::Tensor next = at::empty({3, 1}, at::kLong);
    for (size_t row = 0; row < lengths.size(); ++row) {
      next[static_cast<int64_t>(row)][0] = rows[row][0][lengths[row] + step];
    }
    steps.push_back(logits_of(*model, next, {.cache = &cache}));
  }
  for (size_t row = 0; row < lengths.size(); ++row) {
    const auto r = static_cast<int64_t>(row);
    const at::Tensor alone = logits_of(*model, rows[row]);
    EXPECT_LT(largest_difference(prefill[r].narrow(0, 9 - lengths[row], lengths[row]),
                                 alone[0].narrow(0, 0, lengths[row])),
              2e-5)
        << "row " << row;
    for (int64_t step = 0; step < 3; ++step) {
      EXPECT_LT(
          largest_difference(steps[static_cast<size_t>(step)][r][0], alone[0][lengths[row] + step]),
          2e-5)
          << "row " << row << " step " << step;
    }
  }
  EXPECT_TRUE(at::isfinite(prefill).all().item<bool>()) << "a padded query must not become NaN";
}

TEST_P(TransformerLaws, GradientsReachEveryParameter) {
  const auto model = small_model(config());
  model->flat_gradients();
  const at::Tensor ids = token_ids(4, 12, 37), hidden = model->hidden_states(ids);
  linear_cross_entropy(hidden, model->output_weight(), token_ids(4, 12, 37, 5), 1.0 / 48)
      .loss.backward();
  for (const Parameter& parameter : model->named_parameters()) {
    EXPECT_GT(parameter.tensor.grad().abs().max().item<double>(), 0.0) << parameter.name;
    EXPECT_TRUE(at::isfinite(parameter.tensor.grad()).all().item<bool>()) << parameter.name;
  }
  EXPECT_GT(model->flat_gradients().abs().sum().item<double>(), 0.0)
      << "gradients must lie in the flat buffer";
}

TEST_P(TransformerLaws, CheckpointedGradientsEqualPlainOnes) {
  ModelConfig c = config();
  c.dropout = 0.2;
  const auto gradients = [&](bool checkpointing) {
    c.use_gradient_checkpointing = checkpointing;
    const auto model = small_model(c);
    model->flat_gradients();
    const at::Tensor hidden = model->hidden_states(
        token_ids(2, 8, 37), {.training = true, .dropout = {.seed = 3, .first_row = 0}});
    linear_cross_entropy(hidden, model->output_weight(), token_ids(2, 8, 37, 5), 1.0 / 16)
        .loss.backward();
    return model->flat_gradients().clone();
  };
  const at::Tensor plain = gradients(false);
  EXPECT_EQ(largest_difference(gradients(true), plain), 0.0);
}

TEST(Transformer, OverfitsOneBatch) {
  const auto model = small_model(small_config());
  const at::Tensor gradient = model->flat_gradients();
  at::Tensor parameters = model->flat_parameters(), first = at::zeros_like(parameters),
             second = at::zeros_like(parameters);
  const at::Tensor ids = token_ids(2, 16, 37), targets = token_ids(2, 16, 37, 9);
  double loss = 0;
  for (int64_t step = 1; step <= 200; ++step) {
    const CrossEntropy result =
        linear_cross_entropy(model->hidden_states(ids), model->output_weight(), targets, 1.0 / 32);
    result.loss.backward();
    loss = result.nll_sum / 32;
    adamw_step(parameters, gradient, first, second, {},
               {.learning_rate = 5e-3,
                .beta1 = 0.9,
                .beta2 = 0.95,
                .epsilon = 1e-8,
                .weight_decay = 0,
                .step = step,
                .gradient_scale = 1,
                .clear_gradient = true});
  }
  EXPECT_LT(loss, 0.1);
}

TEST(Transformer, DropoutDoesNotDependOnTheBatchSplit) {
  ModelConfig config = small_config();
  config.dropout = 0.3;
  const auto model = small_model(config);
  const at::Tensor ids = token_ids(4, 8, 37);
  const auto run = [&](const at::Tensor& rows, int64_t first_row) {
    return logits_of(*model, rows,
                     {.training = true, .dropout = {.seed = 11, .first_row = first_row}});
  };
  const at::Tensor whole = run(ids, 0),
                   split = at::cat({run(ids.narrow(0, 0, 1), 0), run(ids.narrow(0, 1, 3), 1)});
  EXPECT_LT(largest_difference(whole, split), 1e-5);
  EXPECT_GT(largest_difference(whole, logits_of(*model, ids)), 1e-2)
      << "training must drop something";
  EXPECT_EQ(largest_difference(logits_of(*model, ids),
                               logits_of(*model, ids, {.dropout = {.seed = 99, .first_row = 0}})),
            0.0)
      << "nothing is dropped outside training";
}

TEST(Transformer, BidirectionalTokensSeeLaterOnes) {
  ModelConfig config = small_config();
  config.use_bidirectional_attention = true;
  const auto model = small_model(config);
  const at::Tensor ids = token_ids(1, 8, 37);
  at::Tensor edited = ids.clone();
  edited[0][6] = (ids[0][6].item<int64_t>() + 1) % 37;
  EXPECT_GT(largest_difference(logits_of(*model, ids)[0][1], logits_of(*model, edited)[0][1]),
            1e-4);
  at::Tensor mask = at::ones({1, 8}, at::kLong);
  mask[0][6] = 0;
  const ForwardOptions masked{.attention_mask = mask};
  EXPECT_EQ(largest_difference(logits_of(*model, ids, masked)[0][1],
                               logits_of(*model, edited, masked)[0][1]),
            0.0)
      << "padding is not seen";
  KvCache cache(config);
  EXPECT_EQ(
      error_of([&] { logits_of(*model, ids, {.cache = &cache}); }),
      "2: model: use_bidirectional_attention has no use for a cache: what it holds would change "
      "with every token");
}

TEST(Transformer, TruncatedCacheGoesOnWhereItWasCut) {
  const auto model = small_model(small_config());
  const at::Tensor ids = token_ids(1, 10, 37), whole = logits_of(*model, ids);
  KvCache cache(model->config());
  logits_of(*model, token_ids(1, 8, 37).narrow(1, 0, 4), {.cache = &cache});
  logits_of(*model, token_ids(1, 6, 37, 21), {.cache = &cache});
  cache.truncate(4);
  EXPECT_LT(largest_difference(logits_of(*model, ids.narrow(1, 4, 6), {.cache = &cache}),
                               whole.narrow(1, 4, 6)),
            2e-5);
  EXPECT_EQ(error_of([&] { cache.truncate(11); }),
            "2: kv cache: cannot cut to 11 tokens, it holds 10");
}

TEST(Transformer, SelectedCacheRowsDecodeLikeTheirOriginals) {
  const auto model = small_model(small_config());
  const at::Tensor ids = token_ids(3, 6, 37), whole = logits_of(*model, ids);
  KvCache cache(model->config());
  logits_of(*model, ids.narrow(1, 0, 5), {.cache = &cache});
  cache.select_rows(at::tensor({2, 0}, at::kLong));
  const at::Tensor last = logits_of(
      *model, at::stack({ids[2].narrow(0, 5, 1), ids[0].narrow(0, 5, 1)}), {.cache = &cache});
  EXPECT_LT(largest_difference(last[0][0], whole[2][5]), 2e-5);
  EXPECT_LT(largest_difference(last[1][0], whole[0][5]), 2e-5);
}

TEST(Transformer, MixedPrecisionStaysNearFullPrecision) {
  const auto model = small_model(small_config());
  const at::Tensor ids = token_ids(2, 12, 37), exact = logits_of(*model, ids);
  model->set_compute_dtype(at::kBFloat16);
  EXPECT_EQ(model->hidden_states(ids).scalar_type(), at::kBFloat16);
  const double mixed = largest_difference(logits_of(*model, ids), exact);
  EXPECT_GT(mixed, 0.0);
  EXPECT_LT(mixed, 0.05 * exact.abs().max().item<double>());
  model->flat_gradients();
  linear_cross_entropy(model->hidden_states(ids), model->output_weight(), token_ids(2, 12, 37, 5),
                       1.0 / 24)
      .loss.backward();
  for (const Parameter& parameter : model->named_parameters()) {
    EXPECT_EQ(parameter.tensor.grad().scalar_type(), at::kFloat) << parameter.name;
    EXPECT_GT(parameter.tensor.grad().abs().max().item<double>(), 0.0) << parameter.name;
  }
  model->set_compute_dtype(at::kFloat);
  EXPECT_EQ(largest_difference(logits_of(*model, ids), exact), 0.0);
}

TEST(Transformer, RefreshedComputeCopyFollowsTheParameters) {
  const auto model = small_model(small_config());
  model->set_compute_dtype(at::kBFloat16);
  const at::Tensor ids = token_ids(1, 6, 37), before = logits_of(*model, ids);
  at::Tensor flat = model->flat_parameters();
  flat.mul_(1.5);
  model->refresh_compute_copy();
  EXPECT_GT(largest_difference(logits_of(*model, ids), before), 1e-2);
  EXPECT_TRUE(same_bits(model->flat_compute_copy(), flat.to(at::kBFloat16)));
}

TEST(Transformer, WholeBfloat16ModelRunsAndLearns) {
  const auto model = small_model(small_config(), at::kBFloat16);
  const at::Tensor ids = token_ids(2, 12, 37);
  const at::Tensor exact = logits_of(*small_model(small_config()), ids);
  EXPECT_LT(largest_difference(logits_of(*model, ids), exact),
            0.1 * exact.abs().max().item<double>());
  model->flat_gradients();
  linear_cross_entropy(model->hidden_states(ids), model->output_weight(), ids, 1.0 / 24)
      .loss.backward();
  EXPECT_GT(model->flat_gradients().abs().sum().item<double>(), 0.0);
}

TEST(Transformer, WrongInputsAreRefusedByName) {
  ModelConfig config = small_config();
  config.position_embedding_type = "absolute";
  const auto model = small_model(config);
  EXPECT_EQ(error_of([&] {
              logits_of(*model, at::full({1, 3}, 37, at::kLong));
            }),
            "2: model: token id 37 is outside 0 to 36");
  EXPECT_EQ(error_of([&] {
              logits_of(*model, at::full({1, 3}, -1, at::kLong));
            }),
            "2: model: token id -1 is outside 0 to 36");
  EXPECT_EQ(error_of([&] { logits_of(*model, token_ids(1, 65, 37)); }),
            "2: model: position 64 is not below max_position_embeddings (64)");
  EXPECT_EQ(error_of([&] { logits_of(*model, at::zeros({3}, at::kLong)); }),
            "2: model: input ids must be (batch, tokens) of int64");
}

TEST(Transformer, WeightsThatCannotFitAreRefused) {
  ModelConfig config;
  config.hidden_size = 1 << 16;
  config.intermediate_size = 1 << 18;
  config.num_hidden_layers = 10'000;
  expect_contains(
      error_of([&] { Transformer(config, at::kFloat); }),
      "2: a model of 687.2T parameters needs 2.4 PiB for its weights; there are ");
}

TEST(Transformer, RotaryModelRunsBeyondItsTrainedLength) {
  const auto model = small_model(small_config());
  EXPECT_TRUE(at::isfinite(logits_of(*model, token_ids(1, 130, 37))).all().item<bool>());
}

}  // namespace
}  // namespace llm::test
