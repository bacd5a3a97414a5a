// A LoRA adapter beside packed weights: the deltas of a model's four products a layer, in the
// model's number format.
//
// Every row of a pass may have another adapter or none. Rows are computed one by one
// (model/kernels/lora_rows.h), so a row's numbers do not depend on its company, as packed_linear's
// do not: different adapters run in one batch. Constant and shared. No LibTorch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/kernels/stream_buffer.h"
#include "model/lora_adapter.h"
#include "model/model_config.h"
#include "serving/token_model.h"

namespace llm {

class WorkerTeam;

/// The products of a layer, as PackedLayer has them.
enum class PackedProduct { qkv, o, gate_up, down };

class PackedAdapter final : public ModelAdapter {
 public:
  PackedAdapter(const LoraAdapter& adapter, const ModelConfig& config, bool bfloat);

  /// What stands beside one product: several matrices with the same input.
  struct Delta {
    struct Part {
      int64_t rank, first_rank;  // of u
      int64_t outputs, first_output;
      float scale;
      StreamBuffer b;  // (rank, outputs)
    };
    int64_t ranks = 0, inputs = 0;
    StreamBuffer a;  // (ranks, inputs), the parts' one below the other
    std::vector<Part> parts;
  };
  const Delta& delta(int64_t layer, PackedProduct product) const {
    return deltas_[static_cast<size_t>(layer * 4 + static_cast<int64_t>(product))];
  }

 private:
  std::vector<Delta> deltas_;  // four a layer
};

/// A row of a pass that has an adapter.
struct AdaptedRow {
  const PackedAdapter* adapter;
  int64_t row;
};

/// y += delta(x) for these rows. Rows of x and y are that many elements apart; `u` is scratch
/// memory.
template <typename T>
void add_adapters(std::span<const AdaptedRow> rows, int64_t layer, PackedProduct product,
                  const T* x, int64_t x_stride, float* y, int64_t y_stride, std::vector<float>& u,
                  WorkerTeam& team);

}  // namespace llm
