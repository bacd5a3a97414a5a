// What the fused operators share: raw views of tensors and splitting rows among threads in pieces
// that do not depend on how many threads there are.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include "model/kernels/rows.h"

namespace llm::fused {

template <typename T>
T* raw(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

/// Calls body with a float* or a bfloat* null pointer tag, by the dtype (fp32 or bf16).
template <typename Body>
void with_element(at::ScalarType type, Body body) {
  if (type == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    body(static_cast<rows::bfloat*>(nullptr));
  }
}

/// Rows in pieces of at least `grain`, at most 64 pieces: body(piece, begin, end). The pieces are a
/// function of the row count alone.
template <typename Body>
int64_t for_each_piece(int64_t rows, int64_t grain, Body body) {
  const int64_t piece_rows = std::max(grain, (rows + 63) / 64);
  const int64_t pieces = (rows + piece_rows - 1) / piece_rows;
  at::parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      body(piece, piece * piece_rows, std::min(rows, (piece + 1) * piece_rows));
    }
  });
  return pieces;
}

/// total (contiguous fp32) += addend (contiguous fp32 or bf16), element by element.
inline void add_to(at::Tensor& total, const at::Tensor& addend) {
  constexpr int64_t kPiece = 1 << 15;
  const int64_t count = total.numel();
  with_element(addend.scalar_type(), [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    at::parallel_for(0, (count + kPiece - 1) / kPiece, 1, [&](int64_t first, int64_t last) {
      const int64_t begin = first * kPiece, end = std::min(count, last * kPiece);
      rows::add(raw<float>(total) + begin, raw<T>(addend) + begin, end - begin);
    });
  });
}

inline int64_t piece_count(int64_t rows, int64_t grain) {
  const int64_t piece_rows = std::max(grain, (rows + 63) / 64);
  return (rows + piece_rows - 1) / piece_rows;
}

}  // namespace llm::fused
