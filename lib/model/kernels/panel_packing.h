// One panel of packed_linear.h from rows as files hold them. No LibTorch, no threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/kernels/packed_kernels.h"
#include "model/kernels/stored_rows.h"

namespace llm::packed {

/// Panel `index` of the matrices one below the other, as bfloat16 or float32, rounded to nearest
/// even where the file has more digits; rows and columns that only pad are zeros. `panel` is
/// 64-byte aligned.
void pack_panel(std::span<const StoredRows> matrices, bool bfloat, int64_t index, uint32_t* panel);

}  // namespace llm::packed
