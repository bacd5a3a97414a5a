// Tile kernels of the fused attention, on raw memory (attention_tiles_avx512.cpp,
// attention_tiles_avx2.cpp). A tile is kTile
// x kTile; scores are held transposed, keys down and queries across, so that every reduction over
// keys is a vertical one. "Operand B" is the right-hand layout of a matrix product: rows of k for
// fp32, pairs of rows interleaved ([k / 2][n][2], "VNNI") for bf16. T is float or bfloat.
#pragma once

#include <cstdint>

#include "model/kernels/rows.h"

namespace llm::tiles {

using rows::bfloat;
inline constexpr int64_t kTile = 64;

/// Which of a tile's scores count: key (key0 + r) is seen by query (query0 + c) where !causal or
/// key <= query, and where it is not before first[c]; keys from `keys` on do not exist.
struct Mask {
  int64_t key0, query0, keys;
  bool causal;
  const int32_t* first;  // of the tile's queries, kTile of them; null: 0 each
};

namespace avx512 {
#include "model/kernels/attention_tiles_functions.h"
}
namespace avx2 {
#include "model/kernels/attention_tiles_functions.h"
}

LLM_CHOOSE_BACKEND(pack_transposed)
LLM_CHOOSE_BACKEND(pack_rows)
LLM_CHOOSE_BACKEND(transpose)
LLM_CHOOSE_BACKEND(store_transposed)
LLM_CHOOSE_BACKEND(softmax_columns)
LLM_CHOOSE_BACKEND(softmax_backward)
LLM_CHOOSE_BACKEND(dot)
LLM_CHOOSE_BACKEND(store_row)

}  // namespace llm::tiles
