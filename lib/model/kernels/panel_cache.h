// Keys and values of one sequence in the order in which a decode step reads them, and attention
// over them.
//
// Per layer and key/value head: the keys are a packed matrix of `capacity` rows and D columns
// (panels of 32 keys), the values one of D rows and `capacity` columns (panels of 32 of the D
// outputs), both in the layout of packed_linear.h. So scores and weighted sums are packed products
// with the same law: a query's result is a fixed chain of operations over its own keys, the same
// bits in a prompt of any length, one token at a time, alone or in a batch. Softmax is float32; a
// bfloat16 cache rounds the weights to bfloat16 and divides by the sum of the rounded ones.
//
// Positions are 0, 1, 2, ...; append in order. Memory is reserved for the whole capacity and
// touched as it fills. Not thread-safe; attend() may run on several heads at once.
#pragma once

#include <cstdint>
#include <vector>

#include "model/kernels/packed_linear.h"

namespace llm {

class PanelCache {
 public:
  struct Shape {
    int64_t layers, heads, head_dim, capacity;
    bool bfloat;
  };
  explicit PanelCache(const Shape& shape);

  const Shape& shape() const { return shape_; }
  int64_t bytes() const { return static_cast<int64_t>(memory_.size()); }
  /// k, v: (heads * head_dim) float32 of one token; k already rotated.
  void append(int64_t layer, int64_t position, const float* k, const float* v);

  /// Queries of one key/value head: `tokens` consecutive tokens from `first_position` on, `group`
  /// query heads each, (tokens, group, head_dim) in the cache's dtype. Token t sees keys
  /// first_position + t - window + 1 .. first_position + t (window 0 = all before). Writes head_dim
  /// float32 for (t, j) at out + t * token_stride + j * head_dim. `scratch` grows as needed and may
  /// be kept.
  struct Queries {
    const void* q;
    int64_t first_position, tokens, group;
    double scale;
    int64_t window;
    float* out;
    int64_t token_stride;
  };
  void attend(int64_t layer, int64_t head, const Queries& queries, StreamBuffer& scratch) const;

 private:
  template <typename T>
  T* keys(int64_t layer, int64_t head) const;
  template <typename T>
  T* values(int64_t layer, int64_t head) const;
  template <typename T>
  void append_as(int64_t layer, int64_t position, const float* k, const float* v);
  template <typename T>
  void attend_as(int64_t layer, int64_t head, const Queries& queries, StreamBuffer& scratch) const;

  Shape shape_;
  int64_t padded_dim_, padded_capacity_, head_elements_;
  StreamBuffer memory_;
};

}  // namespace llm
