// Compiled once for each instruction set; see attention_tiles.h.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/kernels/attention_tiles.h"

namespace llm::tiles::LLM_SIMD {
namespace {

namespace simd = llm::simd::LLM_SIMD;
using simd::Floats;
using Lanes = simd::Mask;

using simd::first_lanes;
using simd::load;
using simd::store;

constexpr int64_t kLanes = 16;
constexpr int64_t kVectors = kTile / kLanes;

inline void store_pair(float* out, int64_t row, int64_t width, int64_t column, Floats even,
                       Floats odd) {
  store(out + row * width + column, even);
  store(out + (row + 1) * width + column, odd);
}
inline void store_pair(bfloat* out, int64_t row, int64_t width, int64_t column, Floats even,
                       Floats odd) {
  simd::store_interleaved(out + row * width + 2 * column, even, odd);
}

// Words: pairs of bfloat or single floats. Transposes `rows` (<= 16, the rest zero) by `words` (<=
// 16) words.
inline void transpose_words(const float* x, int64_t stride, int64_t rows, int64_t words, float* out,
                            int64_t out_stride) {
  Floats r[16];
  const Lanes present = first_lanes(words);
  for (int64_t i = 0; i < 16; ++i) r[i] = i < rows ? load(x + i * stride, present) : simd::zero();
  simd::transpose(r);
  for (int64_t i = 0; i < words; ++i) store(out + i * out_stride, r[i]);
}

inline Lanes visible(const Mask& mask, int64_t key, int64_t column) {
  if (key >= mask.keys) {
    return 0;
  }
  if (!mask.causal) {
    return 0xffff;
  }
  const int64_t lane = key - mask.query0 - column;  // the first whose query is not before the key
  const Lanes not_later =
      lane <= 0 ? 0xffff : (lane >= kLanes ? 0 : static_cast<Lanes>(0xffff << lane));
  if (mask.first == nullptr) {
    return not_later;
  }
  return simd::not_above(not_later, mask.first + column, static_cast<int32_t>(key));
}

}  // namespace

template <typename T>
void pack_transposed(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out) {
  constexpr int64_t kPerWord = 4 / sizeof(T);
  const int64_t words = depth / kPerWord;
  for (int64_t r = 0; r < kTile; r += kLanes) {
    for (int64_t w = 0; w < words; w += kLanes) {
      transpose_words(reinterpret_cast<const float*>(x + r * stride) + w, stride / kPerWord,
                      std::min<int64_t>(std::max<int64_t>(rows - r, 0), kLanes),
                      std::min<int64_t>(words - w, kLanes),
                      reinterpret_cast<float*>(out) + w * kTile + r, kTile);
    }
  }
}

template <typename T>
void pack_rows(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out) {
  if constexpr (sizeof(T) == 4) {
    for (int64_t r = 0; r < kTile; ++r) {
      if (r < rows) {
        std::memcpy(out + r * depth, x + r * stride, sizeof(T) * depth);
      } else {
        std::memset(out + r * depth, 0, sizeof(T) * depth);
      }
    }
  } else {
    for (int64_t r = 0; r < kTile; r += 2) {
      for (int64_t d = 0; d < depth; d += kLanes) {
        const T* row = x + r * stride + d;
        simd::store_interleaved(out + r * depth + 2 * d, r < rows ? row : nullptr,
                                r + 1 < rows ? row + stride : nullptr);
      }
    }
  }
}

template <typename T>
void transpose(const T* x, int64_t stride, int64_t rows, int64_t padded, int64_t depth, T* out,
               int64_t out_stride) {
  for (int64_t d = 0; d < depth; d += kLanes) {
    for (int64_t r = 0; r < padded; r += kLanes) {
      Floats block[16];
      for (int64_t i = 0; i < 16; ++i)
        block[i] = r + i < rows ? load(x + (r + i) * stride + d) : simd::zero();
      simd::transpose(block);
      for (int64_t i = 0; i < 16; ++i) store(out + (d + i) * out_stride + r, block[i]);
    }
  }
}

template <typename T>
void store_transposed(const float* x, const float* factors, int64_t rows, int64_t depth, T* out,
                      int64_t stride) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const Floats factor = factors != nullptr ? load(factors + r) : simd::all(1.0f);
    for (int64_t d = 0; d < depth; d += kLanes) {
      Floats block[16];
      for (int64_t i = 0; i < 16; ++i) block[i] = load(x + (d + i) * kTile + r) * factor;
      simd::transpose(block);
      for (int64_t i = 0; i < 16 && r + i < rows; ++i) store(out + (r + i) * stride + d, block[i]);
    }
  }
}

