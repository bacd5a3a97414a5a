#include "model/kernels/kv_blocks.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/weight_codes.h"

namespace llm {
namespace {

static_assert(kKvBlockTokens == packed::kPanelRows);

// Query rows whose scores are in flight together: two register blocks, in L2 up to 8k keys.
constexpr int64_t kTileRows = 24;
// Panels between the one that is asked for from memory and the one that is computed with. Blocks
// lie anywhere, so the processor cannot see where the next one is.
constexpr int64_t kPanelsAhead = 2;

int64_t padded_to_panel(int64_t n) { return kv_blocks_for(n) * kKvBlockTokens; }

bool in_codes(const KvShape& shape) { return shape.codes != Codes::none; }

size_t element_size(const KvShape& shape) { return in_codes(shape) ? 1 : shape.bfloat ? 2 : 4; }

size_t key_bytes(const KvShape& shape) {
  return static_cast<size_t>(kKvBlockTokens * shape.head_dim) * element_size(shape);
}

size_t value_bytes(const KvShape& shape) {
  return static_cast<size_t>(kKvBlockTokens * padded_to_panel(shape.head_dim)) *
         element_size(shape);
}

/// Keys, values, then for codes the scales of 32 keys and of 32 values.
size_t head_bytes(const KvShape& shape) {
  const size_t scales = in_codes(shape) ? 2 * kKvBlockTokens * sizeof(float) : 0;
  return (key_bytes(shape) + value_bytes(shape) + scales + 63) / 64 * 64;
}

struct HeadBlock {
  std::byte* keys;
  std::byte* values;
  float* key_scales;
  float* value_scales;
};

HeadBlock head_block(const KvShape& shape, std::byte* block, int64_t layer, int64_t head) {
  std::byte* keys = block + static_cast<size_t>(layer * shape.heads + head) * head_bytes(shape);
  std::byte* values = keys + key_bytes(shape);
  auto* scales = reinterpret_cast<float*>(values + value_bytes(shape));
  return {keys, values, scales, scales + kKvBlockTokens};
}

/// Where element (position, d) of a head lies, in elements: keys [D / g][32][g], values per 32
/// outputs [32 / g][32][g]; g columns lie side by side.
int64_t key_place(int64_t group, int64_t slot, int64_t d) {
  return d / group * group * kKvBlockTokens + slot * group + d % group;
}
int64_t value_place(int64_t group, int64_t slot, int64_t d) {
  return d / kKvBlockTokens * kKvBlockTokens * kKvBlockTokens +
         slot / group * group * kKvBlockTokens + d % kKvBlockTokens * group + slot % group;
}

int64_t columns_together(const KvShape& shape) { return shape.bfloat ? 2 : 1; }

template <typename T>
void append_as(const KvShape& shape, const HeadBlock& at, int64_t slot, const float* k,
               const float* v) {
  const int64_t group = columns_together(shape);
  auto* keys = reinterpret_cast<T*>(at.keys);
  auto* values = reinterpret_cast<T*>(at.values);
  for (int64_t d = 0; d < shape.head_dim; ++d) {
    keys[key_place(group, slot, d)] = packed::stored<T>(k[d]);
    values[value_place(group, slot, d)] = packed::stored<T>(v[d]);
  }
}

/// x / scale as codes, `place(d)` apart from `to`; returns the scale.
template <typename Place>
float store_codes(Codes codes, const float* x, int64_t count, uint8_t* to, const Place& place) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  const float scale = largest / (codes == Codes::fp8 ? packed::kLargestFp8 : 127);
  for (int64_t i = 0; i < count; ++i)
    to[place(i)] = scale > 0 ? packed::code8(codes, x[i] / scale) : uint8_t{0};
  return scale;
}

void append_codes(const KvShape& shape, const HeadBlock& at, int64_t slot, const float* k,
                  const float* v) {
  const int64_t group = columns_together(shape);
  at.key_scales[slot] =
      store_codes(shape.codes, k, shape.head_dim, reinterpret_cast<uint8_t*>(at.keys),
                  [&](int64_t d) { return key_place(group, slot, d); });
  at.value_scales[slot] =
      store_codes(shape.codes, v, shape.head_dim, reinterpret_cast<uint8_t*>(at.values),
                  [&](int64_t d) { return value_place(group, slot, d); });
}

/// Scratch of one attention call.
template <typename T>
struct Tile {
  int64_t stride;  // scores of one row, whole panels
  float* scores;
  T* shares;
  float* sums;
  T* panel;  // a dequantised one

