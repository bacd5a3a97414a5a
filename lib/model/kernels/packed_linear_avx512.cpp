#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "model/kernels/packed_kernels.h"

namespace llm::packed::avx512 {
namespace {

/// Lines of the panel that comes next, into the second-level cache: both that hold the columns of
/// one step of a product, or every other one where two blocks of rows share the work.
template <int Lines>
inline void fetch_lines(const char* next, int64_t step) {
  if constexpr (Lines > 0) _mm_prefetch(next + step * Lines * 64, _MM_HINT_T1);
  if constexpr (Lines > 1) _mm_prefetch(next + step * Lines * 64 + 64, _MM_HINT_T1);
}

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

template <int Lines, int Rows>
inline void accumulate(Sums<Rows>& sums, const uint16_t* panel, const uint16_t* x, int64_t x_stride,
                       int64_t columns, const char* next) {
  for (int64_t k = 0; k < columns; k += 2) {
    fetch_lines<Lines>(next, k / 2);
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

template <int Lines, int Rows>
inline void accumulate(Sums<Rows>& sums, const float* panel, const float* x, int64_t x_stride,
                       int64_t columns, const char* next) {
  for (int64_t k = 0; k < columns; ++k) {
    fetch_lines<Lines>(next, k);
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
  bool add;          // goes on from what y holds; all 32 outputs
  const char* next;  // the panel to fetch meanwhile; null: none
};

struct Fetch {
  int lines = 0;  // a step
  const char* from = nullptr;
};

template <int Rows, typename T>
void rows_product(const Job<T>& job, int64_t first, const Fetch& fetch) {
  Sums<Rows> sums;
  if (job.add) {
    read(sums, job.y + first * job.y_stride, job.y_stride);
  } else {
    clear(sums);
  }
  const T* x = job.x + first * job.x_stride;
  if (fetch.lines == 2) {
    accumulate<2>(sums, job.panel, x, job.x_stride, job.columns, fetch.from);
  } else if (fetch.lines == 1) {
    accumulate<1>(sums, job.panel, x, job.x_stride, job.columns, fetch.from);
  } else {
    accumulate<0>(sums, job.panel, x, job.x_stride, job.columns, nullptr);
  }
  write(sums, job.y + first * job.y_stride, job.y_stride, job.low, job.high);
}

template <typename T>
void block_product(const Job<T>& job, int64_t first, int64_t count, const Fetch& fetch) {
  switch (count) {
    case 1:
      return rows_product<1>(job, first, fetch);
    case 2:
      return rows_product<2>(job, first, fetch);
    case 3:
      return rows_product<3>(job, first, fetch);
    case 4:
      return rows_product<4>(job, first, fetch);
    case 5:
      return rows_product<5>(job, first, fetch);
    case 6:
      return rows_product<6>(job, first, fetch);
    case 7:
      return rows_product<7>(job, first, fetch);
    case 8:
      return rows_product<8>(job, first, fetch);
    case 9:
      return rows_product<9>(job, first, fetch);
    case 10:
      return rows_product<10>(job, first, fetch);
    case 11:
      return rows_product<11>(job, first, fetch);
    default:
      return rows_product<kRowsAtOnce>(job, first, fetch);
  }
}

/// What block `index` of `blocks` fetches: of two each a half, else the last one all.
template <typename T>
Fetch fetch_of(const Job<T>& job, int64_t index, int64_t blocks) {
  if (job.next == nullptr) return {};
  const int64_t half = job.columns * kPanelRows * static_cast<int64_t>(sizeof(T)) / 2;
  if (blocks == 2) return {1, job.next + index * half};
  return index + 1 == blocks ? Fetch{2, job.next} : Fetch{};
}

template <typename T>
void product(const T* panel, const T* x, int64_t x_stride, int64_t columns, int64_t count, float* y,
             int64_t y_stride, int64_t outputs, bool add, const T* next) {
  const auto lanes = [](int64_t n) {
    return static_cast<__mmask16>(n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
  };
  const Job<T> job{panel,
                   x,
                   x_stride,
                   columns,
                   y,
                   y_stride,
                   lanes(outputs),
                   lanes(outputs - 16),
                   add,
                   reinterpret_cast<const char*>(next)};
  // Blocks as equal as can be: 16 rows as 8 and 8 read the panel twice, as 12 and 4 do, but both at
  // a block's full speed.
  const int64_t blocks = (count + kRowsAtOnce - 1) / kRowsAtOnce;
  for (int64_t row = 0, left = blocks; left > 0; --left) {
    const int64_t rows = (count - row + left - 1) / left;
    block_product(job, row, rows, fetch_of(job, blocks - left, blocks));
    row += rows;
  }
}

}  // namespace

void panel_product(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs,
                   const uint16_t* next) {
  product(panel, x, x_stride, columns, count, y, y_stride, outputs, false, next);
}

void panel_product(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs, const float* next) {
  product(panel, x, x_stride, columns, count, y, y_stride, outputs, false, next);
}

void panel_product_add(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride, const uint16_t* next) {
  product(panel, x, x_stride, columns, count, y, y_stride, kPanelRows, true, next);
}

void panel_product_add(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride, const float* next) {
  product(panel, x, x_stride, columns, count, y, y_stride, kPanelRows, true, next);
}

}  // namespace llm::packed::avx512
