// From the user's words to LibTorch's device and dtype.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace llm {

/// "auto" (CUDA where there is one, else CPU), "cpu", "cuda", "cuda:N". Throws Error(usage)
/// "--device cuda:3: no CUDA device found (this build/host has 0)" with the hint "--device cpu".
at::Device resolve_device(std::string_view choice);
/// CUDA devices that this build and host offer.
int cuda_device_count();
/// "float32", "bfloat16", "float16" and short forms f32, bf16, f16, fp32, fp16. Throws
/// Error(usage).
at::ScalarType parse_dtype(std::string_view name);
/// "float32", ... as Hugging Face writes it.
std::string dtype_name(at::ScalarType dtype);

}  // namespace llm
