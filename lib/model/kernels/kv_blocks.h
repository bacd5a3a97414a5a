// Keys and values in blocks of 32 tokens, in the order in which a decode step reads them, and
// attention over any table of such blocks.
//
// A block holds 32 consecutive positions of one sequence for all layers and key/value heads. Per
// layer and head: the keys are a panel of 32 rows and D columns, the values panels of 32 of the D
// outputs and 32 columns, both in the layout of packed_linear.h. So scores and weighted sums are
// packed products with the same law: a query's result is a fixed chain of operations over its own
// keys, the same bits in a prompt of any length, one token at a time, alone or in a batch, and
// wherever the blocks lie. Softmax is float32; a bfloat16 model rounds the weights to bfloat16 and
// divides by the sum of the rounded ones.
//
// Blocks of codes hold a quarter of float32's or half of bfloat16's bytes: each position's key and
// value of a head is scaled by its largest magnitude / 127 (int8) or / 448 (fp8: e4m3, as in
// weight_codes.h) and rounded; a product turns a panel back into the model's format in cache.
//
// The caller owns the blocks (serving/kv_pool.h) and the table from position / 32 to block. A block
// must be zeroed before its first token. Free functions on raw memory, no threads, no allocation
// but `scratch`; different heads, and appends of different positions, may run at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/kernels/codes.h"
#include "model/kernels/stream_buffer.h"

namespace llm {

inline constexpr int64_t kKvBlockTokens = 32;

/// Blocks that hold `tokens`.
constexpr int64_t kv_blocks_for(int64_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

struct KvShape {
  int64_t layers = 0, heads = 0, head_dim = 0;
  bool bfloat = true;         // the model's products are bfloat16, else float32
  Codes codes = Codes::none;  // or int8, fp8

  /// Of one block; a multiple of 64.
  size_t block_bytes() const;
  bool operator==(const KvShape&) const = default;
};

/// Blocks of one sequence: entry i holds positions 32 i .. 32 i + 31. Entries before a sliding
/// window may be null.
using KvTable = std::span<std::byte* const>;

/// k, v: (heads * head_dim) float32 of one token; k already rotated.
void append_kv(const KvShape& shape, KvTable blocks, int64_t layer, int64_t position,
               const float* k, const float* v);

/// Queries of one key/value head: `tokens` consecutive tokens from `first_position` on, `group`
/// query heads each, (tokens, group, head_dim) in the model's format. Token t sees keys
/// first_position + t - window + 1 .. first_position + t (window 0 = all before). Writes head_dim
/// float32 for (t, j) at out + t * token_stride + j * head_dim.
struct KvQueries {
  const void* q;
  int64_t first_position, tokens, group;
  double scale;
  int64_t window;
  float* out;
  int64_t token_stride;
};
/// What this thread reads after the present call, if known: blocks from the first that a query sees
/// on, and the head. Their first ones are then on their way from memory when they are asked for.
struct KvAhead {
  KvTable blocks;
  int64_t head = 0;
};
/// `scratch` grows as needed and may be kept.
void attend_kv(const KvShape& shape, KvTable blocks, int64_t layer, int64_t head,
               const KvQueries& queries, StreamBuffer& scratch, const KvAhead& ahead = {});

}  // namespace llm
