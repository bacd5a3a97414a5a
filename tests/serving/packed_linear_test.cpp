#include "model/kernels/cpu_backend.h"
#include "model/kernels/packed_linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/kv_blocks.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

class PackedLinear : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cpu_backend()) GTEST_SKIP() << "this CPU has no AVX2";
    at::manual_seed(5);
  }
};

/// x (count, columns) as a product wants it.
std::vector<std::byte> input_of(const PackedWeight& weight, const at::Tensor& x) {
  const auto elements = static_cast<size_t>(activation_row_elements(weight));
  const size_t size = weight.bfloat ? 2 : 4;
  std::vector<std::byte> input(static_cast<size_t>(x.size(0)) * elements * size);
  const at::Tensor rows = x.to(weight.bfloat ? at::kBFloat16 : at::kFloat).contiguous();
  for (int64_t row = 0; row < x.size(0); ++row) {
    std::memcpy(input.data() + static_cast<size_t>(row) * elements * size,
                static_cast<const std::byte*>(rows.const_data_ptr()) +
                    row * x.size(1) * static_cast<int64_t>(size),
                static_cast<size_t>(x.size(1)) * size);
  }
  return input;
}

at::Tensor product(const PackedWeight& weight, const at::Tensor& x, int threads = 2) {
  WorkerTeam team(threads);
  at::Tensor y = at::full({x.size(0), weight.rows}, -77.0f);
  packed_linear(weight, input_of(weight, x).data(), x.size(0), y.mutable_data_ptr<float>(),
                weight.rows, team);
  return y;
}

TEST_F(PackedLinear, EqualsTheMatrixProductForEveryShape) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t rows : {1, 31, 32, 33, 100, 512}) {
      for (const int64_t columns : {1, 2, 7, 64, 129}) {
        const at::Tensor w = at::randn({rows, columns}).to(dtype);
        const PackedWeight packed = pack_weights(std::vector<at::Tensor>{w});
        for (const int64_t count : {1, 2, 5, 11, 12, 13, 30}) {
          const at::Tensor x = at::randn({count, columns}).to(dtype).to(at::kFloat);
          const at::Tensor expected = at::matmul(x.to(at::kDouble), w.to(at::kDouble).t());
          const at::Tensor difference = (product(packed, x).to(at::kDouble) - expected).abs();
          EXPECT_LT(difference.max().item<double>(), 2e-4)
              << rows << " " << columns << " " << count;
        }
      }
    }
  }
}

// Panels packed for one product, in the cache, hold the bits of those that stay.
TEST_F(PackedLinear, DeferredPackingChangesNoBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t columns : {1, 7, 64, 129}) {
      const std::vector<at::Tensor> parts = {at::randn({40, columns}).to(dtype),
                                             at::randn({33, columns}).to(dtype)};
      const PackedWeight packed = pack_weights(parts);
      PackedWeight deferred = defer_packing(parts);
      EXPECT_EQ(deferred.panels.size(), 0u);
      EXPECT_EQ(deferred.bytes(), packed.bytes());
      const at::Tensor x = at::randn({5, columns}).to(dtype).to(at::kFloat);
      const at::Tensor wanted = product(packed, x);
      EXPECT_TRUE(product(deferred, x).equal(wanted)) << columns;
      WorkerTeam team(2);
      pack_deferred(deferred, team);
      EXPECT_TRUE(deferred.unpacked.empty());
      EXPECT_EQ(static_cast<int64_t>(deferred.panels.size()), packed.bytes());
      EXPECT_TRUE(product(deferred, x).equal(wanted)) << columns;
    }
  }
}

TEST_F(PackedLinear, SeveralMatricesStandOneBelowTheOther) {
  const at::Tensor a = at::randn({40, 16}), b = at::randn({8, 16}), c = at::randn({23, 16});
  const PackedWeight packed = pack_weights(std::vector<at::Tensor>{a, b, c}),
                     whole = pack_weights(std::vector<at::Tensor>{at::cat({a, b, c})});
  const at::Tensor x = at::randn({3, 16});
  EXPECT_TRUE(at::equal(product(packed, x), product(whole, x)));
  EXPECT_EQ(packed.rows, 71);
}

TEST_F(PackedLinear, ARowsBitsDoNotDependOnTheOtherRowsOrTheThreads) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const PackedWeight packed =
        pack_weights(std::vector<at::Tensor>{at::randn({300, 200}).to(dtype)});
    const at::Tensor x = at::randn({40, 200});
    const at::Tensor all = product(packed, x);
    EXPECT_TRUE(at::equal(product(packed, x, 1), all));
    EXPECT_TRUE(at::equal(product(packed, x, 5), all));
    for (const int64_t first : {0, 1, 13, 39}) {
      for (const int64_t count : {1, 3, 12}) {
        const int64_t last = std::min<int64_t>(40, first + count);
        EXPECT_TRUE(at::equal(product(packed, x.slice(0, first, last)), all.slice(0, first, last)))
            << first << " " << count;
      }
    }
  }
}

