// Blocks against ggml's reference.
#include "gguf/block_formats.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "gguf/gguf.h"

namespace llm {
namespace {

std::shared_ptr<const Gguf> fixture() {
  return Gguf::open(LLM_SOURCE_DIR "/tests/gguf/files/blocks.gguf");
}

std::vector<float> floats(const GgufTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / 4);
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class EveryFormat : public testing::TestWithParam<const char*> {};

// The expected numbers are those of the gguf package: tests/support/make_gguf_fixtures.py.
TEST_P(EveryFormat, DequantizesBitForBit) {
  const auto file = fixture();
  const GgufTensor* blocks = file->find_tensor(GetParam());
  ASSERT_NE(blocks, nullptr);
  ASSERT_EQ(blocks->format->name, GetParam());
  const std::vector<float> expected =
      floats(*file->find_tensor(std::string(GetParam()) + ".expected"));
  ASSERT_EQ(static_cast<int64_t>(expected.size()), blocks->shape.back());
  std::vector<float> values(expected.size());
  dequantize(*blocks->format, blocks->bytes, values);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(values[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(expected[i]))
          << i << ": " << values[i] << " and " << expected[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(BlockFormats, EveryFormat,
                         testing::Values("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                         "Q4_K", "Q5_K", "Q6_K", "MXFP4"),
                         [](const auto& test) { return std::string(test.param); });

class WrittenFormat : public testing::TestWithParam<const char*> {};

TEST_P(WrittenFormat, QuantizesToTheBytesOfTheReference) {
  const auto file = fixture();
  const std::vector<float> source = floats(*file->find_tensor("source"));
  const GgufTensor* expected = file->find_tensor(std::string("source.") + GetParam());
  ASSERT_NE(expected, nullptr);
  std::vector<std::byte> blocks(expected->bytes.size());
  quantize(*expected->format, source, blocks);
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_EQ(std::to_integer<int>(blocks[i]), std::to_integer<int>(expected->bytes[i]))
        << "byte " << i << " of block " << i / expected->format->bytes;
  }
}

INSTANTIATE_TEST_SUITE_P(BlockFormats, WrittenFormat,
                         testing::Values("F16", "BF16", "Q8_0", "Q4_0"),
                         [](const auto& test) { return std::string(test.param); });

TEST(BlockFormats, EveryHalfSurvivesFloat) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE((bits & 0x7C00) == 0x7C00 && (bits & 0x3FF) != 0) << bits;
    } else {
      ASSERT_EQ(float_to_half(value), bits);
    }
  }
}

TEST(BlockFormats, HalvesInARowAreTheHalvesOneByOne) {
  std::vector<uint16_t> halves(65536);
  std::iota(halves.begin(), halves.end(), uint16_t{0});
  std::vector<float> values(halves.size());
  dequantize(block_format(GgmlType::f16), std::as_bytes(std::span(halves)), values);
  for (size_t i = 0; i < halves.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(half_to_float(halves[i])))
        << i;
  }
}

TEST(BlockFormats, HalvesRoundToTheNearestAndTiesToEven) {
  EXPECT_EQ(float_to_half(1 + 0x1p-11f), 0x3C00);      // halfway between 1 and the next: even below
  EXPECT_EQ(float_to_half(1 + 3 * 0x1p-11f), 0x3C02);  // halfway: even above
  EXPECT_EQ(float_to_half(1 + 0x1.8p-11f), 0x3C01);
  EXPECT_EQ(float_to_half(0x1p-25f), 0x0000);  // half the smallest subnormal
  EXPECT_EQ(float_to_half(0x1.8p-25f), 0x0001);
  EXPECT_EQ(float_to_half(65519.f), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.f), 0x7C00);
  EXPECT_EQ(float_to_half(-std::numeric_limits<float>::infinity()), 0xFC00);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

TEST(BlockFormats, ANumberStaysWhereItsBlockPutsIt) {
  const BlockFormat& format = block_format(GgmlType::q8_0);
  std::vector<float> numbers(64, 0.f);
  numbers[5] = 1.27f;
  numbers[40] = -2.54f;
  std::vector<std::byte> blocks(68);
  quantize(format, numbers, blocks);
  std::vector<float> back(64);
  dequantize(format, blocks, back);
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_NEAR(back[i], numbers[i], i == 5 || i == 40 ? 1e-3 : 0) << i;
  }
}

TEST(BlockFormats, AreFoundByNumberAndName) {
  EXPECT_EQ(find_block_format(14u)->name, "Q6_K");
  EXPECT_EQ(find_block_format("q6_k"), find_block_format(14u));
  EXPECT_EQ(find_block_format(4u), nullptr);  // withdrawn
  EXPECT_EQ(find_block_format(1000u), nullptr);
  EXPECT_EQ(find_block_format("Q6"), nullptr);
  EXPECT_EQ(find_block_format(""), nullptr);
  EXPECT_EQ(readable_formats(), "F32 F16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K BF16 MXFP4");
  EXPECT_EQ(writable_formats(), "F32 F16 Q4_0 Q8_0 BF16");
}

}  // namespace
}  // namespace llm
