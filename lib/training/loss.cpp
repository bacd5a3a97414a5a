#include "training/loss.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "model/kernels/kernels.h"
#include "training/batch_tensors.h"

namespace llm {

BatchSource causal_batches(DataLoader& loader) {
  return [&loader](int64_t first_row, int64_t count) {
    const RowTensors rows = read_rows(loader, first_row, count);
    const int64_t tokens = rows.tokens.size(1) - 1;
    const auto inputs = [&](const at::Tensor& t) { return t.narrow(1, 0, tokens).contiguous(); };
    const auto following = [&](const at::Tensor& t) { return t.narrow(1, 1, tokens); };
    TrainingBatch batch;
    batch.input_ids = inputs(rows.tokens);
    batch.targets = following(rows.tokens).contiguous();
    if (rows.learnt.defined()) {
      batch.targets = batch.targets.masked_fill(following(rows.learnt) == 0, kIgnoreTarget);
    }
    if (rows.documents.defined()) {
      batch.targets = batch.targets.masked_fill(
          following(rows.documents) != rows.documents.narrow(1, 0, tokens), kIgnoreTarget);
      set_visibility(batch, inputs(rows.documents), /*causal=*/true);
    }
    batch.target_count = rows.learnt.defined() || rows.documents.defined()
                             ? (batch.targets != kIgnoreTarget).sum().item<int64_t>()
                             : count * tokens;
    return batch;
  };
}

double LossTotals::perplexity() const { return std::exp(loss()); }

double LossTotals::bits_per_byte() const {
  return bytes > 0 ? nll / (std::numbers::ln2 * static_cast<double>(bytes)) : 0;
}

}  // namespace llm
