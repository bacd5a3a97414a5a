// Law: kernel = reference, values and gradients, for the fused operators except attention.
#include <ATen/Parallel.h>

#include "model/kernels/reference.h"
#include "tests/kernels/kernel_test_support.h"

namespace llm {
namespace {

class FusedOperators : public ::testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, FusedOperators, ::testing::Values(at::kFloat, at::kBFloat16));

TEST_P(FusedOperators, RmsNormEqualsReference) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto out = GetParam();
  for (int64_t columns : {16, 40, 129}) {
    auto x = leaf(normal({3, 50, columns}, 1)), w = leaf(normal({columns}, 2));
    auto x2 = leaf(x), w2 = leaf(w);
    auto y = rms_norm(x, w, 1e-5, out);
    auto y2 = reference::rms_norm(x2, w2, 1e-5, out);
    EXPECT_LE(relative_error(y, y2), tolerance(out)) << columns;
    objective(y).backward();
    objective(y2).backward();
    EXPECT_LE(relative_error(x.grad(), x2.grad()), tolerance(out)) << columns;
    EXPECT_LE(relative_error(w.grad(), w2.grad()), tolerance(out)) << columns;
  }
}

TEST_P(FusedOperators, AddRmsNormEqualsAddThenNorm) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  auto r = leaf(normal({2, 37, 48}, 1)), d = leaf(normal({2, 37, 48}, 3, type)),
       w = leaf(normal({48}, 2));
  auto r2 = leaf(r), d2 = leaf(d), w2 = leaf(w);
  auto [sum, y] = add_rms_norm(r, d, w, 1e-5, type);
  auto sum2 = r2 + d2.to(at::kFloat);
  auto y2 = reference::rms_norm(sum2, w2, 1e-5, type);
  EXPECT_EQ(relative_error(sum, sum2), 0.0);
  EXPECT_LE(relative_error(y, y2), tolerance(type));
  (objective(y) + (sum * normal(sum.sizes(), 5)).sum()).backward();
  (objective(y2) + (sum2 * normal(sum.sizes(), 5)).sum()).backward();
  EXPECT_LE(relative_error(r.grad(), r2.grad()), tolerance(type));
  EXPECT_LE(relative_error(d.grad(), d2.grad()), tolerance(type));
  EXPECT_LE(relative_error(w.grad(), w2.grad()), tolerance(type));
}

TEST_P(FusedOperators, SwigluEqualsReference) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  auto x = leaf(normal({5, 33, 2 * 44}, 1, type)), x2 = leaf(x);
  auto y = gated_activation(x, Activation::silu),
       y2 = reference::gated_activation(x2.to(at::kFloat), Activation::silu);
  EXPECT_LE(relative_error(y, y2), tolerance(type));
  objective(y).backward();
  objective(y2).backward();
  EXPECT_LE(relative_error(x.grad(), x2.grad()), tolerance(type));
}

TEST_P(FusedOperators, FusedLinearEqualsSeparateLinears) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  auto flat = normal({80, 32}, 1);
  auto w1 = leaf(flat.narrow(0, 0, 48)), w2 = leaf(flat.narrow(0, 48, 32)),
       b1 = leaf(normal({48}, 4)), b2 = leaf(normal({32}, 5));
  auto x = leaf(normal({2, 9, 32}, 2, type)), x2 = leaf(x);
  auto unbiased = fused_linear(x.detach(), {w1, w2}, flat.to(type));
  EXPECT_LE(relative_error(unbiased, reference::linear(x.detach().to(at::kFloat), flat, {})),
            tolerance(type));
  auto y = fused_linear(x, {w1, w2}, flat.to(type), {b1, b2},
                        at::cat({b1.detach(), b2.detach()}).to(type));
  auto v1 = leaf(w1), v2 = leaf(w2), c1 = leaf(b1), c2 = leaf(b2);
  auto wide = x2.to(at::kFloat);
  auto y2 = at::cat({reference::linear(wide, v1, c1), reference::linear(wide, v2, c2)}, -1);
  EXPECT_LE(relative_error(y, y2), tolerance(type));
  objective(y).backward();
  objective(y2).backward();
  EXPECT_LE(relative_error(x.grad(), x2.grad()), tolerance(type));
  EXPECT_LE(relative_error(w1.grad(), v1.grad()), tolerance(type));
  EXPECT_LE(relative_error(w2.grad(), v2.grad()), tolerance(type));
  EXPECT_LE(relative_error(b1.grad(), c1.grad()), tolerance(type));
  EXPECT_LE(relative_error(b2.grad(), c2.grad()), tolerance(type));
}

