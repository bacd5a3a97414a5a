// Products of packed panels with AVX2 and FMA. Each output is one chain of fused multiply-adds over
// the columns in ascending order, whatever form the weights have and however many rows there are:
// bfloat16 and codes become float32, exactly, before they are multiplied with.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "model/kernels/packed_kernels.h"
#include "model/kernels/panel_forms_avx2.h"

namespace llm::packed::avx2 {
namespace {

constexpr int kMostParts = 4;      // registers of eight outputs in a panel's 32
constexpr int kRowsDirectly = 3;   // with four parts: 12 registers of sums, 3 of x, 1 of weights
constexpr int kRowsInStretch = 6;  // with two: 12 of sums, 2 of weights, 1 of x
constexpr int64_t kStretch = 64;   // columns that are brought to float32 at a time, 8 KiB
constexpr int64_t kRowsAStretch = 48;  // rows that meet them, 12 KiB; their sums are 6 KiB

inline __m256 broadcast(const float* x, int64_t k) { return _mm256_broadcast_ss(x + k); }
/// Number k of a row of bfloat16, whose first lies at an even place.
inline __m256 broadcast(const uint16_t* x, int64_t k) {
  int32_t pair;
  std::memcpy(&pair, x + k / 2 * 2, sizeof pair);
  const __m256i both = _mm256_set1_epi32(pair);
  return _mm256_castsi256_ps(k % 2 == 0 ? _mm256_slli_epi32(both, 16)
                                        : _mm256_and_si256(both, _mm256_set1_epi32(-0x10000)));
}

template <int Rows, int Parts>
struct Sums {
  __m256 part[Rows][Parts];
};

template <int Rows, int Parts, typename Panel, typename T>
[[gnu::always_inline]] inline void add_column(Sums<Rows, Parts>& sums, const Panel& panel,
                                              int first, const T* x, int64_t x_stride, int64_t k) {
  __m256 weights[Parts];
#pragma GCC unroll 4
  for (int part = 0; part < Parts; ++part) weights[part] = panel.weights(k, first + part);
#pragma GCC unroll 6
  for (int m = 0; m < Rows; ++m) {
    const __m256 value = broadcast(x + m * x_stride, k);
#pragma GCC unroll 4
    for (int part = 0; part < Parts; ++part)
      sums.part[m][part] = _mm256_fmadd_ps(weights[part], value, sums.part[m][part]);
  }
}

/// sums (Rows, 32) += panel x, for the outputs of Parts registers from part `first` on and columns
/// [0, columns).
template <int Rows, int Parts, typename Panel, typename T>
void add_rows(const Panel& panel, int first, const T* x, int64_t x_stride, int64_t columns,
              float* sums) {
  Sums<Rows, Parts> s;
#pragma GCC unroll 6
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 4
    for (int part = 0; part < Parts; ++part)
      s.part[m][part] = _mm256_loadu_ps(sums + m * kPanelRows + (first + part) * 8);
  }
  int64_t k = 0;
  for (; k + 2 <= columns; k += 2) {
    add_column(s, panel, first, x, x_stride, k);
    add_column(s, panel, first, x, x_stride, k + 1);
  }
  if (k < columns) add_column(s, panel, first, x, x_stride, k);
#pragma GCC unroll 6
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 4
    for (int part = 0; part < Parts; ++part)
      _mm256_storeu_ps(sums + m * kPanelRows + (first + part) * 8, s.part[m][part]);
  }
}

/// `count` <= Rows rows.
template <int Rows, int Parts, typename Panel, typename T>
void add_few(const Panel& panel, const T* x, int64_t x_stride, int64_t columns, int64_t count,
             float* sums) {
  if constexpr (Rows > 1) {
    if (count < Rows) return add_few<Rows - 1, Parts>(panel, x, x_stride, columns, count, sums);
  }
  for (int first = 0; first < kMostParts; first += Parts)
    add_rows<Rows, Parts>(panel, first, x, x_stride, columns, sums);
}

template <int Rows, int Parts, typename Panel, typename T>
void add_block(const Panel& panel, const T* x, int64_t x_stride, int64_t columns, int64_t count,
               float* sums) {
  for (int64_t row = 0; row < count; row += Rows)
    add_few<Rows, Parts>(panel, x + row * x_stride, x_stride, columns,
                         std::min<int64_t>(Rows, count - row), sums + row * kPanelRows);
}

void to_floats(const float* x, int64_t count, float* y) { std::copy_n(x, count, y); }
void to_floats(const uint16_t* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = widened(x[i]);
}

