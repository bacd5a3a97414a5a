// Rows of a loader as tensors: what the objectives (loss.h) make their batches of.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "training/loss.h"

namespace llm {

/// (B, cols) each. Rows of the whole run, from a loader that numbers them by step.
struct RowTensors {
  at::Tensor tokens;     // int64
  at::Tensor learnt;     // uint8, 0 = not to be learnt; undefined: all are
  at::Tensor documents;  // int64, which text of its row, kPadding behind the last; undefined: one
};
RowTensors read_rows(DataLoader& loader, int64_t first_row, int64_t count);

/// As many columns as a row has targets at most: what a model that sees all of a row is trained on.
RowTensors inputs_alone(RowTensors rows, int64_t seq_len);

/// What keeps the texts of packed rows apart: segments and positions of `batch` from `documents`
/// (B, T), where a row holds several. Without that, padding is left to the attention mask, which
/// only a model that sees what comes later needs.
void set_visibility(TrainingBatch& batch, const at::Tensor& documents, bool causal);

}  // namespace llm
