// The most common block format by AVX-512 F and VL, for CPUs that have them; dequantize() chooses.
#pragma once

#include <cstddef>
#include <span>

namespace llm {

void dequantize_q8_0_avx512(std::span<const std::byte> blocks, std::span<float> out);

}  // namespace llm
