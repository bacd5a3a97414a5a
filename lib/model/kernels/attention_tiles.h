// Tile kernels of the fused attention, on raw memory (attention_tiles_avx512.cpp). A tile is kTile
// x kTile; scores are held transposed, keys down and queries across, so that every reduction over
// keys is a vertical one. "Operand B" is the right-hand layout of a matrix product: rows of k for
// fp32, pairs of rows interleaved ([k / 2][n][2], "VNNI") for bf16. T is float or bfloat.
#pragma once

#include <cstdint>

#include "model/kernels/rows.h"

namespace llm::tiles {

using rows::bfloat;
inline constexpr int64_t kTile = 64;

/// Operand B of x^T: x has `rows` rows (<= kTile, missing ones count as zero) of depth D, `stride`
/// apart -> depth x kTile.
template <typename T>
void pack_transposed(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out);

/// Operand B of x itself: kTile x depth from `rows` rows; missing rows are zero.
template <typename T>
void pack_rows(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out);

/// out (depth, out_stride) = x^T for rows rows of x; columns from rows to `padded` become zero.
template <typename T>
void transpose(const T* x, int64_t stride, int64_t rows, int64_t padded, int64_t depth, T* out,
               int64_t out_stride);

/// x (depth, kTile) fp32, transposed, scaled per column and stored as `rows` rows of T, `stride`
/// apart. factors may be null.
template <typename T>
void store_transposed(const float* x, const float* factors, int64_t rows, int64_t depth, T* out,
                      int64_t stride);

/// Which of a tile's scores count: key (key0 + r) is seen by query (query0 + c) where !causal or
/// key <= query, and where it is not before first[c]; keys from `keys` on do not exist.
struct Mask {
  int64_t key0, query0, keys;
  bool causal;
  const int32_t* first;  // of the tile's queries, kTile of them; null: 0 each
};

/// Forward: folds `tiles` stacked tiles of scores (tiles * kTile, kTile) into probabilities
/// exp(scale * s - top), unnormalised, as operand B; writes inverse_sum and log_sum_exp per query.
/// Row r of the stack is key mask.key0 + r.
template <typename T>
void softmax_columns(const float* scores, int64_t tiles, const Mask& mask, float scale,
                     T* probabilities, float* inverse_sum, float* log_sum_exp);

/// Backward of one tile: p = exp(scale * s - lse), ds = p * (dp - delta) * scale; p and ds
/// row-major (kTile, kTile), ds also as operand B.
template <typename T>
void softmax_backward(const float* scores, const float* d_probabilities, const Mask& mask,
                      float scale, const float* log_sum_exp, const float* delta, T* p, T* ds,
                      T* ds_operand);

/// sum over depth of a * b for one row.
template <typename T>
float dot(const T* a, const T* b, int64_t depth);

/// One row of fp32 stored as T.
template <typename T>
void store_row(const float* x, int64_t depth, T* out);

}  // namespace llm::tiles
