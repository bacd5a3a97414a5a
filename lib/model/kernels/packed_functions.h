// The functions of packed_kernels.h; included there once for each backend, inside its namespace.

/// One panel: `outputs` <= 32 outputs for `count` rows of x. Strides in elements; y (count,
/// outputs). `next` (may be null): memory of the panel's size that will be read soon; it is brought
/// into the second-level cache while the last block of kRowsAtOnce rows computes.
void panel_product(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs,
                   const uint16_t* next = nullptr);
void panel_product(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                   int64_t count, float* y, int64_t y_stride, int64_t outputs,
                   const float* next = nullptr);

/// The same, going on from the 32 outputs that y holds: a product in stretches of columns is the
/// same chain of additions as one over all of them.
void panel_product_add(const uint16_t* panel, const uint16_t* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride, const uint16_t* next = nullptr);
void panel_product_add(const float* panel, const float* x, int64_t x_stride, int64_t columns,
                       int64_t count, float* y, int64_t y_stride, const float* next = nullptr);

/// int8 keys of 32 positions (kv_blocks.h) times their positions' scales, as a panel of `dim`
/// columns.
void dequantise_keys(const int8_t* keys, const float* scales, int64_t dim, uint16_t* panel);
void dequantise_keys(const int8_t* keys, const float* scales, int64_t dim, float* panel);
/// int8 values of 32 positions times their positions' scales, as panels of 32 of the `dim` outputs
/// (a multiple of 32).
void dequantise_values(const int8_t* values, const float* scales, int64_t dim, uint16_t* panels);
void dequantise_values(const int8_t* values, const float* scales, int64_t dim, float* panels);

/// shares[i] = exp(scale * (scores[i] - max)) for i in [first, last), 0 elsewhere up to `padded` (a
/// multiple of 16), rounded to T. Returns 1 / sum of the rounded shares. The sum's order depends on
/// i only.
template <typename T>
float softmax(const float* scores, int64_t first, int64_t last, int64_t padded, float scale,
              T* shares);

/// sum += delta (null: nothing is added); y = sum / rms(sum) * weight, rounded to T, one zero
/// behind an odd number of columns where T is bfloat16.
template <typename T>
void add_rms_norm(float* sum, const float* delta, const float* weight, float eps, int64_t columns,
                  T* y);

/// y[i] = act(gate_up[i]) * gate_up[columns + i] rounded to T; act is GELU (erf) or SiLU.
template <typename T>
void gated_activation(const float* gate_up, bool gelu, int64_t columns, T* y);

/// Rounds to T, as every product's input is.
template <typename T>
void store_row(const float* x, int64_t columns, T* y);

/// Rotates one head in place: pairs (i, i + half).
void rotate(float* head, const float* cos, const float* sin, int64_t half);

/// `words` 32-bit words of each row into a panel: word by word of all rows. Returns how many words
/// were done, whole blocks of 16; the rest is the caller's.
int64_t pack_rows(const std::array<const std::byte*, kPanelRows>& rows, int64_t words,
                  uint32_t* panel);
/// To the nearest bfloat16, ties to even; NaN stays NaN.
void round_to_bfloat(const float* x, int64_t count, uint16_t* y);
