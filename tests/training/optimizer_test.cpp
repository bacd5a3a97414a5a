#include "training/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/random.h"

namespace llm {
namespace {

/// Two parameters behind one another: a (2, 3) matrix that decays and a (2) norm that does not.
struct Setting {
  FlatParameters parameters;
  Setting() {
    parameters.values =
        at::tensor({0.5, -0.3, 0.2, 0.1, -0.7, 0.4, 1.0, 1.0}, at::kDouble).to(at::kFloat);
    parameters.gradients = at::zeros({8}, at::kFloat);
    parameters.slices = {{"w", 0, {2, 3}, ParameterKind::matrix},
                         {"norm", 6, {2}, ParameterKind::norm}};
  }
};

/// The gradient of step t (0-based) at element i.
double gradient_at(int t, int i) { return 0.1 * (i + 1) * (t == 1 ? -1.0 : 1.0) - 0.05 * t; }

OptimizerConfig config_for(const std::string& name) {
  OptimizerConfig config;
  config.name = name;
  config.learning_rate = 0.01;
  config.weight_decay = 0.1;
  return config;
}

constexpr double kRate = 0.01;
constexpr double kDecay = 0.1;

/// Runs three steps and holds every element against `expected(i, start)`, an element-wise
/// recurrence written out independently.
void expect_trace(const OptimizerConfig& config,
                  const std::function<double(int i, double start)>& expected) {
  Setting setting;
  const at::Tensor start = setting.parameters.values.clone();
  const auto optimizer = make_optimizer(config, setting.parameters);
  for (int t = 0; t < 3; ++t) {
    for (int i = 0; i < 8; ++i) {
      setting.parameters.gradients[i] = 2 * gradient_at(t, i);
    }
    optimizer->step({kRate, 0.5});  // the scale takes the factor two back
    EXPECT_EQ(setting.parameters.gradients.abs().max().item<float>(), 0) << "gradients are cleared";
  }
  EXPECT_EQ(optimizer->updates, 3);
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(setting.parameters.values[i].item<double>(), expected(i, start[i].item<double>()),
                2e-7)
        << config.name << " element " << i;
  }
}

double decay_of(int i) { return i < 6 ? kDecay : 0.0; }

TEST(Optimizer, AdamwFollowsItsThreeStepTrace) {
  expect_trace(config_for("adamw"), [](int i, double p) {
    double m = 0, v = 0;
    for (int t = 0; t < 3; ++t) {
      const double g = gradient_at(t, i);
      m = 0.9 * m + 0.1 * g;
      v = 0.95 * v + 0.05 * g * g;
      p -= kRate * decay_of(i) * p;
      p -= kRate * (m / (1 - std::pow(0.9, t + 1))) /
           (std::sqrt(v / (1 - std::pow(0.95, t + 1))) + 1e-8);
    }
    return p;
  });
}

TEST(Optimizer, AdamwsFirstStepMovesEachWeightByTheLearningRate) {
  Setting setting;
  OptimizerConfig config = config_for("adamw");
  config.weight_decay = 0;
  const at::Tensor start = setting.parameters.values.clone();
  setting.parameters.gradients.copy_(at::tensor({3.0, -2.0, 0.1, 5.0, -0.01, 1.0, 2.0, -7.0}));
  make_optimizer(config, setting.parameters)->step({kRate, 1});
  const at::Tensor moved = setting.parameters.values - start;
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(std::abs(moved[i].item<double>()), kRate, 1e-6);
  }
}

// Row L17: u = sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g.
TEST(Optimizer, LionFollowsItsThreeStepTrace) {
  expect_trace(config_for("lion"), [](int i, double p) {
    double m = 0;
    for (int t = 0; t < 3; ++t) {
      const double g = gradient_at(t, i);
      const double u = 0.9 * m + 0.1 * g;
      p -= kRate * ((u > 0 ? 1 : u < 0 ? -1 : 0) + decay_of(i) * p);
      m = 0.95 * m + 0.05 * g;
    }
    return p;
  });
}

TEST(Optimizer, SgdFollowsItsThreeStepTrace) {
  for (const bool nesterov : {false, true}) {
    OptimizerConfig config = config_for("sgd");
    config.nesterov = nesterov;
    expect_trace(config, [nesterov](int i, double p) {
      double m = 0;
      for (int t = 0; t < 3; ++t) {
        const double g = gradient_at(t, i);
        m = 0.9 * m + g;
        p -= kRate * ((nesterov ? g + 0.9 * m : m) + decay_of(i) * p);
      }
      return p;
    });
  }
}