template <typename T>
void softmax_columns(const float* scores, int64_t tiles, const Mask& mask, float scale,
                     T* probabilities, float* inverse_sum, float* log_sum_exp) {
  const int64_t height = tiles * kTile;
  const Floats factor = simd::all(scale), hidden = simd::all(-INFINITY);
  for (int64_t v = 0; v < kVectors; ++v) {
    const int64_t column = v * kLanes;
    Floats top = hidden;
    for (int64_t k = 0; k < height; ++k) {
      const Lanes seen = visible(mask, mask.key0 + k, column);
      top = simd::max_where(seen, top, load(scores + k * kTile + column));
    }
    // A query that sees nothing keeps zero weights: any finite offset does.
    const Lanes blind = simd::equal(top, hidden);
    const Floats offset = simd::choose(blind, simd::zero(), top * factor);
    Floats sum = simd::zero();
    for (int64_t k = 0; k < height; k += 2) {
      Floats p[2];
      for (int64_t i = 0; i < 2; ++i) {
        const Floats s =
            simd::multiply_subtract(load(scores + (k + i) * kTile + column), factor, offset);
        p[i] = simd::only(visible(mask, mask.key0 + k + i, column), simd::exp(s));
        sum = sum + p[i];
      }
      store_pair(probabilities, k, kTile, column, p[0], p[1]);
    }
    const Lanes some = simd::greater(sum, simd::zero());
    store(inverse_sum + column, simd::quotient_where(some, simd::all(1.0f), sum));
    alignas(64) float sums[kLanes], offsets[kLanes];
    store(sums, sum);
    store(offsets, offset);
    for (int64_t i = 0; i < kLanes; ++i) {
      log_sum_exp[column + i] = sums[i] > 0 ? offsets[i] + std::log(sums[i]) : 0.0f;
    }
  }
}

template <typename T>
void softmax_backward(const float* scores, const float* d_probabilities, const Mask& mask,
                      float scale, const float* log_sum_exp, const float* delta, T* p, T* ds,
                      T* ds_operand) {
  const Floats factor = simd::all(scale);
  for (int64_t v = 0; v < kVectors; ++v) {
    const int64_t column = v * kLanes;
    const Floats lse = load(log_sum_exp + column), offset = load(delta + column);
    for (int64_t k = 0; k < kTile; k += 2) {
      Floats d[2];
      for (int64_t i = 0; i < 2; ++i) {
        const int64_t at = (k + i) * kTile + column;
        const Lanes seen = visible(mask, mask.key0 + k + i, column);
        const Floats weight =
            simd::only(seen, simd::exp(simd::multiply_subtract(load(scores + at), factor, lse)));
        d[i] = simd::product_where(seen, weight * factor, load(d_probabilities + at) - offset);
        store(p + at, weight);
        store(ds + at, d[i]);
      }
      store_pair(ds_operand, k, kTile, column, d[0], d[1]);
    }
  }
}

template <typename T>
float dot(const T* a, const T* b, int64_t depth) {
  Floats sum = simd::zero();
  simd::for_each_vector(depth, [&](int64_t i, Lanes m) {
    sum = simd::multiply_add(load(a + i, m), load(b + i, m), sum);
  });
  return simd::sum(sum);
}

template <typename T>
void store_row(const float* x, int64_t depth, T* out) {
  simd::for_each_vector(depth, [&](int64_t i, Lanes m) { store(out + i, load(x + i, m), m); });
}

#define LLM_TILES(T)                                                                            \
  template void pack_transposed(const T*, int64_t, int64_t, int64_t, T*);                       \
  template void pack_rows(const T*, int64_t, int64_t, int64_t, T*);                             \
  template void transpose(const T*, int64_t, int64_t, int64_t, int64_t, T*, int64_t);           \
  template void store_transposed(const float*, const float*, int64_t, int64_t, T*, int64_t);    \
  template void softmax_columns(const float*, int64_t, const Mask&, float, T*, float*, float*); \
  template void softmax_backward(const float*, const float*, const Mask&, float, const float*,  \
                                 const float*, T*, T*, T*);                                     \
  template float dot(const T*, const T*, int64_t);                                              \
  template void store_row(const float*, int64_t, T*);
LLM_TILES(float)
LLM_TILES(bfloat)
#undef LLM_TILES

}  // namespace llm::tiles::LLM_SIMD
