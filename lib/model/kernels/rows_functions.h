// The functions of rows.h; included there once for each backend, inside its namespace.

/// y = x_sum * inverse * weight with x_sum = x (+ delta), inverse = 1 / sqrt(mean(x_sum^2) + eps).
/// sum and delta may be null.
template <typename X, typename D, typename Y>
void rms_norm(const X* x, const D* delta, const float* weight, X* sum, Y* y, float* inverse,
              int64_t rows, int64_t columns, float eps);

/// dx = d_sum (may be null) + gradient of the norm; dx_low (may be null) receives the same rounded
/// to D; weight_gradient (columns) is added to.
template <typename X, typename D, typename Y>
void rms_norm_backward(const X* x, const float* inverse, const float* weight, const Y* dy,
                       const X* d_sum, X* dx, D* dx_low, float* weight_gradient, int64_t rows,
                       int64_t columns);

/// gate_up rows of 2 * columns -> columns: silu(gate) * up.
template <typename T>
void swiglu(const T* gate_up, T* y, int64_t rows, int64_t columns);
template <typename T>
void swiglu_backward(const T* gate_up, const T* dy, T* d_gate_up, int64_t rows, int64_t columns);

/// One row of logits: returns -ln softmax[target] and whether the argmax is the target; where
/// `gradient`, the row becomes (softmax - onehot) * scale.
template <typename T>
RowLoss cross_entropy(T* logits, int64_t columns, int64_t target, float scale, bool gradient);

/// Rotates `heads` heads of head_dim in place (direction +1) or back (-1): pairs (i, i + half),
/// half entries of cos and sin.
template <typename T>
void rope(const T* x, T* y, const float* cos, const float* sin, int64_t heads, int64_t head_dim,
          int64_t half, float direction);

void add(float* destination, const bfloat* source, int64_t count);
void add(float* destination, const float* source, int64_t count);
double sum_of_squares(const float* x, int64_t count);
double sum_of_squares(const bfloat* x, int64_t count);

void adamw(float* parameter, float* gradient, float* exp_avg, float* exp_avg_sq, bfloat* compute,
           int64_t count, const Adamw& options);
