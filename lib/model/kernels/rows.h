// Row kernels on raw memory: the inner loops of the fused operators, compiled for each instruction
// set (rows_avx512.cpp, rows_avx2.cpp). All rows contiguous; `bfloat` is the 16 raw bits of a
// bfloat16. No allocation, no threads of their own: callers split rows among threads.
#pragma once

#include <cstdint>

#include "model/kernels/cpu_backend.h"

namespace llm::rows {

using bfloat = uint16_t;

struct RowLoss {
  float nll;
  bool correct;
};
struct Adamw {
  float learning_rate, beta1, beta2, epsilon, decay_factor, step_size, inverse_sqrt_correction2,
      gradient_scale;
  bool clear_gradient;
};

namespace avx512 {
#include "model/kernels/rows_functions.h"
}
namespace avx2 {
#include "model/kernels/rows_functions.h"
}

LLM_CHOOSE_BACKEND(rms_norm)
LLM_CHOOSE_BACKEND(rms_norm_backward)
LLM_CHOOSE_BACKEND(swiglu)
LLM_CHOOSE_BACKEND(swiglu_backward)
LLM_CHOOSE_BACKEND(cross_entropy)
LLM_CHOOSE_BACKEND(rope)
LLM_CHOOSE_BACKEND(add)
LLM_CHOOSE_BACKEND(sum_of_squares)
LLM_CHOOSE_BACKEND(adamw)

}  // namespace llm::rows