TEST_P(FusedOperators, LinearSendsGradientsThroughComputedWeights) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto base = leaf(normal({20, 16}, 1));
  auto x = normal({7, 16}, 2, GetParam());
  objective(llm::linear(x, {base * 2.0, (base.detach() * 2.0).to(GetParam())})).backward();
  auto expected = leaf(base);
  objective(reference::linear(x.to(at::kFloat), expected * 2.0, {})).backward();
  EXPECT_LE(relative_error(base.grad(), expected.grad()), tolerance(GetParam()));
}

TEST_P(FusedOperators, CrossEntropyEqualsReferenceForEveryChunk) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  auto h = normal({70, 24}, 1, type), w = normal({101, 24}, 2);
  auto targets = at::randint(0, 101, {70}, at::make_generator<at::CPUGeneratorImpl>(uint64_t{3}),
                             at::TensorOptions().dtype(at::kLong));
  targets.narrow(0, 10, 7).fill_(kIgnoreTarget);
  for (const bool weighted : {false, true}) {
    const at::Tensor row_weights = weighted ? normal({70}, 4).abs() : at::Tensor();
    auto h2 = leaf(h), w2 = leaf(w);
    auto expected =
        reference::linear_cross_entropy(h2.to(at::kFloat), w2, targets, 0.25, row_weights);
    (expected.loss * 2).backward();
    for (int64_t chunk : {0, 1, 13, 64, 70, 1000}) {
      auto h1 = leaf(h), w1 = leaf(w);
      auto got =
          linear_cross_entropy(h1, {w1, type == at::kFloat ? at::Tensor() : w1.detach().to(type)},
                               targets, 0.25, row_weights, chunk);
      EXPECT_EQ(got.counted, 63);
      EXPECT_NEAR(got.nll_sum, expected.nll_sum,
                  expected.nll_sum * (type == at::kFloat ? 1e-6 : 5e-3));
      EXPECT_NEAR(got.loss.item<double>(), 0.25 * got.nll_sum, 1e-5 * got.nll_sum);
      if (type == at::kFloat) {
        EXPECT_EQ(got.correct, expected.correct);
      }
      (got.loss * 2).backward();
      EXPECT_LE(relative_error(h1.grad(), h2.grad()), tolerance(type)) << chunk;
      EXPECT_LE(relative_error(w1.grad(), w2.grad()), tolerance(type)) << chunk;
    }
  }
}

TEST_P(FusedOperators, NanIsNeverHidden) {
  SKIP_WITHOUT_FUSED_KERNELS();
  const auto type = GetParam();
  auto gate_up = normal({4, 64}, 1, type);
  gate_up.index_put_({2, 5}, NAN);
  auto y = gated_activation(gate_up, Activation::silu);
  EXPECT_TRUE(y.select(0, 2).isnan().any().item<bool>());
  EXPECT_FALSE(y.select(0, 1).isnan().any().item<bool>());

  auto h = leaf(normal({6, 16}, 2, type)), w = leaf(normal({40, 16}, 3));
  w.detach().index_put_({7, 3}, NAN);
  auto loss = linear_cross_entropy(h, {w, type == at::kFloat ? at::Tensor() : w.detach().to(type)},
                                   at::arange(6, at::kLong), 1.0);
  EXPECT_TRUE(std::isnan(loss.nll_sum));

  auto qkv = normal({1, 20, 3 * 32}, 4, type);
  qkv.index_put_({0, 9, 40}, NAN);  // a key
  auto attended = self_attention(qkv, {}, {}, 1, 1, true, 0.2);
  EXPECT_TRUE(attended.select(1, 15).isnan().any().item<bool>());
  EXPECT_FALSE(attended.select(1, 8).isnan().any().item<bool>());
}

