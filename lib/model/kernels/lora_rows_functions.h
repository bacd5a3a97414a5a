// The functions of lora_rows.h; included there once for each backend, inside its namespace.

/// u[k] = a[k] . x for `ranks` rows of a, which are `columns` long and lie one behind the other.
template <typename T>
void lora_down(const T* a, int64_t ranks, int64_t columns, const T* x, float* u);

/// y[i] += scale * sum over k of u[k] * b[k * stride + i], for i below `outputs`.
template <typename T>
void lora_up(const T* b, int64_t ranks, int64_t stride, int64_t outputs, const float* u,
             float scale, float* y);
