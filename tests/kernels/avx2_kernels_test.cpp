// The AVX2 backend called by its own name, on every processor that has it: random shapes, each
// against the formula in double precision. (Elsewhere the tests go through the backend in use.)
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "model/kernels/attention_tiles.h"
#include "model/kernels/cpu_backend.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/rows.h"

namespace llm {
namespace {

constexpr int kRounds = 200;

float widened(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

class Avx2Kernels : public testing::Test {
 protected:
  void SetUp() override {
    if (cpu_backend() == CpuBackend::none) GTEST_SKIP() << "this CPU has no AVX2";
  }
  int64_t between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  std::vector<float> numbers(int64_t count, float size = 1) {
    std::normal_distribution<float> normal(0, size);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }
  std::vector<uint16_t> halves(const std::vector<float>& values) {
    std::vector<uint16_t> bits;
    for (const float value : values) bits.push_back(packed::stored<uint16_t>(value));
    return bits;
  }
  std::mt19937 random_{7};
};

/// 64-byte aligned copies: what panels are.
template <typename T>
struct Panel {
  alignas(64) T values[200 * packed::kPanelRows] = {};
};

TEST_F(Avx2Kernels, PanelProductsOfAnyShape) {
  static Panel<float> floats;
  static Panel<uint16_t> pairs;
  for (int round = 0; round < kRounds; ++round) {
    const int64_t columns = between(1, 140), padded = (columns + 1) / 2 * 2, count = between(1, 60),
                  outputs = between(1, 32), x_stride = padded + 2 * between(0, 3),
                  y_stride = outputs + between(0, 5);
    const std::vector<float> w = numbers(columns * 32);
    std::vector<float> x = numbers(count * x_stride);
    std::fill(std::begin(pairs.values), std::end(pairs.values), uint16_t{0});
    for (int64_t k = 0; k < columns; ++k) {
      for (int64_t row = 0; row < 32; ++row) {
        pairs.values[k / 2 * 64 + row * 2 + k % 2] =
            packed::stored<uint16_t>(w[static_cast<size_t>(k * 32 + row)]);
        floats.values[k * 32 + row] = w[static_cast<size_t>(k * 32 + row)];
      }
    }
    for (int64_t m = 0; m < count && padded > columns; ++m)
      x[static_cast<size_t>(m * x_stride + columns)] = 0;
    const std::vector<uint16_t> x_bits = halves(x);
    std::vector<float> y(static_cast<size_t>((count - 1) * y_stride + outputs)), y_halves(y);
    packed::avx2::panel_product(floats.values, x.data(), x_stride, columns, count, y.data(),
                                y_stride, outputs);
    packed::avx2::panel_product(pairs.values, x_bits.data(), x_stride, padded, count,
                                y_halves.data(), y_stride, outputs);
    for (int64_t m = 0; m < count; ++m) {
      for (int64_t row = 0; row < outputs; ++row) {
        double sum = 0, sum_halves = 0;
        for (int64_t k = 0; k < columns; ++k) {
          const auto at = static_cast<size_t>(m * x_stride + k);
          sum += static_cast<double>(floats.values[k * 32 + row]) * static_cast<double>(x[at]);
          sum_halves += static_cast<double>(widened(pairs.values[k / 2 * 64 + row * 2 + k % 2])) *
                        static_cast<double>(widened(x_bits[at]));
        }
        const auto at = static_cast<size_t>(m * y_stride + row);
        ASSERT_NEAR(y[at], sum, 1e-4) << columns << " " << count << " " << outputs;
        ASSERT_NEAR(y_halves[at], sum_halves, 1e-4) << columns << " " << count << " " << outputs;
      }
    }
  }
}

TEST_F(Avx2Kernels, NormsOfAnyWidth) {
  for (int round = 0; round < kRounds; ++round) {
    const int64_t rows = between(1, 3), width = between(1, 70);
    const std::vector<float> x = numbers(rows * width), weight = numbers(width);
    std::vector<float> y(x.size()), inverse(static_cast<size_t>(rows));
    std::vector<uint16_t> halved(x.size());
    rows::avx2::rms_norm(x.data(), static_cast<const float*>(nullptr), weight.data(),
                         static_cast<float*>(nullptr), y.data(), inverse.data(), rows, width,
                         1e-5f);
    rows::avx2::rms_norm(x.data(), static_cast<const float*>(nullptr), weight.data(),
                         static_cast<float*>(nullptr), halved.data(), inverse.data(), rows, width,
                         1e-5f);
    EXPECT_EQ(halved, halves(y));
    for (int64_t row = 0; row < rows; ++row) {
      double squares = 0;
      for (int64_t i = 0; i < width; ++i)
        squares += std::pow(static_cast<double>(x[static_cast<size_t>(row * width + i)]), 2);
      const double by = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
      for (int64_t i = 0; i < width; ++i) {
        const auto at = static_cast<size_t>(row * width + i);
        ASSERT_NEAR(
            y[at],
            static_cast<double>(x[at]) * by * static_cast<double>(weight[static_cast<size_t>(i)]),
            2e-5);
      }
    }
  }
}

TEST_F(Avx2Kernels, CrossEntropyOfAnyWidth) {
  for (int round = 0; round < kRounds; ++round) {
    const int64_t width = between(1, 70), target = between(0, width - 1);
    const std::vector<float> logits = numbers(width, 5);
    std::vector<float> gradient = logits;
    const rows::RowLoss loss =
        rows::avx2::cross_entropy(gradient.data(), width, target, 0.5f, true);
    const double top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
    ASSERT_NEAR(loss.nll,
                std::log(sum) + top - static_cast<double>(logits[static_cast<size_t>(target)]),
                2e-5);
    for (int64_t i = 0; i < width; ++i) {
      const double share =
          std::exp(static_cast<double>(logits[static_cast<size_t>(i)]) - top) / sum;
      ASSERT_NEAR(gradient[static_cast<size_t>(i)], (share - (i == target ? 1 : 0)) * 0.5, 1e-6);
    }
  }
}

TEST_F(Avx2Kernels, SharesOfAnyStretch) {
  for (int round = 0; round < kRounds; ++round) {
    const int64_t padded = 32 * between(1, 3), first = between(0, padded - 1),
                  last = between(first + 1, padded);
    const std::vector<float> scores = numbers(padded, 3);
    std::vector<float> shares(scores.size());
    const float inverse =
        packed::avx2::softmax(scores.data(), first, last, padded, 0.7f, shares.data());
    double top = -1e9, sum = 0;
    for (int64_t i = first; i < last; ++i)
      top = std::max(top, static_cast<double>(scores[static_cast<size_t>(i)]));
    for (int64_t i = first; i < last; ++i)
      sum += std::exp(0.7 * (static_cast<double>(scores[static_cast<size_t>(i)]) - top));
    for (int64_t i = 0; i < padded; ++i) {
      const auto at = static_cast<size_t>(i);
      const double wanted = i < first || i >= last
                                ? 0
                                : std::exp(0.7 * (static_cast<double>(scores[at]) - top)) / sum;
      ASSERT_NEAR(shares[at] * inverse, wanted, 1e-6) << i << " of " << first << " to " << last;
    }
  }
}

TEST_F(Avx2Kernels, RowsAreRoundedAndTurnedWordByWord) {
  for (int round = 0; round < kRounds; ++round) {
    const int64_t width = between(1, 70), words = between(0, 70), rows = between(1, 64),
                  depth = 16 * between(1, 4);
    const std::vector<float> x = numbers(width);
    std::vector<uint16_t> y(static_cast<size_t>(width + width % 2));
    packed::avx2::store_row(x.data(), width, y.data());
    for (int64_t i = 0; i < width; ++i)
      ASSERT_EQ(y[static_cast<size_t>(i)], packed::stored<uint16_t>(x[static_cast<size_t>(i)]));
    const std::vector<float> source = numbers(32 * (words + 1));
    std::array<const std::byte*, packed::kPanelRows> pointers;
    for (size_t row = 0; row < 32; ++row)
      pointers[row] =
          reinterpret_cast<const std::byte*>(source.data() + row * static_cast<size_t>(words + 1));
    std::vector<uint32_t> panel(static_cast<size_t>(32 * words + 1));
    const int64_t done = packed::avx2::pack_rows(pointers, words, panel.data());
    EXPECT_EQ(done, words / 16 * 16);
    for (int64_t word = 0; word < done; ++word) {
      for (int64_t row = 0; row < 32; ++row)
        ASSERT_EQ(std::bit_cast<float>(panel[static_cast<size_t>(word * 32 + row)]),
                  source[static_cast<size_t>(row * (words + 1) + word)]);
    }
    const std::vector<float> tile = numbers(rows * depth);
    std::vector<float> turned(static_cast<size_t>(depth * tiles::kTile));
    tiles::avx2::pack_transposed(tile.data(), depth, rows, depth, turned.data());
    for (int64_t d = 0; d < depth; ++d) {
      for (int64_t row = 0; row < tiles::kTile; ++row)
        ASSERT_EQ(turned[static_cast<size_t>(d * tiles::kTile + row)],
                  row < rows ? tile[static_cast<size_t>(row * depth + d)] : 0.0f);
    }
  }
}

}  // namespace
}  // namespace llm
