#include "model/kernels/panel_cache.h"

#include <algorithm>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"

namespace llm {
namespace {

using packed::kPanelRows;

constexpr int64_t kTileRows =
    24;  // query rows whose scores are in flight together: two register blocks, in L2 up to 8k keys

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template <typename T>
constexpr int64_t kGroup = sizeof(T) == 2 ? 2 : 1;  // columns that lie side by side in a panel

}  // namespace

PanelCache::PanelCache(const Shape& shape)
    : shape_(shape),
      padded_dim_(round_up(shape.head_dim, kPanelRows)),
      padded_capacity_(round_up(std::max<int64_t>(shape.capacity, 1), kPanelRows)) {
  check(shape.head_dim % 2 == 0, "panel cache: head_dim must be even, got {}", shape.head_dim);
  head_elements_ = padded_capacity_ * (shape.head_dim + padded_dim_);
  const int64_t elements = shape.layers * shape.heads * head_elements_;
  memory_ = StreamBuffer(static_cast<size_t>(elements) * (shape.bfloat ? 2 : 4));
}

template <typename T>
T* PanelCache::keys(int64_t layer, int64_t head) const {
  return reinterpret_cast<T*>(memory_.data()) + (layer * shape_.heads + head) * head_elements_;
}

template <typename T>
T* PanelCache::values(int64_t layer, int64_t head) const {
  return keys<T>(layer, head) + padded_capacity_ * shape_.head_dim;
}

template <typename T>
void PanelCache::append_as(int64_t layer, int64_t position, const float* k, const float* v) {
  constexpr int64_t group = kGroup<T>;
  const int64_t dim = shape_.head_dim;
  for (int64_t head = 0; head < shape_.heads; ++head) {
    T* key = keys<T>(layer, head) + position / kPanelRows * kPanelRows * dim +
             position % kPanelRows * group;
    T* value = values<T>(layer, head) + position / group * group * kPanelRows + position % group;
    for (int64_t d = 0; d < dim; ++d) {
      key[d / group * group * kPanelRows + d % group] = packed::stored<T>(k[head * dim + d]);
      value[d / kPanelRows * kPanelRows * padded_capacity_ + d % kPanelRows * group] =
          packed::stored<T>(v[head * dim + d]);
    }
  }
}

void PanelCache::append(int64_t layer, int64_t position, const float* k, const float* v) {
  check(position >= 0 && position < padded_capacity_,
        "panel cache: position {} is outside the capacity {}", position, shape_.capacity);
  if (shape_.bfloat) {
    append_as<uint16_t>(layer, position, k, v);
  } else {
    append_as<float>(layer, position, k, v);
  }
}

template <typename T>
void PanelCache::attend_as(int64_t layer, int64_t head, const Queries& queries,
                           StreamBuffer& scratch) const {
  const int64_t dim = shape_.head_dim, group = queries.group;
  const int64_t rows = queries.tokens * group;
  const int64_t last = queries.first_position + queries.tokens;  // one past the newest key
  const int64_t stride = round_up(last, kPanelRows);
  const int64_t tile = std::min(rows, kTileRows);
  const size_t scores_bytes = static_cast<size_t>(tile * stride) * sizeof(float);
  const size_t out_bytes = static_cast<size_t>(tile * padded_dim_) * sizeof(float);
  const size_t wanted = 2 * scores_bytes + out_bytes;
  if (scratch.size() < wanted) scratch = StreamBuffer(wanted + wanted / 2);
  auto* scores = reinterpret_cast<float*>(scratch.data());
  auto* shares = reinterpret_cast<T*>(scratch.data() + scores_bytes);
  auto* sums = reinterpret_cast<float*>(scratch.data() + 2 * scores_bytes);

  for (int64_t row = 0; row < rows; row += tile) {
    const int64_t count = std::min(tile, rows - row);
    const int64_t newest = queries.first_position + (row + count - 1) / group +
                           1;  // keys that the tile's last row sees
    const int64_t oldest =
        queries.window > 0
            ? std::max<int64_t>(0, queries.first_position + row / group - queries.window + 1)
            : 0;
    const int64_t from = oldest / kPanelRows * kPanelRows, to = round_up(newest, kPanelRows);
    const T* q = static_cast<const T*>(queries.q) + row * dim;
    for (int64_t panel = from; panel < to; panel += kPanelRows) {
      packed::panel_product(keys<T>(layer, head) + panel * dim, q, dim, dim, count,
                            scores + panel - from, stride, kPanelRows);
    }
    float inverse[kTileRows];
    for (int64_t m = 0; m < count; ++m) {
      const int64_t own = queries.first_position + (row + m) / group;
      const int64_t first = queries.window > 0 ? std::max<int64_t>(0, own - queries.window + 1) : 0;
      inverse[m] = packed::softmax(scores + m * stride, first - from, own + 1 - from, to - from,
                                   static_cast<float>(queries.scale), shares + m * stride);
    }
    for (int64_t d = 0; d < dim; d += kPanelRows) {
      packed::panel_product(values<T>(layer, head) + d * padded_capacity_ + from * kPanelRows,
                            shares, stride, to - from, count, sums + d, padded_dim_, kPanelRows);
    }
    for (int64_t m = 0; m < count; ++m) {
      float* out = queries.out + (row + m) / group * queries.token_stride + (row + m) % group * dim;
      for (int64_t d = 0; d < dim; ++d) out[d] = sums[m * padded_dim_ + d] * inverse[m];
    }
  }
}

void PanelCache::attend(int64_t layer, int64_t head, const Queries& queries,
                        StreamBuffer& scratch) const {
  check(queries.first_position + queries.tokens <= padded_capacity_,
        "panel cache: {} keys asked of a capacity of {}", queries.first_position + queries.tokens,
        shape_.capacity);
  if (shape_.bfloat) {
    attend_as<uint16_t>(layer, head, queries, scratch);
  } else {
    attend_as<float>(layer, head, queries, scratch);
  }
}

}  // namespace llm
