#include <cmath>

#include "model/kernels/rows.h"
#include "model/kernels/simd_avx512.h"

namespace llm::rows {

using simd::first_lanes;
using simd::for_each_vector;
using simd::load;
using simd::store;

template <typename X, typename D, typename Y>
void rms_norm(const X* x, const D* delta, const float* weight, X* sum, Y* y, float* inverse,
              int64_t rows, int64_t columns, float eps) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    __m512 squares = _mm512_setzero_ps();
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      __m512 v = load(x + i, m);
      if (delta != nullptr) {
        v = _mm512_add_ps(v, load(delta + i, m));
        store(sum + i, v, m);
        v = load(sum + i, m);  // what a later pass will read back, rounding included
      }
      squares = _mm512_fmadd_ps(v, v, squares);
    });
    const float inv =
        1.0f / std::sqrt(_mm512_reduce_add_ps(squares) / static_cast<float>(columns) + eps);
    inverse[r] = inv;
    const __m512 scale = _mm512_set1_ps(inv);
    const X* source = delta != nullptr ? sum : x;
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      store(y + i, _mm512_mul_ps(_mm512_mul_ps(load(source + i, m), scale), load(weight + i, m)),
            m);
    });
    if (delta != nullptr) {
      delta += columns;
      sum += columns;
    }
  }
}

template <typename X, typename D, typename Y>
void rms_norm_backward(const X* x, const float* inverse, const float* weight, const Y* dy,
                       const X* d_sum, X* dx, D* dx_low, float* weight_gradient, int64_t rows,
                       int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, dy += columns, dx += columns) {
    const __m512 inv = _mm512_set1_ps(inverse[r]);
    __m512 dot = _mm512_setzero_ps();
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      const __m512 normed = _mm512_mul_ps(load(x + i, m), inv);
      const __m512 g = load(dy + i, m);
      store(weight_gradient + i, _mm512_fmadd_ps(g, normed, load(weight_gradient + i, m)), m);
      dot = _mm512_fmadd_ps(_mm512_mul_ps(g, load(weight + i, m)), normed, dot);
    });
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(dot) / static_cast<float>(columns));
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      const __m512 normed = _mm512_mul_ps(load(x + i, m), inv);
      __m512 g = _mm512_mul_ps(load(dy + i, m), load(weight + i, m));
      g = _mm512_mul_ps(_mm512_fnmadd_ps(normed, mean, g), inv);
      if (d_sum != nullptr) {
        g = _mm512_add_ps(g, load(d_sum + i, m));
      }
      store(dx + i, g, m);
      if (dx_low != nullptr) {
        store(dx_low + i, g, m);
      }
    });
    if (d_sum != nullptr) {
      d_sum += columns;
    }
    if (dx_low != nullptr) {
      dx_low += columns;
    }
  }
}

template <typename T>
void swiglu(const T* gate_up, T* y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, gate_up += 2 * columns, y += columns) {
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      const __m512 gate = load(gate_up + i, m);
      store(y + i,
            _mm512_mul_ps(_mm512_mul_ps(gate, simd::sigmoid(gate)), load(gate_up + columns + i, m)),
            m);
    });
  }
}

template <typename T>
void swiglu_backward(const T* gate_up, const T* dy, T* d_gate_up, int64_t rows, int64_t columns) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for (int64_t r = 0; r < rows;
       ++r, gate_up += 2 * columns, d_gate_up += 2 * columns, dy += columns) {
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      const __m512 gate = load(gate_up + i, m), up = load(gate_up + columns + i, m),
                   g = load(dy + i, m);
      const __m512 s = simd::sigmoid(gate);
      const __m512 silu = _mm512_mul_ps(gate, s);
      // d silu / d gate = s + silu (1 - s)
      const __m512 slope = _mm512_fmadd_ps(silu, _mm512_sub_ps(one, s), s);
      store(d_gate_up + i, _mm512_mul_ps(_mm512_mul_ps(g, up), slope), m);
      store(d_gate_up + columns + i, _mm512_mul_ps(g, silu), m);
    });
  }
}

template <typename T>
RowLoss cross_entropy(T* logits, int64_t columns, int64_t target, float scale, bool gradient) {
  __m512 top = _mm512_set1_ps(-INFINITY);
  for_each_vector(columns, [&](int64_t i, __mmask16 m) {
    top = _mm512_mask_max_ps(top, m, top, load(logits + i, m));
  });
  const float highest = _mm512_reduce_max_ps(top);
  const __m512 offset = _mm512_set1_ps(highest);
  __m512 total = _mm512_setzero_ps();
  for_each_vector(columns, [&](int64_t i, __mmask16 m) {
    total = _mm512_add_ps(
        total, _mm512_maskz_mov_ps(m, simd::exp(_mm512_sub_ps(load(logits + i, m), offset))));
  });
  const float sum = _mm512_reduce_add_ps(total);
  T* goal = logits + target;
  const float goal_logit = _mm512_cvtss_f32(load(goal, static_cast<__mmask16>(1)));
  // NaN logits give NaN here, which is what the caller counts and reports.
  const RowLoss loss{std::log(sum) + highest - goal_logit, goal_logit == highest};
  if (gradient) {
    const __m512 factor = _mm512_set1_ps(scale / sum);
    for_each_vector(columns, [&](int64_t i, __mmask16 m) {
      store(logits + i,
            _mm512_mul_ps(simd::exp(_mm512_sub_ps(load(logits + i, m), offset)), factor), m);
    });
    const float probability = std::exp(goal_logit - highest) / sum;
    store(goal, _mm512_set1_ps((probability - 1.0f) * scale), static_cast<__mmask16>(1));
  }
  return loss;
}

