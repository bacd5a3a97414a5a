// Every part of the block against the formula written out by hand in plain operators, in float64.
#include <gtest/gtest.h>

#include <cmath>

#include "model/attention_mask.h"
#include "model/position.h"
#include "tests/model/small_models.h"

namespace llm::test {
namespace {

at::Tensor weight(const Transformer& model, const std::string& name) {
  const Parameter* parameter = model.find_parameter(name);
  EXPECT_NE(parameter, nullptr) << name;
  return parameter->tensor.detach();
}

at::Tensor hand_norm(const at::Tensor& x, const Transformer& model, const std::string& name) {
  if (model.config().norm_type == "rms_norm") {
    return x / at::sqrt(x.pow(2).mean(-1, true) + model.config().rms_norm_eps) *
           weight(model, name + ".weight");
  }
  const at::Tensor centred = x - x.mean(-1, true);
  return centred / at::sqrt(centred.pow(2).mean(-1, true) + model.config().rms_norm_eps) *
             weight(model, name + ".weight") +
         weight(model, name + ".bias");
}

at::Tensor hand_linear(const at::Tensor& x, const Transformer& model, const std::string& name) {
  const at::Tensor y = at::matmul(x, weight(model, name + ".weight").t());
  return model.find_parameter(name + ".bias") ? y + weight(model, name + ".bias") : y;
}

// One sequence x (T, C), each head and query on its own: nothing shared with the code under test.
at::Tensor hand_attention(const at::Tensor& x, const Transformer& model, const std::string& prefix,
                          const std::function<bool(int64_t, int64_t)>& visible) {
  const ModelConfig& c = model.config();
  const int64_t T = x.size(0), D = c.head_size(),
                group = c.num_attention_heads / c.key_value_heads();
  const at::Tensor q = hand_linear(x, model, prefix + "q_proj"),
                   k = hand_linear(x, model, prefix + "k_proj"),
                   v = hand_linear(x, model, prefix + "v_proj");
  const std::vector<double> speeds = rope_inverse_frequencies(c),
                            slopes = alibi_slopes(c.num_attention_heads);
  const auto rotated = [&](const at::Tensor& head, int64_t t) {
    at::Tensor out = head.clone();
    for (int64_t i = 0; c.uses_rope() && i < D / 2; ++i) {
      const double angle = static_cast<double>(t) * speeds[static_cast<size_t>(i)];
      out[i] = head[i] * std::cos(angle) - head[i + D / 2] * std::sin(angle);
      out[i + D / 2] = head[i + D / 2] * std::cos(angle) + head[i] * std::sin(angle);
    }
    return out;
  };
  at::Tensor out = at::zeros({T, c.num_attention_heads * D}, at::kDouble);
  for (int64_t h = 0; h < c.num_attention_heads; ++h) {
    for (int64_t t = 0; t < T; ++t) {
      std::vector<double> scores;
      std::vector<int64_t> keys;
      for (int64_t s = 0; s < T; ++s) {
        if (visible(t, s)) {
          const double product = rotated(q[t].narrow(0, h * D, D), t)
                                     .dot(rotated(k[s].narrow(0, h / group * D, D), s))
                                     .item<double>();
          const double bias =
              c.position_embedding_type == "alibi"
                  ? -slopes[static_cast<size_t>(h)] * std::abs(static_cast<double>(t - s))
                  : 0.0;
          scores.push_back(product / std::sqrt(static_cast<double>(D)) + bias);
          keys.push_back(s);
        }
      }
      const at::Tensor weights = at::softmax(at::tensor(scores, at::kDouble), 0);
      for (size_t i = 0; i < keys.size(); ++i) {
        out[t]
            .narrow(0, h * D, D)
            .add_(v[keys[i]].narrow(0, h / group * D, D) * weights[static_cast<int64_t>(i)]);
      }
    }
  }
  return hand_linear(out, model, prefix + "o_proj");
}

at::Tensor hand_act(const at::Tensor& x, const std::string& type) {
  if (type == "relu") {
    return x.clamp_min(0);
  }
  return type == "silu" || type == "swiglu" ? x / (1 + at::exp(-x))
                                            : 0.5 * x * (1 + at::erf(x / std::sqrt(2.0)));
}

at::Tensor hand_mlp(const at::Tensor& x, const Transformer& model, const std::string& prefix) {
  const std::string& type = model.config().ffn_type;
  const at::Tensor up = hand_linear(x, model, prefix + "up_proj");
  const at::Tensor inner = model.config().gated_ffn()
                               ? hand_act(hand_linear(x, model, prefix + "gate_proj"), type) * up
                               : hand_act(up, type);
  return hand_linear(inner, model, prefix + "down_proj");
}

at::Tensor hand_logits(const Transformer& model, const at::Tensor& ids,
                       const std::function<bool(int64_t, int64_t)>& visible) {
  const ModelConfig& c = model.config();
  const int64_t T = ids.size(1);
  at::Tensor x = weight(model, "model.embed_tokens.weight").index_select(0, ids[0]);
  if (c.position_embedding_type == "absolute") {
    x = x + weight(model, "model.embed_positions.weight").narrow(0, 0, T);
  } else if (c.position_embedding_type == "sinusoidal") {
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t i = 0; i < c.hidden_size; ++i) {
        const double angle =
            static_cast<double>(t) /
            std::pow(10000.0, static_cast<double>(i / 2 * 2) / static_cast<double>(c.hidden_size));
        x[t][i] += i % 2 == 0 ? std::sin(angle) : std::cos(angle);
      }
    }
  }
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    const auto norm1 = [&](const at::Tensor& y) {
      return hand_norm(y, model, prefix + "input_layernorm");
    };
    const auto norm2 = [&](const at::Tensor& y) {
      return hand_norm(y, model, prefix + "post_attention_layernorm");
    };
    const auto attention = [&](const at::Tensor& y) {
      return hand_attention(y, model, prefix + "self_attn.", visible);
    };
    const auto mlp = [&](const at::Tensor& y) { return hand_mlp(y, model, prefix + "mlp."); };
    if (c.use_parallel_ffn) {
      x = c.norm_first ? x + attention(norm1(x)) + mlp(norm1(x)) : norm1(x + attention(x) + mlp(x));
    } else if (c.norm_first) {
      x = x + attention(norm1(x));
      x = x + mlp(norm2(x));
    } else {
      x = norm1(x + attention(x));
      x = norm2(x + mlp(x));
    }
  }
  return at::matmul(
      hand_norm(x, model, "model.norm"),
      weight(model, c.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight").t());
}

bool sees_earlier(int64_t query, int64_t key) { return key <= query; }

void expect_formula(const std::function<void(ModelConfig&)>& change,
                    const std::function<bool(int64_t, int64_t)>& visible = sees_earlier) {
  ModelConfig config = small_config();
  change(config);
  const auto model = small_model(config, at::kDouble);
  at::Tensor flat = model->flat_parameters();
  flat.add_(0.01 *
            at::sin(at::arange(flat.numel(), at::kDouble)));  // norms and biases away from 1 and 0
  const at::Tensor ids = token_ids(1, 9, 37);
  EXPECT_LT(largest_difference(logits_of(*model, ids)[0], hand_logits(*model, ids, visible)), 1e-6);
}

TEST(Formula, EachPositionType) {
  for (const std::string type : {"rope", "absolute", "sinusoidal", "alibi"}) {
    SCOPED_TRACE(type);
    expect_formula([&](ModelConfig& c) { c.position_embedding_type = type; });
  }
}

TEST(Formula, EachFeedForwardType) {
  for (const std::string type : {"swiglu", "geglu", "gelu", "relu", "silu"}) {
    SCOPED_TRACE(type);
    expect_formula([&](ModelConfig& c) { c.ffn_type = type, c.mlp_bias = type != "geglu"; });
  }
}

TEST(Formula, EachNormAndItsPlace) {
  for (const std::string type : {"rms_norm", "layer_norm"}) {
    for (const bool first : {true, false}) {
      SCOPED_TRACE(type + (first ? " pre" : " post"));
      expect_formula(
          [&](ModelConfig& c) { c.norm_type = type, c.norm_first = first, c.rms_norm_eps = 1e-3; });
    }
  }
}

TEST(Formula, ParallelBlock) {
  for (const bool first : {true, false}) {
    expect_formula([&](ModelConfig& c) { c.use_parallel_ffn = true, c.norm_first = first; });
  }
}

TEST(Formula, EveryHeadGrouping) {
  for (const int64_t kv_heads : {1, 2, 4}) {
    expect_formula(
        [&](ModelConfig& c) { c.num_key_value_heads = kv_heads, c.attention_bias = true; });
  }
  expect_formula([](ModelConfig& c) { c.num_key_value_heads.reset(), c.head_dim = 6; });
}

TEST(Formula, SlidingWindowHidesWhatIsFar) {
  expect_formula([](ModelConfig& c) { c.sliding_window = 3; },
                 [](int64_t q, int64_t k) { return k <= q && q - k < 3; });
  expect_formula([](ModelConfig& c) { c.sliding_window = 3, c.position_embedding_type = "alibi"; },
                 [](int64_t q, int64_t k) { return k <= q && q - k < 3; });
  expect_formula([](ModelConfig& c) { c.sliding_window = 9; });
}

TEST(Formula, BlockSparseHidesDistantBlocks) {
  expect_formula(
      [](ModelConfig& c) {
        c.sparse_attention = {.block_size = 2, .local_blocks = 2, .global_blocks = 1};
      },
      [](int64_t q, int64_t k) { return k <= q && (q / 2 - k / 2 < 2 || k / 2 < 1); });
  expect_formula(
      [](ModelConfig& c) {
        c.sparse_attention = {.block_size = 3, .local_blocks = 1, .global_blocks = 0};
      },
      [](int64_t q, int64_t k) { return k <= q && q / 3 == k / 3; });
}

TEST(Formula, TiedHead) {
  expect_formula([](ModelConfig& c) { c.tie_word_embeddings = true; });
}

TEST(Formula, FlashEqualsExplicitScores) {
  for (const bool causal : {true, false}) {
    ModelConfig config = small_config();
    config.use_bidirectional_attention = !causal;
    const auto flash = small_model(config);
    config.attention_type = "standard";
    const auto standard = small_model(config);
    const at::Tensor ids = token_ids(2, 33, 37);
    EXPECT_LT(largest_difference(logits_of(*flash, ids), logits_of(*standard, ids)), 1e-5);
  }
}

TEST(Formula, NormsMayCountFromOne) {
  ModelConfig config = small_config();
  const auto plain = small_model(config);
  config.norm_unit_offset = true;
  const auto offset = small_model(config);
  const at::Tensor ids = token_ids(2, 9, 37);
  EXPECT_EQ(largest_difference(logits_of(*plain, ids), logits_of(*offset, ids)), 0.0)
      << "first weights are 1 and 0";
  at::NoGradGuard no_grad;
  for (const Parameter& parameter : plain->named_parameters()) {
    if (parameter.kind == ParameterKind::norm) {
      const at::Tensor values = at::arange(32, at::TensorOptions(at::kFloat)) / 16;
      offset->find_parameter(parameter.name)->tensor.detach().copy_(values);
      parameter.tensor.detach().copy_(values + 1);
    }
  }
  EXPECT_EQ(largest_difference(logits_of(*plain, ids), logits_of(*offset, ids)), 0.0);
}

TEST(Formula, GroupedHeadsEqualRepeatedKeysAndValues) {
  for (const int64_t kv_heads : {1, 2}) {
    ModelConfig config = small_config();
    config.num_key_value_heads = kv_heads;
    const auto grouped = small_model(config);
    config.num_key_value_heads.reset();
    const auto full = small_model(config);
    for (const Parameter& parameter : full->named_parameters()) {
      at::NoGradGuard no_grad;
      at::Tensor target = parameter.tensor,
                 source = grouped->find_parameter(parameter.name)->tensor;
      if (source.sizes() != target.sizes()) {
        source =
            source.view({kv_heads, 8, 32}).repeat_interleave(4 / kv_heads, 0).reshape({32, 32});
      }
      target.copy_(source);
    }
    const at::Tensor ids = token_ids(2, 11, 37);
    EXPECT_LT(largest_difference(logits_of(*grouped, ids), logits_of(*full, ids)), 1e-5);
  }
}

}  // namespace
}  // namespace llm::test
