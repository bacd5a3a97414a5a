#include "gguf/dequantize_avx512.h"

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace llm {
namespace {

/// A float16 as a vector of the float32: exact, a signalling NaN included, which becomes a quiet
/// one in the product anyway.
__m512 scale_at(const std::byte* block) {
  uint16_t half = 0;
  std::memcpy(&half, block, sizeof half);
  return _mm512_broadcastss_ps(
      _mm512_castps512_ps128(_mm512_cvtph_ps(_mm256_castsi128_si256(_mm_cvtsi32_si128(half)))));
}

__m512 numbers_at(const std::byte* q) {
  __m128i bytes;
  std::memcpy(&bytes, q, sizeof bytes);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

}  // namespace

void dequantize_q8_0_avx512(std::span<const std::byte> blocks, std::span<float> out) {
  constexpr size_t kNumbers = 32, kBytes = 34;
  const std::byte* block = blocks.data();
  for (size_t at = 0; at < out.size(); at += kNumbers, block += kBytes) {
    const __m512 scale = scale_at(block);
    _mm512_storeu_ps(out.data() + at, _mm512_mul_ps(numbers_at(block + 2), scale));
    _mm512_storeu_ps(out.data() + at + 16, _mm512_mul_ps(numbers_at(block + 18), scale));
  }
}

}  // namespace llm
