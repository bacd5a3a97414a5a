// The two products of a low-rank delta on one row, for models whose weights are packed: u = A x,
// then y += scale * B u. T is uint16_t (the bits of a bfloat16) or float; sums are float32. A row's
// result depends on nothing but its own numbers: the order of additions is that of the columns,
// then of the ranks. No threads, no allocation. Needs a backend
// (cpu_backend.h).
#pragma once

#include <cstdint>

#include "model/kernels/cpu_backend.h"

namespace llm::packed {

namespace avx512 {
#include "model/kernels/lora_rows_functions.h"
}
namespace avx2 {
#include "model/kernels/lora_rows_functions.h"
}

LLM_CHOOSE_BACKEND(lora_down)
LLM_CHOOSE_BACKEND(lora_up)

}  // namespace llm::packed