TEST_F(PackedLinear, MixedShapesAndDtypesAreRefused) {
  EXPECT_THROW(pack_weights(std::vector<at::Tensor>{at::randn({4, 3}), at::randn({4, 5})}), Error);
  EXPECT_THROW(
      pack_weights(std::vector<at::Tensor>{at::randn({4, 3}), at::randn({4, 3}).to(at::kBFloat16)}),
      Error);
  EXPECT_THROW(pack_weights(std::vector<at::Tensor>{at::randn({4, 3}).to(at::kHalf)}), Error);
}

TEST_F(PackedLinear, RoundingIsToNearestEvenLikeTorch) {
  const at::Tensor x = at::cat(
      {at::randn({501}) * 1e3, at::tensor({0.0f, -0.0f, 1e-40f, 3.4e38f, INFINITY, -INFINITY})});
  const at::Tensor expected = x.to(at::kBFloat16);
  std::vector<uint16_t> row(static_cast<size_t>(x.numel()) + 1, 1);
  packed::store_row(x.const_data_ptr<float>(), x.numel(), row.data());
  for (int64_t i = 0; i < x.numel(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, static_cast<const uint16_t*>(expected.const_data_ptr()) + i, 2);
    EXPECT_EQ(row[static_cast<size_t>(i)], bits) << i;
    EXPECT_EQ(packed::stored<uint16_t>(x[i].item<float>()), bits) << i;
  }
  EXPECT_EQ(packed::stored<uint16_t>(NAN), 0x7fc0);
  EXPECT_EQ(row.back(), 0);  // an odd row's pair is filled with zero
}

/// What attention means, in double: k and v (T, D), one query.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           int64_t first, int64_t last, double scale) {
  const at::Tensor keys = k.slice(0, first, last).to(at::kDouble),
                   values = v.slice(0, first, last).to(at::kDouble);
  return at::matmul(at::softmax(at::matmul(keys, q.to(at::kDouble)) * scale, 0), values);
}

TEST_F(PackedLinear, AttentionOverThePanelCacheEqualsThePlainFormula) {
  constexpr int64_t kHeads = 2, kGroup = 3, kTokens = 70;
  for (const bool bfloat : {false, true}) {
    const auto dtype = bfloat ? at::kBFloat16 : at::kFloat;
    for (const int64_t dim : {6, 32, 40, 64}) {
      for (const int64_t window : {0, 1, 20}) {
        const KvShape shape{.layers = 1, .heads = kHeads, .head_dim = dim, .bfloat = bfloat};
        const StreamBuffer memory(3 * shape.block_bytes());
        std::vector<std::byte*> blocks;  // in no order
        for (const size_t place : {2, 0, 1})
          blocks.push_back(memory.data() + place * shape.block_bytes());
        const at::Tensor k = at::randn({kTokens, kHeads, dim}).to(dtype).to(at::kFloat),
                         v = at::randn({kTokens, kHeads, dim}).to(dtype).to(at::kFloat);
        const at::Tensor q = at::randn({kTokens, kGroup, dim}).to(dtype);
        at::Tensor out = at::zeros({kTokens, kGroup, dim});
        StreamBuffer scratch;
        // Ten tokens one at a time, the rest as one prompt.
        for (int64_t t = 0; t < kTokens; ++t) {
          append_kv(shape, blocks, 0, t, k[t].contiguous().const_data_ptr<float>(),
                    v[t].contiguous().const_data_ptr<float>());
          const bool single = t < 10;
          if (!single && t + 1 < kTokens) continue;
          const int64_t first = single ? t : 10;
          const at::Tensor queries = q.slice(0, first, t + 1).contiguous();
          attend_kv(shape, blocks, 0, 1,
                    {.q = queries.const_data_ptr(),
                     .first_position = first,
                     .tokens = t + 1 - first,
                     .group = kGroup,
                     .scale = 0.3,
                     .window = window,
                     .out = out.mutable_data_ptr<float>() + first * kGroup * dim,
                     .token_stride = kGroup * dim},
                    scratch);
        }
        for (int64_t t = 0; t < kTokens; ++t) {
          for (int64_t j = 0; j < kGroup; ++j) {
            const int64_t oldest = window > 0 ? std::max<int64_t>(0, t - window + 1) : 0;
            const at::Tensor expected =
                plain_attention(q[t][j], k.select(1, 1), v.select(1, 1), oldest, t + 1, 0.3);
            EXPECT_LT((out[t][j].to(at::kDouble) - expected).abs().max().item<double>(),
                      bfloat ? 1e-2 : 1e-5)
                << t << " " << j << " dim " << dim << " window " << window;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace llm