TEST(Optimizer, AdafactorFollowsItsThreeStepTrace) {
  // Worked per matrix: row and column means of squares, bias-free factor 1 - t^-0.8, update clipped
  // to root mean square 1.
  double w[6] = {0.5, -0.3, 0.2, 0.1, -0.7, 0.4}, row[2] = {0, 0}, column[3] = {0, 0, 0};
  double norm[2] = {1, 1}, square[2] = {0, 0};
  for (int t = 0; t < 3; ++t) {
    const double beta = 1 - std::pow(t + 1.0, -0.8);
    double row_mean[2] = {0, 0}, column_mean[3] = {0, 0, 0};
    for (int i = 0; i < 6; ++i) {
      const double g = gradient_at(t, i);
      row_mean[i / 3] += g * g / 3;
      column_mean[i % 3] += g * g / 2;
    }
    for (int r = 0; r < 2; ++r) row[r] = beta * row[r] + (1 - beta) * row_mean[r];
    for (int c = 0; c < 3; ++c) column[c] = beta * column[c] + (1 - beta) * column_mean[c];
    double update[6], rms = 0;
    for (int i = 0; i < 6; ++i) {
      update[i] =
          gradient_at(t, i) / std::sqrt(row[i / 3] * column[i % 3] / ((row[0] + row[1]) / 2));
      rms += update[i] * update[i] / 6;
    }
    for (int i = 0; i < 6; ++i)
      w[i] -= kRate * kDecay * w[i] + kRate * update[i] / std::max(1.0, std::sqrt(rms));
    double norm_update[2], norm_rms = 0;
    for (int i = 0; i < 2; ++i) {
      const double g = gradient_at(t, 6 + i);
      square[i] = beta * square[i] + (1 - beta) * g * g;
      norm_update[i] = g / std::sqrt(square[i]);
      norm_rms += norm_update[i] * norm_update[i] / 2;
    }
    for (int i = 0; i < 2; ++i)
      norm[i] -= kRate * norm_update[i] / std::max(1.0, std::sqrt(norm_rms));
  }
  expect_trace(config_for("adafactor"), [&](int i, double) { return i < 6 ? w[i] : norm[i - 6]; });
}

/// Newton-Schulz as muon.cpp documents it, on a 2 x 3 matrix in double.
void orthogonalize(double (&x)[2][3]) {
  double squares = 0;
  for (auto& r : x)
    for (const double v : r) squares += v * v;
  for (auto& r : x)
    for (double& v : r) v /= std::sqrt(squares) + 1e-7;
  for (int iteration = 0; iteration < 5; ++iteration) {
    double gram[2][2] = {}, polynomial[2][2] = {}, next[2][3] = {};
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j)
        for (int k = 0; k < 3; ++k) gram[i][j] += x[i][k] * x[j][k];
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 2; ++j) {
        polynomial[i][j] = -4.7750 * gram[i][j];
        for (int k = 0; k < 2; ++k) polynomial[i][j] += 2.0315 * gram[i][k] * gram[k][j];
      }
    }
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 3; ++j) {
        next[i][j] = 3.4445 * x[i][j];
        for (int k = 0; k < 2; ++k) next[i][j] += polynomial[i][k] * x[k][j];
      }
    }
    std::copy(&next[0][0], &next[0][0] + 6, &x[0][0]);
  }
}

TEST(Optimizer, MuonOrthogonalizesMatricesAndLeavesTheRestToAdamw) {
  double w[6] = {0.5, -0.3, 0.2, 0.1, -0.7, 0.4}, momentum[6] = {};
  for (int t = 0; t < 3; ++t) {
    double x[2][3];
    for (int i = 0; i < 6; ++i) {
      const double g = gradient_at(t, i);
      momentum[i] += 0.05 * (g - momentum[i]);
      x[i / 3][i % 3] = g + 0.95 * (momentum[i] - g);
    }
    orthogonalize(x);
    for (int i = 0; i < 6; ++i)
      w[i] -= kRate * kDecay * w[i] + kRate * 0.2 * std::sqrt(3.0) * x[i / 3][i % 3];
  }
  double norm[2] = {1, 1};
  for (int i = 0; i < 2; ++i) {
    double m = 0, v = 0;
    for (int t = 0; t < 3; ++t) {
      const double g = gradient_at(t, 6 + i);
      m = 0.9 * m + 0.1 * g;
      v = 0.95 * v + 0.05 * g * g;
      norm[i] -= kRate * (m / (1 - std::pow(0.9, t + 1))) /
                 (std::sqrt(v / (1 - std::pow(0.95, t + 1))) + 1e-8);
    }
  }
  // Five iterations multiply fp32 rounding; the bound is that of the iteration, not of the update.
  Setting setting;
  const auto optimizer = make_optimizer(config_for("muon"), setting.parameters);
  for (int t = 0; t < 3; ++t) {
    for (int i = 0; i < 8; ++i) setting.parameters.gradients[i] = gradient_at(t, i);
    optimizer->step({kRate, 1});
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(setting.parameters.values[i].item<double>(), i < 6 ? w[i] : norm[i - 6], 2e-6) << i;
  }
}