  Tile(const KvShape& shape, int64_t rows, int64_t keys, StreamBuffer& scratch)
      : stride(padded_to_panel(keys)) {
    const auto scores_bytes = static_cast<size_t>(rows * stride) * sizeof(float);
    const auto dim = padded_to_panel(shape.head_dim);
    const size_t sums_bytes = static_cast<size_t>(rows * dim) * sizeof(float);
    const size_t panel_bytes = static_cast<size_t>(kKvBlockTokens * dim) * sizeof(float);
    const size_t wanted = 2 * scores_bytes + (sums_bytes + 63) / 64 * 64 + panel_bytes;
    if (scratch.size() < wanted) scratch = StreamBuffer(wanted + wanted / 2);
    scores = reinterpret_cast<float*>(scratch.data());
    shares = reinterpret_cast<T*>(scratch.data() + scores_bytes);
    panel = reinterpret_cast<T*>(scratch.data() + 2 * scores_bytes);
    sums = reinterpret_cast<float*>(scratch.data() + 2 * scores_bytes + panel_bytes);
  }
};

template <typename T>
const T* key_panel(const KvShape& shape, const HeadBlock& at, T* spare) {
  if (!in_codes(shape)) return reinterpret_cast<const T*>(at.keys);
  const auto* codes = reinterpret_cast<const int8_t*>(at.keys);
  if (shape.codes == Codes::fp8) {
    packed::dequantise_fp8_keys(codes, at.key_scales, shape.head_dim, spare);
  } else {
    packed::dequantise_keys(codes, at.key_scales, shape.head_dim, spare);
  }
  return spare;
}

template <typename T>
const T* value_panels(const KvShape& shape, const HeadBlock& at, T* spare) {
  if (!in_codes(shape)) return reinterpret_cast<const T*>(at.values);
  const auto* codes = reinterpret_cast<const int8_t*>(at.values);
  const int64_t dim = padded_to_panel(shape.head_dim);
  if (shape.codes == Codes::fp8) {
    packed::dequantise_fp8_values(codes, at.value_scales, dim, spare);
  } else {
    packed::dequantise_values(codes, at.value_scales, dim, spare);
  }
  return spare;
}

/// The panels of one call in the order they are read: `count` of keys, as many of values, then the
/// first of `ahead`.
template <typename T>
struct PanelOrder {
  const KvShape& shape;
  KvTable blocks;
  int64_t layer, head, count;
  const KvAhead& ahead;

