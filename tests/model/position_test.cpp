#include "model/position.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/model/small_models.h"

namespace llm::test {
namespace {

ModelConfig rope_config(const std::string& type, double factor) {
  ModelConfig config = small_config();
  config.head_dim = 64;
  config.max_position_embeddings = 2048;
  config.rope_scaling.rope_type = type;
  config.rope_scaling.factor = factor;
  return config;
}

double plain_speed(int64_t pair) { return std::pow(10000.0, -static_cast<double>(pair) / 32.0); }

TEST(Rope, ProductsDependOnlyOnTheRelativePosition) {
  for (const std::string type : {"none", "linear", "ntk", "yarn", "llama3"}) {
    const ModelConfig config = rope_config(type, type == "none" ? 1.0 : 4.0);
    const at::Tensor speeds =
        at::tensor(rope_inverse_frequencies(config), at::kDouble).to(at::kFloat);
    const at::Tensor q = at::sin(at::arange(64, at::kDouble)).view({1, 1, 1, 64}),
                     k = at::cos(at::arange(64, at::kDouble) * 1.7).view({1, 1, 1, 64});
    const auto product = [&](int64_t query_place, int64_t key_place) {
      const auto at_place = [&](const at::Tensor& x, int64_t place) {
        const RopeTable table = rope_table(at::full({1}, place, at::kLong), speeds, 1.0);
        return rope(x, table.cos, table.sin).flatten();
      };
      return at_place(q, query_place).dot(at_place(k, key_place)).item<double>();
    };
    EXPECT_NEAR(product(7, 3), product(104, 100), 2e-4) << type;
    EXPECT_NEAR(product(0, 0), product(50, 50), 2e-4) << type;
    EXPECT_GT(std::abs(product(7, 3) - product(7, 4)), 1e-3) << type;
  }
}

TEST(Rope, UnscaledSpeedsArePowersOfTheta) {
  const std::vector<double> speeds = rope_inverse_frequencies(rope_config("none", 1));
  ASSERT_EQ(speeds.size(), 32u);
  for (int64_t i = 0; i < 32; ++i) {
    EXPECT_DOUBLE_EQ(speeds[static_cast<size_t>(i)], plain_speed(i));
  }
}

TEST(Rope, LinearDividesEverySpeed) {
  const std::vector<double> speeds = rope_inverse_frequencies(rope_config("linear", 4));
  for (int64_t i = 0; i < 32; ++i) {
    EXPECT_DOUBLE_EQ(speeds[static_cast<size_t>(i)], plain_speed(i) / 4);
  }
}

TEST(Rope, NtkKeepsTheFastestAndStretchesTheSlowestByTheFactor) {
  const std::vector<double> speeds = rope_inverse_frequencies(rope_config("ntk", 4));
  EXPECT_DOUBLE_EQ(speeds.front(), 1.0);
  EXPECT_NEAR(speeds.back(), plain_speed(31) / 4,
              1e-12);  // the base is chosen so that the last pair is interpolated in full
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_NEAR(speeds[i],
                std::pow(10000.0 * std::pow(4.0, 64.0 / 62.0), -static_cast<double>(i) / 32.0),
                1e-12);
  }
}

TEST(Rope, Llama3BlendsBetweenTheTwoWavelengths) {
  ModelConfig config = rope_config("llama3", 8);
  config.rope_scaling.original_max_position_embeddings = 1024;
  config.rope_scaling.low_freq_factor = 1.0;
  config.rope_scaling.high_freq_factor = 4.0;
  const std::vector<double> speeds = rope_inverse_frequencies(config);
  int kept = 0, blended = 0, stretched = 0;
  for (int64_t i = 0; i < 32; ++i) {
    const double plain = plain_speed(i), wavelength = 2 * std::numbers::pi / plain;
    double expected = plain;
    if (wavelength > 1024.0) {
      expected = plain / 8, ++stretched;
    } else if (wavelength >= 256.0) {
      const double smooth = (1024.0 / wavelength - 1.0) / 3.0;
      expected = (1 - smooth) * plain / 8 + smooth * plain, ++blended;
    } else {
      ++kept;
    }
    EXPECT_NEAR(speeds[static_cast<size_t>(i)], expected, 1e-12) << i;
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(blended, 0);
  EXPECT_GT(stretched, 0);
}

TEST(Rope, YarnRampsBetweenTheTwoTurnCounts) {
  ModelConfig config = rope_config("yarn", 4);
  config.rope_scaling.original_max_position_embeddings = 2048;
  const std::vector<double> speeds = rope_inverse_frequencies(config);
  // Pairs that turn 32 times and once in 2,048 positions: 64 ln(2048 / (turns 2 pi)) / (2 ln
  // 10000), rounded outwards: 8 and 21.
  for (int64_t i = 0; i < 32; ++i) {
    const double stretched =
        std::min(std::max((static_cast<double>(i) - 8.0) / (21.0 - 8.0), 0.0), 1.0);
    EXPECT_NEAR(speeds[static_cast<size_t>(i)],
                plain_speed(i) * (1 - stretched) + plain_speed(i) / 4 * stretched, 1e-12)
        << i;
  }
  EXPECT_NEAR(rope_attention_factor(config), 0.1 * std::log(4.0) + 1.0, 1e-12);
  config.rope_scaling.attention_factor = 1.25;
  EXPECT_EQ(rope_attention_factor(config), 1.25);
  EXPECT_EQ(rope_attention_factor(rope_config("linear", 4)), 1.0);
}

TEST(Rope, AttentionFactorScalesCosAndSin) {
  const RopeTable table = rope_table(at::arange(3), at::ones({2}, at::kFloat), 1.5);
  EXPECT_NEAR(table.cos[2][0].item<double>(), 1.5 * std::cos(2.0), 1e-6);
  EXPECT_NEAR(table.sin[2][1].item<double>(), 1.5 * std::sin(2.0), 1e-6);
}

TEST(Alibi, SlopesArePowersOfTwoToTheMinusEightOverHeads) {
  const std::vector<double> eight = alibi_slopes(8);
  for (int i = 1; i <= 8; ++i) {
    EXPECT_DOUBLE_EQ(eight[static_cast<size_t>(i - 1)], std::exp2(-8.0 * i / 8));
  }
  const std::vector<double> sixteen = alibi_slopes(16);
  EXPECT_DOUBLE_EQ(sixteen[0], std::exp2(-0.5));
  EXPECT_DOUBLE_EQ(sixteen[15], std::exp2(-8.0));
}

TEST(Alibi, OddHeadCountsTakeEverySecondSlopeOfTwiceAsMany) {
  const std::vector<double> six = alibi_slopes(6);
  const std::vector<double> expected = {std::exp2(-2.0), std::exp2(-4.0), std::exp2(-6.0),
                                        std::exp2(-8.0), std::exp2(-1.0), std::exp2(-3.0)};
  EXPECT_EQ(six, expected);
}

TEST(Sinusoidal, OddWidthsHaveOneSineMore) {
  const at::Tensor table = sinusoidal_embedding(at::arange(4), 5, at::kDouble);
  ASSERT_EQ(table.sizes(), (at::IntArrayRef{4, 5}));
  EXPECT_NEAR(table[3][0].item<double>(), std::sin(3.0), 1e-12);
  EXPECT_NEAR(table[3][1].item<double>(), std::cos(3.0), 1e-12);
  EXPECT_NEAR(table[3][4].item<double>(), std::sin(3.0 * std::pow(10000.0, -4.0 / 5.0)), 1e-12);
}

}  // namespace
}  // namespace llm::test