/// Through float32 in cache, a stretch of columns at a time.
template <typename Panel, typename T>
void add_in_stretches(const Panel& panel, const T* x, int64_t x_stride, int64_t columns,
                      int64_t count, float* sums) {
  alignas(64) float weights[kStretch * kPanelRows], inputs[kRowsAStretch * kStretch];
  for (int64_t first = 0; first < columns; first += kStretch) {
    const int64_t width = std::min(kStretch, columns - first);
    columns_to_floats(panel, first, width, weights);
    for (int64_t m = 0; m < count; ++m)
      to_floats(x + m * x_stride + first, width, inputs + m * kStretch);
    add_block<kRowsInStretch, 2>(FloatPanel{weights}, inputs, kStretch, width, count, sums);
  }
}

template <typename Panel, typename T>
void add_directly(const Panel& panel, const T* x, int64_t x_stride, int64_t columns, int64_t count,
                  float* sums) {
  add_block<kRowsDirectly, kMostParts>(panel, x, x_stride, columns, count, sums);
}
template <typename T>
void add_directly(const Int4Panel& panel, const T* x, int64_t x_stride, int64_t columns,
                  int64_t count, float* sums) {
  for_each_group(panel, 0, columns, [&](const Int4Group& group, int64_t at, int64_t width) {
    add_block<kRowsDirectly, kMostParts>(group, x + at, x_stride, width, count, sums);
  });
}

/// y (count, outputs) = panel x, from the 32 outputs that y holds where `add`.
template <typename Panel, typename T>
void product(const Panel& panel, const T* x, int64_t x_stride, int64_t columns, int64_t count,
             float* y, int64_t y_stride, int64_t outputs, bool add) {
  alignas(64) float sums[kRowsAStretch * kPanelRows];
  const auto bytes = static_cast<size_t>(outputs) * sizeof(float);
  for (int64_t first = 0; first < count; first += kRowsAStretch) {
    const int64_t rows = std::min(kRowsAStretch, count - first);
    const T* from = x + first * x_stride;
    for (int64_t m = 0; m < rows; ++m) {
      if (add) {
        std::memcpy(sums + m * kPanelRows, y + (first + m) * y_stride, bytes);
      } else {
        std::fill_n(sums + m * kPanelRows, kPanelRows, 0.0f);
      }
    }
    if (rows <= Panel::kRowsWithoutStretch) {
      add_directly(panel, from, x_stride, columns, rows, sums);
    } else {
      add_in_stretches(panel, from, x_stride, columns, rows, sums);
    }
    for (int64_t m = 0; m < rows; ++m) {
      panel.scale(sums + m * kPanelRows);
      std::memcpy(y + (first + m) * y_stride, sums + m * kPanelRows, bytes);
    }
  }
}

}  // namespace

// The processor fetches ahead by itself along a panel and into the next, which lies behind it.
void panel_product(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs, const uint16_t*) {
  product(BfloatPanel{panel}, x, x_stride, columns, count, y, y_stride, outputs, false);
}

void panel_product(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs, const float*) {
  product(FloatPanel{panel}, x, x_stride, columns, count, y, y_stride, outputs, false);
}

void panel_product_add(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride, const uint16_t*) {
  product(BfloatPanel{panel}, x, x_stride, columns, count, y, y_stride, kPanelRows, true);
}

void panel_product_add(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride, const float*) {
  product(FloatPanel{panel}, x, x_stride, columns, count, y, y_stride, kPanelRows, true);
}

template <typename T>
static void code_product(Codes codes, const std::byte* panel, const T* x, int64_t x_stride,
                         int64_t columns, int64_t count, float* y, int64_t y_stride,
                         int64_t outputs) {
  const auto with = [&](const auto& form) {
    product(form, x, x_stride, columns, count, y, y_stride, outputs, false);
  };
  if (codes == Codes::int8) return with(CodePanel<Codes::int8>{panel, columns});
  if (codes == Codes::fp8) return with(CodePanel<Codes::fp8>{panel, columns});
  with(Int4Panel{panel});
}

}  // namespace llm::packed::avx2

namespace llm::packed {

void code_panel_product(Codes codes, const std::byte* panel, const uint16_t* x, int64_t x_stride,
                        int64_t columns, int64_t count, float* y, int64_t y_stride,
                        int64_t outputs) {
  avx2::code_product(codes, panel, x, x_stride, columns, count, y, y_stride, outputs);
}

void code_panel_product(Codes codes, const std::byte* panel, const float* x, int64_t x_stride,
                        int64_t columns, int64_t count, float* y, int64_t y_stride,
                        int64_t outputs) {
  avx2::code_product(codes, panel, x, x_stride, columns, count, y, y_stride, outputs);
}

}  // namespace llm::packed
