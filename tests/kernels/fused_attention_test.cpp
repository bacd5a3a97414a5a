// Law: flash = naive. The tiled attention against the plain composition, values and gradients, at
// every edge of the tiles.
#include "model/kernels/reference.h"
#include "tests/kernels/kernel_test_support.h"

namespace llm {
namespace {

struct Case {
  int64_t batch, tokens, heads, kv_heads, depth, rotated;
  bool causal;
};

class FusedAttention : public ::testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, FusedAttention, ::testing::Values(at::kFloat, at::kBFloat16));

TEST_P(FusedAttention, EqualsReferenceAtTileEdges) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  for (const Case& c : {Case{2, 64, 4, 4, 32, 32, true}, Case{1, 1, 2, 1, 16, 16, true},
                        Case{2, 65, 6, 2, 48, 48, true}, Case{1, 130, 3, 1, 64, 32, true},
                        Case{2, 127, 4, 2, 16, 0, true}, Case{1, 100, 4, 4, 80, 80, false},
                        Case{3, 63, 2, 2, 32, 32, false}, Case{1, 256, 2, 1, 128, 128, true}}) {
    auto x = leaf(normal({c.batch, c.tokens, (c.heads + 2 * c.kv_heads) * c.depth}, 7, type)),
         x2 = leaf(x.to(at::kFloat));
    at::Tensor cos, sin;
    if (c.rotated > 0) {
      auto angle = normal({c.tokens, c.rotated / 2}, 8) * 3;
      cos = angle.cos();
      sin = angle.sin();
    }
    const double scale = 1.0 / std::sqrt(static_cast<double>(c.depth));
    auto y = self_attention(x, cos, sin, c.heads, c.kv_heads, c.causal, scale);
    auto y2 = reference::self_attention(x2, cos, sin, c.heads, c.kv_heads, c.causal, scale, {});
    EXPECT_LE(relative_error(y, y2), tolerance(type)) << c.tokens << " tokens, depth " << c.depth;
    objective(y).backward();
    objective(y2).backward();
    EXPECT_LE(relative_error(x.grad(), x2.grad()), 2 * tolerance(type))
        << c.tokens << " tokens, depth " << c.depth;
  }
}

TEST_P(FusedAttention, FirstKeysEqualReference) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  const int64_t T = 200;
  const auto places = at::arange(T, at::kInt);
  const auto texts = at::tensor({0, 1, 2, 40, 63, 64, 65, 128, 191, 199}, at::kInt);
  const auto starts = at::searchsorted(texts, places, /*out_int32=*/false, /*right=*/true) - 1;
  const auto packed = texts.index_select(0, starts);  // texts of a row
  const auto window = (places - 69).clamp_min(0);     // wider than a tile
  const auto narrow = at::maximum((places - 4).clamp_min(0), packed);
  for (const auto& first :
       {at::stack({packed, narrow}), window.unsqueeze(0), packed.unsqueeze(0)}) {
    auto x = leaf(normal({2, T, (4 + 2 * 2) * 32}, 7, type)), x2 = leaf(x.to(at::kFloat));
    auto y = self_attention(x, {}, {}, 4, 2, true, 0.3, first);
    auto y2 = reference::self_attention(x2, {}, {}, 4, 2, true, 0.3, first);
    EXPECT_LE(relative_error(y, y2), tolerance(type));
    objective(y).backward();
    objective(y2).backward();
    EXPECT_LE(relative_error(x.grad(), x2.grad()), 2 * tolerance(type));
  }
}

TEST_P(FusedAttention, TokensBeforeTheFirstKeyChangeNothing) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto x = normal({1, 150, 3 * 2 * 32}, 3, GetParam());
  auto edited = x.clone();
  edited.narrow(1, 0, 70).add_(1.0);
  const auto first = (at::arange(150, at::kInt) >= 70).to(at::kInt).mul(70).unsqueeze(0);
  auto before = self_attention(x, {}, {}, 2, 2, true, 0.2, first),
       after = self_attention(edited, {}, {}, 2, 2, true, 0.2, first);
  EXPECT_TRUE(at::equal(before.narrow(1, 70, 80), after.narrow(1, 70, 80)));
  EXPECT_FALSE(at::equal(before.narrow(1, 0, 70), after.narrow(1, 0, 70)));
}

TEST_P(FusedAttention, RowsDoNotDependOnBatchMates) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto x = normal({5, 70, 3 * 4 * 32}, 3, GetParam());
  auto all = self_attention(x, {}, {}, 4, 4, true, 0.2);
  EXPECT_TRUE(
      at::equal(all.narrow(0, 3, 1), self_attention(x.narrow(0, 3, 1), {}, {}, 4, 4, true, 0.2)));
}

TEST_P(FusedAttention, LaterTokensNeverChangeEarlierRows) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto x = normal({1, 150, 3 * 2 * 32}, 3, GetParam());
  auto edited = x.clone();
  edited.narrow(1, 90, 60).add_(1.0);
  auto before = self_attention(x, {}, {}, 2, 2, true, 0.2),
       after = self_attention(edited, {}, {}, 2, 2, true, 0.2);
  EXPECT_TRUE(at::equal(before.narrow(1, 0, 90), after.narrow(1, 0, 90)));
  EXPECT_FALSE(at::equal(before.narrow(1, 90, 60), after.narrow(1, 90, 60)));
}

TEST(ReferenceAttention, RowThatSeesNoKeyGivesZeros) {
  auto q = normal({1, 1, 2, 8}, 1), k = normal({1, 1, 2, 8}, 2), v = normal({1, 1, 2, 8}, 3);
  auto bias = at::zeros({1, 1, 2, 2});
  bias.select(2, 0).fill_(-INFINITY);
  auto out = attention(q, k, v, bias, false, 1.0);
  EXPECT_EQ(out.select(2, 0).abs().max().item<float>(), 0.0f);
  EXPECT_GT(out.select(2, 1).abs().max().item<float>(), 0.0f);
}

}  // namespace
}  // namespace llm