TEST(FusedEmbedding, GradientSumsRepeatedTokensInOrder) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto table = leaf(normal({11, 70}, 1)), table2 = leaf(table);
  auto ids = at::tensor({3, 3, 10, 0, 3, 7}, at::kLong).view({2, 3});
  auto y = llm::embedding(ids, table);
  EXPECT_TRUE(at::equal(y, at::embedding(table2, ids)));
  objective(y).backward();
  objective(at::embedding(table2, ids)).backward();
  EXPECT_LE(relative_error(table.grad(), table2.grad()), 1e-6);
}

TEST(FusedAdamw, ThreeStepsEqualReference) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto p = normal({1003}, 1), m = at::zeros({1003}), v = at::zeros({1003}),
       low = at::empty({1003}, at::kBFloat16);
  auto p2 = p.clone(), m2 = m.clone(), v2 = v.clone(), low2 = low.clone();
  for (int64_t step = 1; step <= 3; ++step) {
    auto g = normal({1003}, 10 + step), g2 = g.clone();
    const AdamwStep options{1e-2, 0.9, 0.95, 1e-8, 0.1, step, 0.5, true};
    adamw_step(p, g, m, v, low, options);
    reference::adamw_step(p2, g2, m2, v2, low2, options);
    EXPECT_EQ(g.abs().max().item<float>(), 0.0f);
  }
  EXPECT_LE(relative_error(p, p2), 1e-6);
  EXPECT_LE(relative_error(m, m2), 1e-6);
  EXPECT_LE(relative_error(v, v2), 1e-6);
  EXPECT_TRUE(at::equal(low, p.to(at::kBFloat16)));
}

TEST(FusedRounding, ComputeCopyRoundsLikeLibTorchForEveryKindOfNumber) {
  SKIP_WITHOUT_FUSED_KERNELS();
  auto bits = at::arange(0, int64_t{1} << 32, 65521, at::kLong).to(at::kInt);
  auto p = bits.view(at::kFloat);
  p = at::where(p.isfinite(), p, at::zeros_like(p)).contiguous();
  auto low = at::empty({p.numel()}, at::kBFloat16), zero = at::zeros_like(p), g = at::zeros_like(p),
       v = at::zeros_like(p);
  adamw_step(p, g, zero, v, low, {0.0, 0.9, 0.95, 1e-8, 0.0, 1, 1.0, false});
  EXPECT_TRUE(at::equal(low.to(at::kFloat), p.to(at::kBFloat16).to(at::kFloat)));
}

TEST(SumOfSquares, DoesNotDependOnThreads) {
  auto x = normal({300000}, 1);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const double one = sum_of_squares(x);
  at::set_num_threads(2);
  const double two = sum_of_squares(x);
  at::set_num_threads(before);
  EXPECT_EQ(one, two);
  EXPECT_NEAR(one, x.to(at::kDouble).square().sum().item<double>(), 1e-6 * one);
}

TEST(Dropout, MaskDoesNotDependOnTheBatchSplit) {
  auto x = at::ones({6, 5, 8});
  const DropoutKey key{42, 0};
  auto whole = llm::dropout(x, 0.3, key);
  auto tail = llm::dropout(x.narrow(0, 4, 2), 0.3, {42, 4});
  EXPECT_TRUE(at::equal(whole.narrow(0, 4, 2), tail));
  const double kept =
      llm::dropout(at::ones({64, 32, 32}), 0.3, key).gt(0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(kept, 0.7, 4 * std::sqrt(0.21 / 65536));
  EXPECT_FALSE(at::equal(whole, llm::dropout(x, 0.3, key.at_site(1))));
}

}  // namespace
}  // namespace llm
