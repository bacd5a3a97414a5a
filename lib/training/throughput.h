// What "the machine's speed" means in a report: the rate of a plain matrix product, measured, not
// looked up.
#pragma once

#include <ATen/core/Tensor.h>

namespace llm {

/// FLOP/s of a 1024 x 1024 product in this dtype: best of a few, in well under 0.3 s, once per
/// process. On a busy machine it is low, and shares of it can exceed 1. Not thread-safe.
double measured_matmul_flops(at::ScalarType dtype, const at::Device& device);

}  // namespace llm
