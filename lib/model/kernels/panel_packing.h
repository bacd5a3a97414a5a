// One panel of packed_linear.h from rows as files hold them. No LibTorch, no threads.
#pragma once

#include <array>
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

// In pack_panel_avx512.cpp.

/// `words` 32-bit words of each row into a panel: word by word of all rows. Returns how many words
/// were done, whole blocks of 16; the rest is the caller's.
int64_t pack_rows(const std::array<const std::byte*, kPanelRows>& rows, int64_t words,
                  uint32_t* panel);
/// To the nearest bfloat16, ties to even; NaN stays NaN.
void round_to_bfloat(const float* x, int64_t count, uint16_t* y);

}  // namespace llm::packed
