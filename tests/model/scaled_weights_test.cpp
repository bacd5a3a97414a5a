// Weights stored with scales: float8, int8 and MXFP4 blocks, against values worked out by hand.
#include "model/scaled_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/model_io.h"
#include "model/weight_source.h"
#include "tests/model/small_models.h"
#include "tests/support/temporary_folder.h"

namespace llm::test {
namespace {

// (2, 4) with one scale per tensor, per row, and per block of 2 columns.
TEST(ScaledWeights, EachScaleCoversItsPart) {
  const at::Tensor weight =
      at::tensor({1.0F, 2.0F, 3.0F, 4.0F, -1.0F, -2.0F, -3.0F, -4.0F}).view({2, 4});
  const at::Tensor stored = weight.to(at::kFloat8_e4m3fn);
  EXPECT_TRUE(at::equal(apply_scales(stored, at::tensor({0.5F}), "w"), weight * 0.5));
  EXPECT_TRUE(at::equal(apply_scales(stored, at::tensor({2.0F, 3.0F}), "w"),
                        weight * at::tensor({2.0F, 3.0F}).view({2, 1})));
  EXPECT_TRUE(at::equal(apply_scales(stored, at::tensor({2.0F, 4.0F}).view({1, 2}), "w"),
                        weight * at::tensor({2.0F, 2.0F, 4.0F, 4.0F})));
  expect_contains(error_of([&] {
                    apply_scales(stored, at::ones({3, 2}), "w");
                  }),
                  "3: w: scales of 3x2 do not fit 2x4");
}

// The last block of 128 is cut off where the size is no multiple.
TEST(ScaledWeights, BlocksOf128MayBeCutOff) {
  const at::Tensor scale = at::tensor({2.0F, 3.0F}).view({1, 2});
  const at::Tensor values = apply_scales(at::ones({128, 130}), scale, "w");
  EXPECT_EQ(values[5][127].item<float>(), 2.0F);
  EXPECT_EQ(values[5][128].item<float>(), 3.0F);
}

// Low nibble first; e2m1 codes 0..7 are 0 .5 1 1.5 2 3 4 6; the scale is 2^(byte - 127).
TEST(ScaledWeights, Mxfp4BlocksAreTheirCodesTimesAPowerOfTwo) {
  at::Tensor blocks = at::zeros({1, 1, 16}, at::kByte);
  blocks[0][0][0] = 0x71;  // 0.5, 6
  blocks[0][0][1] = 0xF2;  // 1, -6
  const at::Tensor values = dequantise_mxfp4(blocks, at::full({1, 1}, 129, at::kByte), "w");
  EXPECT_EQ(values.scalar_type(), at::kBFloat16);
  const at::Tensor row = values.reshape({-1}).to(at::kFloat);
  EXPECT_EQ(row.numel(), 32);
  EXPECT_EQ(row[0].item<float>(), 2.0F);
  EXPECT_EQ(row[1].item<float>(), 24.0F);
  EXPECT_EQ(row[2].item<float>(), 4.0F);
  EXPECT_EQ(row[3].item<float>(), -24.0F);
  EXPECT_EQ(row.slice(0, 4).abs().max().item<float>(), 0.0F);
  expect_contains(error_of([&] { dequantise_mxfp4(blocks, at::zeros({2}, at::kByte), "w"); }),
                  "3: w: scales of 2 do not fit 1x1x16");
}

TEST(ScaledWeights, AFileShowsAWeightAndItsScalesAsOne) {
  const TemporaryFolder folder;
  const at::Tensor weight = at::tensor({1.0F, 2.0F, 3.0F, 4.0F}).view({2, 2});
  save_tensors(folder / "model.safetensors",
               {{"a.weight", weight.to(at::kFloat8_e4m3fn)},
                {"a.weight_scale_inv", at::full({1, 1}, 0.25)},
                {"b.weight", at::tensor({127, -127, 0, 1}, at::kChar).view({2, 2})},
                {"b.SCB", at::tensor({1.0F, 2.0F})},
                {"c.weight", weight}});
  const auto weights = open_weights(folder / "model.safetensors");
  EXPECT_EQ(weights->entries().size(), 3u);
  EXPECT_TRUE(at::equal(weights->tensor("a.weight"), weight * 0.25));
  EXPECT_LT(largest_difference(weights->tensor("b.weight"),
                               at::tensor({1.0F, -1.0F, 0.0F, 2.0F / 127}).view({2, 2})),
            1e-7);
  EXPECT_TRUE(same_bits(weights->tensor("c.weight"), weight));
  EXPECT_EQ(weights->find("a.weight_scale_inv"), nullptr);
}

}  // namespace
}  // namespace llm::test