template <typename T>
void rope(const T* x, T* y, const float* cos, const float* sin, int64_t heads, int64_t head_dim,
          int64_t half, float direction) {
  const __m512 sign = _mm512_set1_ps(direction);
  for (int64_t h = 0; h < heads; ++h, x += head_dim, y += head_dim) {
    for_each_vector(half, [&](int64_t i, __mmask16 m) {
      const __m512 a = load(x + i, m), b = load(x + half + i, m);
      const __m512 c = load(cos + i, m), s = _mm512_mul_ps(load(sin + i, m), sign);
      store(y + i, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)), m);
      store(y + half + i, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)), m);
    });
    if (x != y) {
      for_each_vector(head_dim - 2 * half, [&](int64_t i, __mmask16 m) {
        store(y + 2 * half + i, load(x + 2 * half + i, m), m);
      });
    }
  }
}

void add(float* destination, const bfloat* source, int64_t count) {
  for_each_vector(count, [&](int64_t i, __mmask16 m) {
    store(destination + i, _mm512_add_ps(load(destination + i, m), load(source + i, m)), m);
  });
}
void add(float* destination, const float* source, int64_t count) {
  for_each_vector(count, [&](int64_t i, __mmask16 m) {
    store(destination + i, _mm512_add_ps(load(destination + i, m), load(source + i, m)), m);
  });
}

namespace {
template <typename T>
double squares(const T* x, int64_t count) {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  for_each_vector(count, [&](int64_t i, __mmask16 m) {
    const __m512 v = load(x + i, m);
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(v)),
                  b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    low = _mm512_fmadd_pd(a, a, low);
    high = _mm512_fmadd_pd(b, b, high);
  });
  return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}
}  // namespace

double sum_of_squares(const float* x, int64_t count) { return squares(x, count); }
double sum_of_squares(const bfloat* x, int64_t count) { return squares(x, count); }

void adamw(float* parameter, float* gradient, float* exp_avg, float* exp_avg_sq, bfloat* compute,
           int64_t count, const Adamw& o) {
  const __m512 b1 = _mm512_set1_ps(o.beta1), c1 = _mm512_set1_ps(1.0f - o.beta1),
               b2 = _mm512_set1_ps(o.beta2), c2 = _mm512_set1_ps(1.0f - o.beta2);
  const __m512 scale = _mm512_set1_ps(o.gradient_scale), keep = _mm512_set1_ps(o.decay_factor),
               step = _mm512_set1_ps(o.step_size);
  const __m512 correction = _mm512_set1_ps(o.inverse_sqrt_correction2),
               eps = _mm512_set1_ps(o.epsilon);
  for_each_vector(count, [&](int64_t i, __mmask16 m) {
    const __m512 g = _mm512_mul_ps(load(gradient + i, m), scale);
    const __m512 first = _mm512_fmadd_ps(load(exp_avg + i, m), b1, _mm512_mul_ps(g, c1));
    const __m512 second =
        _mm512_fmadd_ps(load(exp_avg_sq + i, m), b2, _mm512_mul_ps(_mm512_mul_ps(g, g), c2));
    const __m512 denominator = _mm512_fmadd_ps(_mm512_sqrt_ps(second), correction, eps);
    const __m512 p = _mm512_fnmadd_ps(step, _mm512_div_ps(first, denominator),
                                      _mm512_mul_ps(load(parameter + i, m), keep));
    store(exp_avg + i, first, m);
    store(exp_avg_sq + i, second, m);
    store(parameter + i, p, m);
    if (compute != nullptr) {
      store(compute + i, p, m);
    }
    if (o.clear_gradient) {
      store(gradient + i, _mm512_setzero_ps(), m);
    }
  });
}

#define LLM_NORM(X, D, Y)                                                                       \
  template void rms_norm(const X*, const D*, const float*, X*, Y*, float*, int64_t, int64_t,    \
                         float);                                                                \
  template void rms_norm_backward(const X*, const float*, const float*, const Y*, const X*, X*, \
                                  D*, float*, int64_t, int64_t);
LLM_NORM(float, float, float)
LLM_NORM(float, float, bfloat)
LLM_NORM(float, bfloat, float)
LLM_NORM(float, bfloat, bfloat)
LLM_NORM(bfloat, bfloat, bfloat)
#undef LLM_NORM
template void swiglu(const float*, float*, int64_t, int64_t);
template void swiglu(const bfloat*, bfloat*, int64_t, int64_t);
template void swiglu_backward(const float*, const float*, float*, int64_t, int64_t);
template void swiglu_backward(const bfloat*, const bfloat*, bfloat*, int64_t, int64_t);
template RowLoss cross_entropy(float*, int64_t, int64_t, float, bool);
template RowLoss cross_entropy(bfloat*, int64_t, int64_t, float, bool);
template void rope(const float*, float*, const float*, const float*, int64_t, int64_t, int64_t,
                   float);
template void rope(const bfloat*, bfloat*, const float*, const float*, int64_t, int64_t, int64_t,
                   float);

}  // namespace llm::rows