TEST(Optimizer, MuonsUpdateOfATallMatrixHasSingularValuesNearOne) {
  FlatParameters parameters;
  parameters.values = at::zeros({48 * 8});
  parameters.gradients = at::zeros({48 * 8});
  const CounterRandom random(5);
  for (int i = 0; i < 48 * 8; ++i) {
    parameters.gradients[i] = random.normal(static_cast<uint64_t>(i));
  }
  parameters.slices = {{"w", 0, {48, 8}, ParameterKind::matrix}};
  OptimizerConfig config = config_for("muon");
  make_optimizer(config, parameters)->step({1.0, 1});
  const at::Tensor update = parameters.values.view({48, 8}) / (0.2 * std::sqrt(48.0));
  const at::Tensor values = at::linalg_svdvals(update);
  EXPECT_GT(values.min().item<double>(), 0.5);
  EXPECT_LT(values.max().item<double>(), 1.3);
}

TEST(Optimizer, DecayTouchesMatricesAndEmbeddingsButNotNormsAndBiases) {
  OptimizerConfig config;
  EXPECT_TRUE(decays(config, {"w", 0, {2, 2}, ParameterKind::matrix}));
  EXPECT_TRUE(decays(config, {"e", 0, {2, 2}, ParameterKind::embedding}));
  EXPECT_TRUE(decays(config, {"h", 0, {2, 2}, ParameterKind::head}));
  EXPECT_FALSE(decays(config, {"n", 0, {2}, ParameterKind::norm}));
  EXPECT_FALSE(decays(config, {"b", 0, {2}, ParameterKind::bias}));
  config.decay_embeddings = false;
  EXPECT_FALSE(decays(config, {"e", 0, {2, 2}, ParameterKind::embedding}));
  EXPECT_FALSE(decays(config, {"h", 0, {2, 2}, ParameterKind::head}));
}

TEST(Optimizer, RefreshesTheComputeCopyWithTheNewValues) {
  for (const char* name : {"adamw", "lion", "sgd", "adafactor", "muon"}) {
    Setting setting;
    setting.parameters.compute = setting.parameters.values.to(at::kBFloat16);
    const auto optimizer = make_optimizer(config_for(name), setting.parameters);
    setting.parameters.gradients.fill_(0.3);
    optimizer->step({0.1, 1});
    EXPECT_TRUE(at::equal(setting.parameters.compute, setting.parameters.values.to(at::kBFloat16)))
        << name;
  }
}

// In bfloat16 0.999 v rounds back to v: a second moment would only grow.
TEST(Optimizer, StatesAreFloat32AlsoWhereWeightsAndGradientsAreBfloat16) {
  for (const char* name : {"adamw", "lion", "sgd", "adafactor", "muon"}) {
    OptimizerConfig config = config_for(name);
    config.betas = {0.9, 0.999};
    Setting whole, half;
    half.parameters.values = half.parameters.values.to(at::kBFloat16);
    half.parameters.gradients = half.parameters.gradients.to(at::kBFloat16);
    const auto first = make_optimizer(config, whole.parameters);
    const auto second = make_optimizer(config, half.parameters);
    for (int step = 0; step < 60; ++step) {
      const at::Tensor gradient =
          at::tensor({0.3, -0.2, 0.1, 0.5, -0.1, 1.0, 0.2, -0.7}).to(at::kBFloat16) /
          (1 << step / 10);  // powers of two: exact in both
      whole.parameters.gradients.copy_(gradient);
      half.parameters.gradients.copy_(gradient);
      first->step({1e-4, 0.25});
      second->step({1e-4, 0.25});
    }
    EXPECT_EQ(half.parameters.gradients.abs().max().item<float>(), 0) << name;
    const auto expected = first->state(), got = second->state();
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].tensor.scalar_type(), at::kFloat) << name;
      // The fused AdamW has 1 - 0.999f, 1.3e-5 off; bfloat16 would be 4e-3 and more.
      EXPECT_TRUE(at::allclose(got[i].tensor, expected[i].tensor, 5e-5, 1e-12))
          << name << " " << got[i].name;
    }
  }
}

TEST(Optimizer, StateNamesCoverEveryParameterAndWritingIntoItRestores) {
  for (const char* name : {"adamw", "lion", "sgd", "adafactor", "muon"}) {
    Setting a, b;
    const auto first = make_optimizer(config_for(name), a.parameters);
    const auto second = make_optimizer(config_for(name), b.parameters);
    a.parameters.gradients.copy_(at::tensor({0.3, -0.2, 0.1, 0.5, -0.1, 1.0, 0.2, -0.7}));
    first->step({0.05, 1});
    const auto from = first->state();
    const auto to = second->state();
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) {
      EXPECT_EQ(from[i].name, to[i].name);
      to[i].tensor.copy_(from[i].tensor);
    }
    second->updates = first->updates;
    b.parameters.values.copy_(a.parameters.values);
    for (auto* s : {&a, &b}) s->parameters.gradients.fill_(0.25);
    first->step({0.05, 1});
    second->step({0.05, 1});
    EXPECT_TRUE(at::equal(a.parameters.values, b.parameters.values)) << name;
  }
}

TEST(Optimizer, AnUnknownNameIsRefusedWithTheChoices) {
  Setting setting;
  try {
    make_optimizer(config_for("adam"), setting.parameters);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_NE(error.message().find("adamw, lion, sgd, adafactor, muon"), std::string::npos);
  }
}

}  // namespace
}  // namespace llm
