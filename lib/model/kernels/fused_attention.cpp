// Exact attention of whole sequences in tiles of 64 queries, forward and backward, after
// https://arxiv.org/abs/2307.08691 but with all keys of a query tile held at once (sequences here
// are short), scores transposed, and the upper triangle of a causal mask skipped. Products run on
// LibTorch's brgemm.
#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/kernels/attention_tiles.h"
#include "model/kernels/fused.h"
#include "model/kernels/fused_rows.h"
#include "model/kernels/reference.h"

namespace llm::fused {
namespace {

using rows::bfloat;
using tiles::kTile;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kMostTokens = 4096;  // a query tile's scores take 256 bytes per key

void product(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, float* c,
             bool add) {
  at::native::cpublas::brgemm(m, n, k, lda, n, n, add, a, b, c, /*is_vnni=*/false);
}
void product(int64_t m, int64_t n, int64_t k, const bfloat* a, int64_t lda, const bfloat* b,
             float* c, bool add) {
  at::native::cpublas::brgemm(m, n, k, lda, n, n, add, reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c,
                              /*is_vnni=*/true);
}

struct Shape {
  int64_t batch, tokens, heads, kv_heads, depth;
  bool causal;
  float scale;
  int64_t width() const { return (heads + 2 * kv_heads) * depth; }
  int64_t group() const { return heads / kv_heads; }
  int64_t tile_count() const { return (tokens + kTile - 1) / kTile; }
  int64_t padded() const { return tile_count() * kTile; }
  /// One behind the last tile of keys that a tile of queries sees, and the first one.
  int64_t tiles_seen(int64_t query_tile) const { return causal ? query_tile + 1 : tile_count(); }
  int64_t first_tile(const int32_t* first_keys, int64_t query_tile) const {
    return first_keys == nullptr ? 0 : first_keys[query_tile * kTile] / kTile;
  }
  int64_t rows_of(int64_t tile) const { return std::min(kTile, tokens - tile * kTile); }
};

// Where head data lies inside one sequence's packed projection.
template <typename T>
struct Heads {
  T* base;
  const Shape& shape;
  T* q(int64_t h) const { return base + h * shape.depth; }
  T* k(int64_t g) const { return base + (shape.heads + g) * shape.depth; }
  T* v(int64_t g) const { return base + (shape.heads + shape.kv_heads + g) * shape.depth; }
};

template <typename T>
T* grown(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) {
    buffer.resize(size);
  }
  return buffer.data();
}

/// The first keys of one tile of queries, a whole tile of them; null where there are none.
struct TileFirsts {
  int32_t values[kTile];
  const int32_t* pointer = nullptr;
  void take(const Shape& s, const int32_t* first_keys, int64_t query_tile) {
    if (first_keys == nullptr) return;
    std::fill(values, values + kTile, 0);
    std::copy_n(first_keys + query_tile * kTile, s.rows_of(query_tile), values);
    pointer = values;
  }
};

template <typename T>
void forward_group(const Shape& s, const T* qkv, int64_t g, const int32_t* first_keys, T* out,
                   float* log_sum_exp) {
  thread_local std::vector<T> vt_buffer, qt_buffer, p_buffer;
  thread_local std::vector<float> score_buffer, ot_buffer;
  const Heads<const T> in{qkv, s};
  const int64_t D = s.depth, padded = s.padded();
  T* vt = grown(vt_buffer, D * padded);
  T* qt = grown(qt_buffer, D * kTile);
  T* p = grown(p_buffer, padded * kTile);
  float* scores = grown(score_buffer, padded * kTile);
  float* ot = grown(ot_buffer, D * kTile);
  float inverse[kTile], lse[kTile];
  TileFirsts firsts;
  tiles::transpose(in.v(g), s.width(), s.tokens, padded, D, vt, padded);
  for (int64_t h = g * s.group(); h < (g + 1) * s.group(); ++h) {
    for (int64_t qb = 0; qb < s.tile_count(); ++qb) {
      const int64_t q0 = qb * kTile, queries = s.rows_of(qb), seen = s.tiles_seen(qb),
                    begin = s.first_tile(first_keys, qb);
      tiles::pack_transposed(in.q(h) + q0 * s.width(), s.width(), queries, D, qt);
      for (int64_t kb = begin; kb < seen; ++kb) {
        product(s.rows_of(kb), kTile, D, in.k(g) + kb * kTile * s.width(), s.width(), qt,
                scores + (kb - begin) * kTile * kTile, false);
      }
      firsts.take(s, first_keys, qb);
      tiles::softmax_columns(scores, seen - begin,
                             tiles::Mask{begin * kTile, q0, s.tokens, s.causal, firsts.pointer},
                             s.scale, p, inverse, lse);
      for (int64_t kb = begin; kb < seen; ++kb) {
        product(D, kTile, kTile, vt + kb * kTile, padded, p + (kb - begin) * kTile * kTile, ot,
                kb > begin);
      }
      tiles::store_transposed(ot, inverse, queries, D, out + (q0 * s.heads + h) * D, s.heads * D);
      std::copy(lse, lse + queries, log_sum_exp + h * s.tokens + q0);
    }
  }
}

template <typename T>
struct BackwardBuffers {
  std::vector<T> kt, qt, dot, q_rows, do_rows, p, ds, ds_operand;
  std::vector<float> scores, dp, dqt, dk, dv, row;
};

template <typename T>
void backward_group(const Shape& s, const T* qkv, int64_t g, const int32_t* first_keys,
                    const T* out, const T* d_out, const float* log_sum_exp, const float* cos,
                    const float* sin, int64_t half, int64_t table_stride, T* d_qkv) {
  thread_local BackwardBuffers<T> buffers;
  auto& b = buffers;
  const Heads<const T> in{qkv, s};
  const Heads<T> grad{d_qkv, s};
  const int64_t D = s.depth, padded = s.padded(), row = s.heads * D;
  T* kt = grown(b.kt, D * padded);
  T *qt = grown(b.qt, D * kTile), *dot = grown(b.dot, D * kTile),
    *q_rows = grown(b.q_rows, D * kTile), *do_rows = grown(b.do_rows, D * kTile);
  T *p = grown(b.p, kTile * kTile), *ds = grown(b.ds, kTile * kTile),
    *ds_operand = grown(b.ds_operand, kTile * kTile);
  float *scores = grown(b.scores, kTile * kTile), *dp = grown(b.dp, kTile * kTile),
        *dqt = grown(b.dqt, D * kTile);
  float *dk = grown(b.dk, padded * D), *dv = grown(b.dv, padded * D);
  std::fill(dk, dk + padded * D, 0.0f);
  std::fill(dv, dv + padded * D, 0.0f);
  float delta[kTile], lse[kTile];
  TileFirsts firsts;
  tiles::transpose(in.k(g), s.width(), s.tokens, padded, D, kt, padded);
  // Gradients come back through the rotation: rotate by the opposite angle.
  const auto unrotate = [&](T* x, int64_t t) {
    if (cos != nullptr) {
      rows::rope(x, x, cos + t * table_stride, sin + t * table_stride, 1, D, half, -1.0f);
    }
  };
  for (int64_t h = g * s.group(); h < (g + 1) * s.group(); ++h) {
    for (int64_t qb = 0; qb < s.tile_count(); ++qb) {
      const int64_t q0 = qb * kTile, queries = s.rows_of(qb);
      const T* q = in.q(h) + q0 * s.width();
      const T* d_o = d_out + q0 * row + h * D;
      const T* o = out + q0 * row + h * D;
      for (int64_t i = 0; i < kTile; ++i) {
        delta[i] = i < queries ? tiles::dot(d_o + i * row, o + i * row, D) : 0.0f;
        lse[i] = i < queries ? log_sum_exp[h * s.tokens + q0 + i] : 0.0f;
      }
      tiles::pack_transposed(q, s.width(), queries, D, qt);
      tiles::pack_transposed(d_o, row, queries, D, dot);
      tiles::pack_rows(q, s.width(), queries, D, q_rows);
      tiles::pack_rows(d_o, row, queries, D, do_rows);
      firsts.take(s, first_keys, qb);
      const int64_t begin = s.first_tile(first_keys, qb);
      for (int64_t kb = begin; kb < s.tiles_seen(qb); ++kb) {
        const int64_t k0 = kb * kTile, keys = s.rows_of(kb);
        product(keys, kTile, D, in.k(g) + k0 * s.width(), s.width(), qt, scores, false);
        product(keys, kTile, D, in.v(g) + k0 * s.width(), s.width(), dot, dp, false);
        tiles::softmax_backward(scores, dp, tiles::Mask{k0, q0, s.tokens, s.causal, firsts.pointer},
                                s.scale, lse, delta, p, ds, ds_operand);
        product(kTile, D, kTile, p, kTile, do_rows, dv + k0 * D, true);
        product(kTile, D, kTile, ds, kTile, q_rows, dk + k0 * D, true);
        product(D, kTile, kTile, kt + k0, padded, ds_operand, dqt, kb > begin);
      }
      T* dq = grad.q(h) + q0 * s.width();
      tiles::store_transposed(dqt, nullptr, queries, D, dq, s.width());
      for (int64_t i = 0; i < queries; ++i) {
        unrotate(dq + i * s.width(), q0 + i);
      }
    }
  }
  for (int64_t t = 0; t < s.tokens; ++t) {
    tiles::store_row(dk + t * D, D, grad.k(g) + t * s.width());
    unrotate(grad.k(g) + t * s.width(), t);
    tiles::store_row(dv + t * D, D, grad.v(g) + t * s.width());
  }
}

template <typename T>
void rotate_all(const Shape& s, const T* x, T* y, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = cos.size(-1), per_batch = cos.dim() == 3 ? s.tokens * half : 0;
  for_each_piece(s.batch * s.tokens, 16, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t table = n / s.tokens * per_batch + n % s.tokens * half;
      rows::rope(x + n * s.width(), y + n * s.width(), raw<float>(cos) + table,
                 raw<float>(sin) + table, s.heads + s.kv_heads, s.depth, half, 1.0f);
      std::copy(x + n * s.width() + (s.heads + s.kv_heads) * s.depth, x + (n + 1) * s.width(),
                y + n * s.width() + (s.heads + s.kv_heads) * s.depth);
    }
  });
}

