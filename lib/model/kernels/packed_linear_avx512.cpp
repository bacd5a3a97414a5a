#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "model/kernels/packed_kernels.h"

namespace llm::packed {
namespace {

constexpr int kRowsAtOnce = 12;  // 12 rows x 2 registers of sums, 2 of weights, 1 of x: 27 of 32

template <int Rows>
struct Sums {
  __m512 low[Rows], high[Rows];
};

inline __m512bh bits(__m512i x) { return reinterpret_cast<__m512bh>(x); }

template <int Rows>
inline void clear(Sums<Rows>& sums) {
  for (int m = 0; m < Rows; ++m) sums.low[m] = sums.high[m] = _mm512_setzero_ps();
}

template <int Rows>
inline void read(Sums<Rows>& sums, const float* y, int64_t y_stride) {
  for (int m = 0; m < Rows; ++m) {
    sums.low[m] = _mm512_loadu_ps(y + m * y_stride);
    sums.high[m] = _mm512_loadu_ps(y + m * y_stride + 16);
  }
}

template <int Rows>
inline void write(const Sums<Rows>& sums, float* y, int64_t y_stride, __mmask16 low,
                  __mmask16 high) {
  for (int m = 0; m < Rows; ++m) {
    _mm512_mask_storeu_ps(y + m * y_stride, low, sums.low[m]);
    _mm512_mask_storeu_ps(y + m * y_stride + 16, high, sums.high[m]);
  }
}

template <int Rows>
inline void accumulate(Sums<Rows>& sums, const uint16_t* panel, const uint16_t* x, int64_t x_stride,
                       int64_t columns) {
  for (int64_t k = 0; k < columns; k += 2) {
    const __m512bh low = bits(_mm512_load_si512(panel + k * kPanelRows));
    const __m512bh high = bits(_mm512_load_si512(panel + k * kPanelRows + 32));
#pragma GCC unroll 12
    for (int m = 0; m < Rows; ++m) {
      int32_t pair;
      std::memcpy(&pair, x + m * x_stride + k, sizeof pair);
      const __m512bh both = bits(_mm512_set1_epi32(pair));
      sums.low[m] = _mm512_dpbf16_ps(sums.low[m], low, both);
      sums.high[m] = _mm512_dpbf16_ps(sums.high[m], high, both);
    }
  }
}

template <int Rows>
inline void accumulate(Sums<Rows>& sums, const float* panel, const float* x, int64_t x_stride,
                       int64_t columns) {
  for (int64_t k = 0; k < columns; ++k) {
    const __m512 low = _mm512_load_ps(panel + k * kPanelRows);
    const __m512 high = _mm512_load_ps(panel + k * kPanelRows + 16);
#pragma GCC unroll 12
    for (int m = 0; m < Rows; ++m) {
      const __m512 value = _mm512_set1_ps(x[m * x_stride + k]);
      sums.low[m] = _mm512_fmadd_ps(low, value, sums.low[m]);
      sums.high[m] = _mm512_fmadd_ps(high, value, sums.high[m]);
    }
  }
}

template <typename T>
struct Job {
  const T* panel;
  const T* x;
  int64_t x_stride, columns;
  float* y;
  int64_t y_stride;
  __mmask16 low, high;
  bool add;  // goes on from what y holds; all 32 outputs
};

template <int Rows, typename T>
void rows_product(const Job<T>& job, int64_t first) {
  Sums<Rows> sums;
  if (job.add) {
    read(sums, job.y + first * job.y_stride, job.y_stride);
  } else {
    clear(sums);
  }
  accumulate(sums, job.panel, job.x + first * job.x_stride, job.x_stride, job.columns);
  write(sums, job.y + first * job.y_stride, job.y_stride, job.low, job.high);
}

template <typename T>
void remaining_rows(const Job<T>& job, int64_t first, int64_t count) {
  switch (count) {
    case 1:
      return rows_product<1>(job, first);
    case 2:
      return rows_product<2>(job, first);
    case 3:
      return rows_product<3>(job, first);
    case 4:
      return rows_product<4>(job, first);
    case 5:
      return rows_product<5>(job, first);
    case 6:
      return rows_product<6>(job, first);
    case 7:
      return rows_product<7>(job, first);
    case 8:
      return rows_product<8>(job, first);
    case 9:
      return rows_product<9>(job, first);
    case 10:
      return rows_product<10>(job, first);
    case 11:
      return rows_product<11>(job, first);
    default:
      return;
  }
}

template <typename T>
void product(const T* panel, const T* x, int64_t x_stride, int64_t columns, int64_t count, float* y,
             int64_t y_stride, int64_t outputs, bool add) {
  const auto lanes = [](int64_t n) {
    return static_cast<__mmask16>(n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
  };
  const Job<T> job{panel, x, x_stride, columns, y, y_stride, lanes(outputs), lanes(outputs - 16),
                   add};
  int64_t row = 0;
  for (; row + kRowsAtOnce <= count; row += kRowsAtOnce) rows_product<kRowsAtOnce>(job, row);
  remaining_rows(job, row, count - row);
}

}  // namespace

void panel_product(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs) {
  product(panel, x, x_stride, columns, count, y, y_stride, outputs, false);
}

void panel_product(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs) {
  product(panel, x, x_stride, columns, count, y, y_stride, outputs, false);
}

void panel_product_add(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride) {
  product(panel, x, x_stride, columns, count, y, y_stride, kPanelRows, true);
}

void panel_product_add(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride) {
  product(panel, x, x_stride, columns, count, y, y_stride, kPanelRows, true);
}

}  // namespace llm::packed
