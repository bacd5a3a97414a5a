// The number formats of GGUF tensors: plain floats and blocks of small integers with shared scales.
//
// A tensor is rows of numbers; a row is cut into blocks of `values` numbers, each stored in `bytes`
// bytes, little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the layout of
// each block is drawn in dequantize.cpp). Dequantising is exact: every value is the float32 that
// ggml's own reference computes, bit for bit. Pure functions, thread-safe, no LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace llm {

/// ggml's numbers for the formats. Those that are not named here exist in block_format().
enum class GgmlType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
  mxfp4 = 39,
};

struct BlockFormat {
  GgmlType type;
  std::string_view name;  // "Q4_K"
  uint32_t values;        // numbers in a block; rows are multiples of it
  uint32_t bytes;         // of a block
  bool readable;          // dequantize() knows it
  bool writable;          // quantize() knows it
};

/// nullptr for a number that stands for no format (or one that was withdrawn).
const BlockFormat* find_block_format(uint32_t type);
/// By name, upper or lower case; nullptr if there is none.
const BlockFormat* find_block_format(std::string_view name);
/// Of an enumerator above.
const BlockFormat& block_format(GgmlType type);
/// "F32 F16 Q4_0 ..." or those that quantize() knows.
std::string readable_formats();
std::string writable_formats();

/// out.size() numbers from their blocks. The caller gives exactly as many bytes as out.size() /
/// values blocks have; `format` is readable.
void dequantize(const BlockFormat& format, std::span<const std::byte> blocks, std::span<float> out);

/// The inverse for F32, F16, BF16 (round to nearest, ties to even), Q8_0 and Q4_0 (ggml's reference
/// rounding). in.size() is a multiple of the block; numbers are finite.
void quantize(const BlockFormat& format, std::span<const float> in, std::span<std::byte> blocks);

float half_to_float(uint16_t bits);
/// Round to nearest, ties to even; infinite where float16 ends.
uint16_t float_to_half(float value);

}  // namespace llm