/// Row b of first_keys (B or 1, T).
const int32_t* first_keys_of(const std::optional<at::Tensor>& first_keys, int64_t b) {
  if (!first_keys) return nullptr;
  return raw<int32_t>(*first_keys) + (first_keys->size(0) == 1 ? 0 : b * first_keys->size(1));
}

struct SelfAttention : torch::autograd::Function<SelfAttention> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv,
                            const std::optional<at::Tensor>& cos,
                            const std::optional<at::Tensor>& sin,
                            const std::optional<at::Tensor>& first_keys, const Shape* shape) {
    const Shape s = *shape;
    at::Tensor rotated = cos ? at::empty_like(qkv) : qkv.detach();
    at::Tensor out = at::empty({s.batch, s.tokens, s.heads * s.depth}, qkv.options());
    at::Tensor lse = at::empty({s.batch, s.heads, s.tokens}, qkv.options().dtype(at::kFloat));
    with_element(qkv.scalar_type(), [&](auto* tag) {
      using T = std::remove_pointer_t<decltype(tag)>;
      if (cos) {
        rotate_all<T>(s, raw<T>(qkv), raw<T>(rotated), *cos, *sin);
      }
      at::parallel_for(0, s.batch * s.kv_heads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
          const int64_t b = task / s.kv_heads;
          forward_group<T>(s, raw<T>(rotated) + b * s.tokens * s.width(), task % s.kv_heads,
                           first_keys_of(first_keys, b),
                           raw<T>(out) + b * s.tokens * s.heads * s.depth,
                           raw<float>(lse) + b * s.heads * s.tokens);
        }
        at::native::cpublas::brgemm_release();
      });
    });
    ctx->saved_data["rotated"] = rotated;
    ctx->saved_data["out"] = out.detach();
    ctx->saved_data["lse"] = lse;
    ctx->saved_data["cos"] = cos ? *cos : at::Tensor();
    ctx->saved_data["sin"] = sin ? *sin : at::Tensor();
    ctx->saved_data["first_keys"] = first_keys ? *first_keys : at::Tensor();
    ctx->saved_data["sizes"] = std::vector<int64_t>{s.heads, s.kv_heads, s.causal ? 1 : 0};
    ctx->saved_data["scale"] = static_cast<double>(s.scale);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor rotated = ctx->saved_data["rotated"].toTensor(),
                     out = ctx->saved_data["out"].toTensor(),
                     lse = ctx->saved_data["lse"].toTensor();
    const at::Tensor cos = ctx->saved_data["cos"].toTensor(),
                     sin = ctx->saved_data["sin"].toTensor(),
                     saved_firsts = ctx->saved_data["first_keys"].toTensor();
    const std::optional<at::Tensor> first_keys =
        saved_firsts.defined() ? std::optional(saved_firsts) : std::nullopt;
    const auto sizes = ctx->saved_data["sizes"].toIntVector();
    const int64_t H = sizes[0], K = sizes[1];
    const Shape s{rotated.size(0),
                  rotated.size(1),
                  H,
                  K,
                  rotated.size(2) / (H + 2 * K),
                  sizes[2] == 1,
                  static_cast<float>(ctx->saved_data["scale"].toDouble())};
    at::Tensor d_out = gradients[0].contiguous();
    at::Tensor d_qkv = at::empty_like(rotated);
    const int64_t half = cos.defined() ? cos.size(-1) : 0,
                  per_batch = cos.defined() && cos.dim() == 3 ? s.tokens * half : 0;
    with_element(rotated.scalar_type(), [&](auto* tag) {
      using T = std::remove_pointer_t<decltype(tag)>;
      at::parallel_for(0, s.batch * s.kv_heads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
          const int64_t b = task / s.kv_heads, at_in = b * s.tokens * s.width(),
                        at_out = b * s.tokens * s.heads * s.depth;
          backward_group<T>(s, raw<T>(rotated) + at_in, task % s.kv_heads,
                            first_keys_of(first_keys, b), raw<T>(out) + at_out,
                            raw<T>(d_out) + at_out, raw<float>(lse) + b * s.heads * s.tokens,
                            cos.defined() ? raw<float>(cos) + b * per_batch : nullptr,
                            cos.defined() ? raw<float>(sin) + b * per_batch : nullptr, half, half,
                            raw<T>(d_qkv) + at_in);
        }
        at::native::cpublas::brgemm_release();
      });
    });
    return {d_qkv, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t num_heads, int64_t num_key_value_heads, bool causal, double scale,
                          const at::Tensor& first_keys) {
  const int64_t depth = qkv.size(2) / (num_heads + 2 * num_key_value_heads);
  if (depth % 16 != 0 || depth > 256 || qkv.size(1) > kMostTokens) {
    return reference::self_attention(qkv, cos, sin, num_heads, num_key_value_heads, causal, scale,
                                     first_keys);
  }
  const Shape shape{qkv.size(0),
                    qkv.size(1),
                    num_heads,
                    num_key_value_heads,
                    depth,
                    causal,
                    static_cast<float>(scale)};
  std::optional<at::Tensor> c, s, first;
  if (first_keys.defined()) {
    first = first_keys.to(at::kInt).contiguous();
  }
  if (cos.defined()) {
    c = cos.to(at::kFloat).contiguous();
    s = sin.to(at::kFloat).contiguous();
  }
  return SelfAttention::apply(qkv.contiguous(), c, s, first, &shape);
}

}  // namespace llm::fused