  /// What is read kPanelsAhead panels after panel `index`; null where that is not known. Codes are
  /// bound by arithmetic.
  const T* after(int64_t index) const {
    if (in_codes(shape)) return nullptr;
    index += kPanelsAhead;
    if (index < 2 * count) {
      const HeadBlock at =
          head_block(shape, blocks[static_cast<size_t>(index % count)], layer, head);
      return reinterpret_cast<const T*>(index < count ? at.keys : at.values);
    }
    const auto next = static_cast<size_t>(index - 2 * count);
    if (next >= ahead.blocks.size()) return nullptr;
    return reinterpret_cast<const T*>(
        head_block(shape, ahead.blocks[next], layer, ahead.head).keys);
  }
};

template <typename T>
void attend_as(const KvShape& shape, KvTable blocks, int64_t layer, int64_t head,
               const KvQueries& queries, StreamBuffer& scratch, const KvAhead& ahead) {
  const int64_t dim = shape.head_dim, padded_dim = padded_to_panel(dim), group = queries.group;
  const int64_t rows = queries.tokens * group;
  const int64_t most = std::min(rows, kTileRows);
  const Tile<T> tile(shape, most, queries.first_position + queries.tokens, scratch);
  const auto block = [&](int64_t position) {
    return head_block(shape, blocks[static_cast<size_t>(position / kKvBlockTokens)], layer, head);
  };
  const auto oldest_seen = [&](int64_t position) {
    return queries.window > 0 ? std::max<int64_t>(0, position - queries.window + 1) : 0;
  };
  for (int64_t row = 0; row < rows; row += most) {
    const int64_t count = std::min(most, rows - row);
    const int64_t newest = queries.first_position + (row + count - 1) / group;
    const int64_t from =
        oldest_seen(queries.first_position + row / group) / kKvBlockTokens * kKvBlockTokens;
    const int64_t to = padded_to_panel(newest + 1);
    const T* q = static_cast<const T*>(queries.q) + row * dim;
    const int64_t panels = (to - from) / kKvBlockTokens;
    const PanelOrder<T> order{shape,  blocks.subspan(static_cast<size_t>(from / kKvBlockTokens)),
                              layer,  head,
                              panels, ahead};
    for (int64_t position = from; position < to; position += kKvBlockTokens) {
      packed::panel_product(key_panel(shape, block(position), tile.panel), q, dim, dim, count,
                            tile.scores + position - from, tile.stride, kKvBlockTokens,
                            order.after((position - from) / kKvBlockTokens));
    }
    float inverse[kTileRows];
    for (int64_t m = 0; m < count; ++m) {
      const int64_t own = queries.first_position + (row + m) / group;
      inverse[m] = packed::softmax(tile.scores + m * tile.stride, oldest_seen(own) - from,
                                   own + 1 - from, to - from, static_cast<float>(queries.scale),
                                   tile.shares + m * tile.stride);
    }
    std::fill(tile.sums, tile.sums + count * padded_dim, 0.0f);
    for (int64_t position = from; position < to; position += kKvBlockTokens) {
      const T* values = value_panels(shape, block(position), tile.panel);
      const T* next = order.after(panels + (position - from) / kKvBlockTokens);
      for (int64_t d = 0; d < dim; d += kKvBlockTokens) {
        packed::panel_product_add(values + d * kKvBlockTokens, tile.shares + position - from,
                                  tile.stride, kKvBlockTokens, count, tile.sums + d, padded_dim,
                                  next == nullptr ? nullptr : next + d * kKvBlockTokens);
      }
    }
    for (int64_t m = 0; m < count; ++m) {
      float* out = queries.out + (row + m) / group * queries.token_stride + (row + m) % group * dim;
      for (int64_t d = 0; d < dim; ++d) out[d] = tile.sums[m * padded_dim + d] * inverse[m];
    }
  }
}

void check_table(KvTable blocks, int64_t tokens) {
  const auto held = static_cast<int64_t>(blocks.size()) * kKvBlockTokens;
  check(tokens >= 0 && tokens <= held, "kv blocks: position {} is outside {} blocks", tokens - 1,
        blocks.size());
}

}  // namespace

size_t KvShape::block_bytes() const {
  return static_cast<size_t>(layers * heads) * head_bytes(*this);
}

void append_kv(const KvShape& shape, KvTable blocks, int64_t layer, int64_t position,
               const float* k, const float* v) {
  check_table(blocks, position + 1);
  std::byte* block = blocks[static_cast<size_t>(position / kKvBlockTokens)];
  const int64_t slot = position % kKvBlockTokens;
  for (int64_t head = 0; head < shape.heads; ++head) {
    const HeadBlock at = head_block(shape, block, layer, head);
    const float* key = k + head * shape.head_dim;
    const float* value = v + head * shape.head_dim;
    if (in_codes(shape)) {
      append_codes(shape, at, slot, key, value);
    } else if (shape.bfloat) {
      append_as<uint16_t>(shape, at, slot, key, value);
    } else {
      append_as<float>(shape, at, slot, key, value);
    }
  }
}

void attend_kv(const KvShape& shape, KvTable blocks, int64_t layer, int64_t head,
               const KvQueries& queries, StreamBuffer& scratch, const KvAhead& ahead) {
  check_table(blocks, queries.first_position + queries.tokens);
  if (shape.bfloat) {
    attend_as<uint16_t>(shape, blocks, layer, head, queries, scratch, ahead);
  } else {
    attend_as<float>(shape, blocks, layer, head, queries, scratch, ahead);
  }
}

}  // namespace llm
