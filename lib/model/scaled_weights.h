// Quantised weights of safetensors and .bin files as numbers: a weight and its scales become one
// tensor. Conventions in weight_source.h.
#pragma once

#include <ATen/core/Tensor.h>

namespace llm {

/// weight (..., R, C) times scale: one number, one per row (R) or (R, 1), or one per block in a
/// grid (..., r, c) whose blocks are 128 long with a shorter last one or, where that gives another
/// number of blocks, R / r by C / c. Scales are floats, or U8 or E8M0 exponents 2^(byte - 127). ->
/// float32. Throws Error(bad_input) "<name>: scales of 3x4 do not fit 100x200".
at::Tensor apply_scales(const at::Tensor& weight, const at::Tensor& scale, const std::string& name);

/// The OCP microscaling format: blocks (..., G, 16) U8 of 32 e2m1 numbers, low half first; scales
/// (..., G) U8, 2^(byte - 127). -> bfloat16 (..., G * 32); three or more leading dimensions (E, R,
/// G): experts, which Hugging Face's parameters hold transposed, (E, G * 32, R).
at::Tensor dequantise_mxfp4(const at::Tensor& blocks, const at::Tensor& scales,
                            const std::string& name);

}  // namespace llm
