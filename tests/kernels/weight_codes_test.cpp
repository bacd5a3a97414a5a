// Weights in codes (weight_codes.h): what the rounding loses, and that a product multiplies with
// exactly what the codes stand for.
#include "model/kernels/cpu_backend.h"
#include "model/kernels/weight_codes.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/kernels/packed_linear.h"
#include "model/kernels/worker_team.h"
#include "tests/kernels/kernel_test_support.h"

namespace llm {
namespace {

constexpr Codes kAllCodes[] = {Codes::int8, Codes::fp8, Codes::int4};

/// A panel ([columns][32]) through codes and back.
std::vector<float> rounded(Codes codes, const std::vector<float>& values) {
  const auto columns = static_cast<int64_t>(values.size()) / packed::kPanelRows;
  std::vector<std::byte> panel(static_cast<size_t>(packed::code_panel_bytes(codes, columns)));
  packed::encode_panel(codes, values.data(), columns, panel.data());
  std::vector<float> back(values.size());
  packed::decode_panel(codes, panel.data(), columns, back.data());
  return back;
}

std::vector<float> random_panel(int64_t columns, float size = 0.02f) {
  const at::Tensor x = normal({columns, packed::kPanelRows}, 3) * size;
  const float* first = x.const_data_ptr<float>();
  return {first, first + x.numel()};
}

TEST(WeightCodes, NamesAreReadAndWritten) {
  for (const char* name : {"none", "int8", "fp8", "int4"})
    EXPECT_EQ(codes_name(*parse_codes(name)), name);
  EXPECT_FALSE(parse_codes("int2").has_value());
}

TEST(WeightCodes, Fp8IsTorchsE4m3) {
  for (int bits = 0; bits < 127; ++bits)
    EXPECT_EQ(packed::fp8_bits(packed::fp8_value(static_cast<uint8_t>(bits))), bits);
  EXPECT_EQ(packed::fp8_value(126), 448.0f);
  EXPECT_EQ(packed::fp8_value(1), 0x1p-9f);
  // Every step between two neighbours in quarters, so the ties too.
  std::vector<float> magnitudes;
  for (uint8_t bits = 0; bits < 126; ++bits) {
    const float low = packed::fp8_value(bits), high = packed::fp8_value(bits + 1);
    for (const float part : {0.25f, 0.5f, 0.75f}) magnitudes.push_back(low + part * (high - low));
  }
  const at::Tensor torchs = at::tensor(magnitudes).to(at::kFloat8_e4m3fn).to(at::kFloat);
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    EXPECT_EQ(packed::fp8_value(packed::fp8_bits(magnitudes[i])),
              torchs[static_cast<int64_t>(i)].item<float>())
        << magnitudes[i];
  }
}

TEST(WeightCodes, EachNumberIsWithinAStepOfItsOwn) {
  constexpr int64_t kColumns = 70;  // the last int4 group is not whole
  const std::vector<float> values = random_panel(kColumns);
  for (const Codes codes : kAllCodes) {
    const std::vector<float> back = rounded(codes, values);
    for (int64_t row = 0; row < packed::kPanelRows; ++row) {
      for (int64_t column = 0; column < kColumns; ++column) {
        const int64_t first = codes == Codes::int4 ? column / 32 * 32 : 0,
                      last =
                          codes == Codes::int4 ? std::min<int64_t>(first + 32, kColumns) : kColumns;
        float largest = 0;
        for (int64_t k = first; k < last; ++k)
          largest = std::max(largest, std::fabs(values[static_cast<size_t>(k * 32 + row)]));
        const auto at = static_cast<size_t>(column * 32 + row);
        const float magnitude = std::fabs(values[at]);
        // Half a step; of int4 a whole one, where the number of largest magnitude has the other
        // sign and 7 is the nearest there is. fp8 steps by 1/8 of the power of two below.
        const float most = codes == Codes::int8 ? largest / 127 * 0.5001f
                           : codes == Codes::int4
                               ? largest / 8 * 1.01f
                               : std::max(magnitude / 16, largest / 448 * 0x1p-10f) * 1.001f;
        EXPECT_LE(std::fabs(back[at] - values[at]), most)
            << codes_name(codes) << " " << row << " " << column;
      }
    }
  }
}

TEST(WeightCodes, ZerosStayZerosAndWhatIsNotFiniteShows) {
  constexpr int64_t kColumns = 40;
  for (const Codes codes : kAllCodes) {
    std::vector<float> values(static_cast<size_t>(kColumns * packed::kPanelRows), 0.0f);
    values[1] = std::numeric_limits<float>::quiet_NaN();
    values[2] = -std::numeric_limits<float>::infinity();
    values[3] = 1e-44f;  // too small to have a scale
    values[5] = 3.0f;
    const std::vector<float> back = rounded(codes, values);
    EXPECT_TRUE(std::isnan(back[1])) << codes_name(codes);
    EXPECT_TRUE(std::isnan(back[2])) << codes_name(codes);
    for (const size_t place : {0, 3, 4, 6, 31, 32, 37}) EXPECT_EQ(back[place], 0.0f) << place;
    EXPECT_EQ(back[5], 3.0f) << codes_name(codes);
  }
}

TEST(WeightCodes, AMatrixTakesTheBytesThatTheFormatSays) {
  const at::Tensor w = at::randn({1024, 2048}).to(at::kBFloat16);
  const auto share = [&](Codes codes) {
    const std::vector<StoredRows> rows = {stored_rows(w)};
    return static_cast<double>(defer_packing(rows, true, codes).bytes()) /
           static_cast<double>(w.numel() * 2);
  };
  EXPECT_EQ(share(Codes::none), 1.0);
  EXPECT_NEAR(share(Codes::int8), 0.5, 0.001);
  EXPECT_NEAR(share(Codes::fp8), 0.5, 0.001);
  EXPECT_EQ(share(Codes::int4), 4.5 / 16);
}

class CodedProducts : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cpu_backend()) GTEST_SKIP() << "this CPU has no AVX2";
    at::manual_seed(5);
  }

  /// y of a coded weight for x (count, columns), of the format that x has.
  static at::Tensor product(const PackedWeight& weight, const at::Tensor& x, int threads = 2) {
    const int64_t elements = activation_row_elements(weight);
    at::Tensor padded = at::zeros({x.size(0), elements}, x.options());
    padded.narrow(1, 0, x.size(1)).copy_(x);
    WorkerTeam team(threads);
    at::Tensor y = at::full({x.size(0), weight.rows}, -77.0f);
    packed_linear(weight, padded.const_data_ptr(), x.size(0), y.mutable_data_ptr<float>(),
                  weight.rows, team);
    return y;
  }

  static PackedWeight coded(const at::Tensor& w, Codes codes, bool bfloat) {
    const std::vector<StoredRows> rows = {stored_rows(w)};
    PackedWeight weight = defer_packing(rows, bfloat, codes);
    WorkerTeam team(2);
    pack_deferred(weight, team);
    return weight;
  }

  /// The matrix that the codes stand for, by way of the reference decoder.
  static at::Tensor decoded(const PackedWeight& weight) {
    at::Tensor all = at::empty({(weight.rows + 31) / 32, weight.columns, packed::kPanelRows});
    const int64_t bytes = packed::code_panel_bytes(weight.codes, weight.columns);
    for (int64_t panel = 0; panel < all.size(0); ++panel)
      packed::decode_panel(weight.codes, weight.panels.data() + panel * bytes, weight.columns,
                           all[panel].mutable_data_ptr<float>());
    return all.transpose(1, 2).reshape({-1, weight.columns}).narrow(0, 0, weight.rows);
  }
};

