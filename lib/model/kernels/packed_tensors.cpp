// Packed weights from LibTorch's tensors; see packed_linear.h.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "model/kernels/packed_linear.h"
#include "model/kernels/worker_team.h"

namespace llm {

StoredRows stored_rows(const at::Tensor& tensor) {
  const bool bfloat = tensor.scalar_type() == at::kBFloat16;
  check(tensor.dim() <= 2 && tensor.device().is_cpu() && tensor.is_contiguous() &&
            (bfloat || tensor.scalar_type() == at::kFloat),
        "packed weights: contiguous float32 or bfloat16 on the CPU expected");
  const int64_t columns = tensor.dim() == 2 ? tensor.size(1) : tensor.numel();
  const auto kept = std::make_shared<const at::Tensor>(tensor);
  StoredRows rows;
  rows.data = static_cast<const std::byte*>(kept->const_data_ptr());
  rows.rows = tensor.dim() == 2 ? tensor.size(0) : 1;
  rows.columns = columns;
  rows.row_bytes = static_cast<size_t>(columns) * (bfloat ? 2 : 4);
  rows.numbers = bfloat ? StoredRows::Numbers::bfloat16 : StoredRows::Numbers::float32;
  rows.keeper = kept;
  return rows;
}

PackedWeight defer_packing(std::span<const at::Tensor> weights) {
  std::vector<StoredRows> matrices;
  for (const at::Tensor& weight : weights) {
    check(weight.scalar_type() == weights.front().scalar_type(),
          "pack_weights: matrices of one number format expected");
    matrices.push_back(stored_rows(weight.contiguous()));
  }
  return defer_packing(matrices,
                       !weights.empty() && weights.front().scalar_type() == at::kBFloat16);
}

PackedWeight pack_weights(std::span<const at::Tensor> weights) {
  PackedWeight packed = defer_packing(weights);
  WorkerTeam team(at::get_num_threads());
  pack_deferred(packed, team);
  return packed;
}

}  // namespace llm
