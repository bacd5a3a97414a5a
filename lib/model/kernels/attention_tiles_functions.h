// The functions of attention_tiles.h; included there once for each backend, inside its namespace.

/// Operand B of x^T: x has `rows` rows (<= kTile, missing ones count as zero) of depth D, `stride`
/// apart -> depth x kTile.
template <typename T>
void pack_transposed(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out);

/// Operand B of x itself: kTile x depth from `rows` rows; missing rows are zero.
template <typename T>
void pack_rows(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out);

/// out (depth, out_stride) = x^T for rows rows of x; columns from rows to `padded` become zero.
template <typename T>
void transpose(const T* x, int64_t stride, int64_t rows, int64_t padded, int64_t depth, T* out,
               int64_t out_stride);

/// x (depth, kTile) fp32, transposed, scaled per column and stored as `rows` rows of T, `stride`
/// apart. factors may be null.
template <typename T>
void store_transposed(const float* x, const float* factors, int64_t rows, int64_t depth, T* out,
                      int64_t stride);

/// Forward: folds `tiles` stacked tiles of scores (tiles * kTile, kTile) into probabilities
/// exp(scale * s - top), unnormalised, as operand B; writes inverse_sum and log_sum_exp per query.
/// Row r of the stack is key mask.key0 + r.
template <typename T>
void softmax_columns(const float* scores, int64_t tiles, const Mask& mask, float scale,
                     T* probabilities, float* inverse_sum, float* log_sum_exp);

/// Backward of one tile: p = exp(scale * s - lse), ds = p * (dp - delta) * scale; p and ds
/// row-major (kTile, kTile), ds also as operand B.
template <typename T>
void softmax_backward(const float* scores, const float* d_probabilities, const Mask& mask,
                      float scale, const float* log_sum_exp, const float* delta, T* p, T* ds,
                      T* ds_operand);

/// sum over depth of a * b for one row.
template <typename T>
float dot(const T* a, const T* b, int64_t depth);

/// One row of fp32 stored as T.
template <typename T>
void store_row(const float* x, int64_t depth, T* out);