TEST_F(CodedProducts, AreThoseOfTheRoundedMatrix) {
  for (const Codes codes : kAllCodes) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const int64_t rows : {1, 32, 70}) {
        for (const int64_t columns : {1, 31, 64, 129, 200}) {
          const PackedWeight weight =
              coded(at::randn({rows, columns}).to(dtype), codes, dtype == at::kBFloat16);
          const at::Tensor matrix = decoded(weight).to(at::kDouble);
          for (const int64_t count : {1, 2, 3, 4, 7, 49}) {
            const at::Tensor x = at::randn({count, columns}).to(dtype);
            const at::Tensor expected = at::matmul(x.to(at::kDouble), matrix.t());
            EXPECT_LT((product(weight, x).to(at::kDouble) - expected).abs().max().item<double>(),
                      2e-4)
                << codes_name(codes) << " " << rows << " " << columns << " " << count;
          }
        }
      }
    }
  }
}

// Law: a row's result depends on its own numbers only.
TEST_F(CodedProducts, ARowsBitsDoNotDependOnTheOtherRowsOrTheThreads) {
  for (const Codes codes : kAllCodes) {
    const PackedWeight weight = coded(at::randn({300, 200}), codes, true);
    const at::Tensor x = at::randn({60, 200}).to(at::kBFloat16);
    const at::Tensor all = product(weight, x);
    EXPECT_TRUE(product(weight, x, 1).equal(all));
    for (const int64_t first : {0, 1, 13, 59}) {
      for (const int64_t count : {1, 2, 3, 12}) {
        const int64_t last = std::min<int64_t>(60, first + count);
        EXPECT_TRUE(product(weight, x.slice(0, first, last)).equal(all.slice(0, first, last)))
            << codes_name(codes) << " " << first << " " << count;
      }
    }
  }
}

TEST_F(CodedProducts, DeferredPackingChangesNoBit) {
  for (const Codes codes : kAllCodes) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const at::Tensor w = at::randn({45, 77}).to(dtype), x = at::randn({5, 77}).to(dtype);
      const std::vector<StoredRows> rows = {stored_rows(w)};
      const PackedWeight deferred = defer_packing(rows, dtype == at::kBFloat16, codes);
      EXPECT_TRUE(product(deferred, x).equal(product(coded(w, codes, dtype == at::kBFloat16), x)));
    }
  }
}

}  // namespace
}  // namespace llm
