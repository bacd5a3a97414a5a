// Weights laid out for reading once per token: y = x W^T where the time is the time of streaming W
// from memory.
//
// A packed weight is a run of panels of 32 output rows. A bfloat16 panel holds, for each pair of
// input columns, those two columns of all 32 rows
// ([cols / 2][32][2]: the operand order of vdpbf16ps); a float32 panel holds one column of 32 rows
// at a time ([cols][32]). Each thread reads whole panels front to back, one sequential stream,
// which reaches the memory's read speed; rows at a stride do not. Rows are padded to 32 and columns
// to 2 with zeros.
//
// Law: a row of y is one chain of additions over the columns in ascending order, whatever the
// number of rows in the call and of threads. So one token alone, the same token in a batch and the
// same token in a prompt give the same bits.
//
// Needs a backend (cpu_backend.h: AVX2, or AVX-512 with BF16); where there is none callers keep to
// the plain operators of kernels.h. Packed weights are constant and may be shared by threads; a
// product's panels are shared out to a WorkerTeam.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/kernels/codes.h"
#include "model/kernels/stored_rows.h"
#include "model/kernels/stream_buffer.h"

namespace at {
class Tensor;
}

namespace llm {

class WorkerTeam;

struct PackedWeight {
  int64_t rows = 0, columns = 0;  // (out, in) as in the unpacked tensor
  bool bfloat = true;  // else float32: the inputs, and the weights where they are no codes
  Codes codes = Codes::none;
  StreamBuffer panels;
  /// Not packed yet: the matrices as they lie. Each product then packs the panels it multiplies
  /// with, into the cache: half the memory traffic of packing first, and no fresh pages.
  std::vector<StoredRows> unpacked;
  int64_t bytes() const;
};

/// The rows of several (out_i, in) matrices one below the other: q, k, v or gate, up as one
/// product, in bfloat16 or float32. Nothing is read yet: products give the bits that they give when
/// packed. As `codes` the weights are rounded from what the file has (weight_codes.h).
PackedWeight defer_packing(std::span<const StoredRows> matrices, bool bfloat,
                           Codes codes = Codes::none);
/// Packs what was deferred and lets the matrices go. Not while a product runs.
void pack_deferred(PackedWeight& weight, WorkerTeam& team);

/// One row as float32, rounded to bfloat16 first where `bfloat`.
void read_row(const StoredRows& matrix, int64_t row, bool bfloat, float* out);

/// A contiguous CPU tensor of at most two dimensions, float32 or bfloat16, which it keeps. (This
/// and what follows is in packed_tensors.cpp.)
StoredRows stored_rows(const at::Tensor& tensor);
/// Matrices of one dtype, packed or not yet.
PackedWeight pack_weights(std::span<const at::Tensor> weights);
PackedWeight defer_packing(std::span<const at::Tensor> weights);

/// Elements of one row of x as a product reads it: bfloat16 bits, the columns padded to an even
/// number with a zero, or float32.
int64_t activation_row_elements(const PackedWeight& weight);

/// y (count, weight.rows) float32 = x W^T. x: count rows of activation_row_elements(weight); y's
/// rows are y_stride floats apart.
void packed_linear(const PackedWeight& weight, const void* x, int64_t count, float* y,
                   int64_t y_stride, WorkerTeam& team);

}  // namespace llm
