// The row kernels, compiled once for each instruction set; see rows.h.
#include <cmath>

#include "model/kernels/rows.h"

namespace llm::rows::LLM_SIMD {

namespace simd = llm::simd::LLM_SIMD;
using simd::Floats;
using simd::for_each_vector;
using simd::load;
using simd::Mask;
using simd::store;

template <typename X, typename D, typename Y>
void rms_norm(const X* x, const D* delta, const float* weight, X* sum, Y* y, float* inverse,
              int64_t rows, int64_t columns, float eps) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    Floats squares = simd::zero();
    for_each_vector(columns, [&](int64_t i, Mask m) {
      Floats v = load(x + i, m);
      if (delta != nullptr) {
        v = v + load(delta + i, m);
        store(sum + i, v, m);
        v = load(sum + i, m);  // what a later pass will read back, rounding included
      }
      squares = simd::multiply_add(v, v, squares);
    });
    const float inv = 1.0f / std::sqrt(simd::sum(squares) / static_cast<float>(columns) + eps);
    inverse[r] = inv;
    const Floats scale = simd::all(inv);
    const X* source = delta != nullptr ? sum : x;
    for_each_vector(columns, [&](int64_t i, Mask m) {
      store(y + i, load(source + i, m) * scale * load(weight + i, m), m);
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
    const Floats inv = simd::all(inverse[r]);
    Floats dot = simd::zero();
    for_each_vector(columns, [&](int64_t i, Mask m) {
      const Floats normed = load(x + i, m) * inv;
      const Floats g = load(dy + i, m);
      store(weight_gradient + i, simd::multiply_add(g, normed, load(weight_gradient + i, m)), m);
      dot = simd::multiply_add(g * load(weight + i, m), normed, dot);
    });
    const Floats mean = simd::all(simd::sum(dot) / static_cast<float>(columns));
    for_each_vector(columns, [&](int64_t i, Mask m) {
      const Floats normed = load(x + i, m) * inv;
      Floats g = load(dy + i, m) * load(weight + i, m);
      g = simd::subtract_product(normed, mean, g) * inv;
      if (d_sum != nullptr) {
        g = g + load(d_sum + i, m);
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
    for_each_vector(columns, [&](int64_t i, Mask m) {
      const Floats gate = load(gate_up + i, m);
      store(y + i, gate * simd::sigmoid(gate) * load(gate_up + columns + i, m), m);
    });
  }
}

template <typename T>
void swiglu_backward(const T* gate_up, const T* dy, T* d_gate_up, int64_t rows, int64_t columns) {
  const Floats one = simd::all(1.0f);
  for (int64_t r = 0; r < rows;
       ++r, gate_up += 2 * columns, d_gate_up += 2 * columns, dy += columns) {
    for_each_vector(columns, [&](int64_t i, Mask m) {
      const Floats gate = load(gate_up + i, m), up = load(gate_up + columns + i, m),
                   g = load(dy + i, m);
      const Floats s = simd::sigmoid(gate);
      const Floats silu = gate * s;
      // d silu / d gate = s + silu (1 - s)
      const Floats slope = simd::multiply_add(silu, one - s, s);
      store(d_gate_up + i, g * up * slope, m);
      store(d_gate_up + columns + i, g * silu, m);
    });
  }
}

template <typename T>
RowLoss cross_entropy(T* logits, int64_t columns, int64_t target, float scale, bool gradient) {
  Floats top = simd::all(-INFINITY);
  for_each_vector(columns,
                  [&](int64_t i, Mask m) { top = simd::max_where(m, top, load(logits + i, m)); });
  const float highest = simd::largest(top);
  const Floats offset = simd::all(highest);
  Floats total = simd::zero();
  for_each_vector(columns, [&](int64_t i, Mask m) {
    total = total + simd::only(m, simd::exp(load(logits + i, m) - offset));
  });
  const float sum = simd::sum(total);
  T* goal = logits + target;
  const float goal_logit = simd::first(load(goal, Mask{1}));
  // NaN logits give NaN here, which is what the caller counts and reports.
  const RowLoss loss{std::log(sum) + highest - goal_logit, goal_logit == highest};
  if (gradient) {
    const Floats factor = simd::all(scale / sum);
    for_each_vector(columns, [&](int64_t i, Mask m) {
      store(logits + i, simd::exp(load(logits + i, m) - offset) * factor, m);
    });
    const float probability = std::exp(goal_logit - highest) / sum;
    store(goal, simd::all((probability - 1.0f) * scale), Mask{1});
  }
  return loss;
}

template <typename T>
void rope(const T* x, T* y, const float* cos, const float* sin, int64_t heads, int64_t head_dim,
          int64_t half, float direction) {
  const Floats sign = simd::all(direction);
  for (int64_t h = 0; h < heads; ++h, x += head_dim, y += head_dim) {
    for_each_vector(half, [&](int64_t i, Mask m) {
      const Floats a = load(x + i, m), b = load(x + half + i, m);
      const Floats c = load(cos + i, m), s = load(sin + i, m) * sign;
      store(y + i, simd::multiply_subtract(a, c, b * s), m);
      store(y + half + i, simd::multiply_add(b, c, a * s), m);
    });
    if (x != y) {
      for_each_vector(head_dim - 2 * half, [&](int64_t i, Mask m) {
        store(y + 2 * half + i, load(x + 2 * half + i, m), m);
      });
    }
  }
}

void add(float* destination, const bfloat* source, int64_t count) {
  for_each_vector(count, [&](int64_t i, Mask m) {
    store(destination + i, load(destination + i, m) + load(source + i, m), m);
  });
}
void add(float* destination, const float* source, int64_t count) {
  for_each_vector(count, [&](int64_t i, Mask m) {
    store(destination + i, load(destination + i, m) + load(source + i, m), m);
  });
}

namespace {
template <typename T>
double squares(const T* x, int64_t count) {
  simd::DoubleSquares total;
  for_each_vector(count, [&](int64_t i, Mask m) { total.add(load(x + i, m)); });
  return total.sum();
}
}  // namespace

double sum_of_squares(const float* x, int64_t count) { return squares(x, count); }
double sum_of_squares(const bfloat* x, int64_t count) { return squares(x, count); }

void adamw(float* parameter, float* gradient, float* exp_avg, float* exp_avg_sq, bfloat* compute,
           int64_t count, const Adamw& o) {
  const Floats b1 = simd::all(o.beta1), c1 = simd::all(1.0f - o.beta1), b2 = simd::all(o.beta2),
               c2 = simd::all(1.0f - o.beta2);
  const Floats scale = simd::all(o.gradient_scale), keep = simd::all(o.decay_factor),
               step = simd::all(o.step_size);
  const Floats correction = simd::all(o.inverse_sqrt_correction2), eps = simd::all(o.epsilon);
  for_each_vector(count, [&](int64_t i, Mask m) {
    const Floats g = load(gradient + i, m) * scale;
    const Floats first = simd::multiply_add(load(exp_avg + i, m), b1, g * c1);
    const Floats second = simd::multiply_add(load(exp_avg_sq + i, m), b2, g * g * c2);
    const Floats denominator = simd::multiply_add(simd::square_root(second), correction, eps);
    const Floats p =
        simd::subtract_product(step, first / denominator, load(parameter + i, m) * keep);
    store(exp_avg + i, first, m);
    store(exp_avg_sq + i, second, m);
    store(parameter + i, p, m);
    if (compute != nullptr) {
      store(compute + i, p, m);
    }
    if (o.clear_gradient) {
      store(gradient + i, simd::zero(), m);
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

}  // namespace llm::rows::LLM_SIMD
