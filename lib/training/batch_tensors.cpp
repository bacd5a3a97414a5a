#include "training/batch_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace llm {
namespace {

/// One part after another, (count, cols) of one type, in rows of the widest.
template <typename Value, typename Source>
void copy_rows(const Source& values, int64_t rows, int64_t cols, at::Tensor into) {
  Value* out = into.data_ptr<Value>();
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(values.begin() + r * cols, cols, out + r * into.size(1));
  }
}

}  // namespace

RowTensors read_rows(DataLoader& loader, int64_t first_row, int64_t count) {
  const int64_t per_step = loader.options().rows_per_step;
  std::vector<Batch> parts;
  int64_t cols = 0;
  bool marked = false, several = false;
  for (int64_t done = 0; done < count; done += parts.back().rows) {
    const int64_t row = (first_row + done) % per_step;
    parts.push_back(
        loader.rows((first_row + done) / per_step, row, std::min(count - done, per_step - row)));
    cols = std::max(cols, parts.back().cols);
    marked = marked || !parts.back().learnt.empty();
    several = several || !parts.back().documents.empty();
  }
  RowTensors rows;
  rows.tokens = at::zeros({count, cols}, at::kLong);
  rows.learnt = marked ? at::zeros({count, cols}, at::kByte) : at::Tensor();
  rows.documents = several ? at::full({count, cols}, kPadding, at::kLong) : at::Tensor();
  int64_t done = 0;
  for (const Batch& part : parts) {
    const auto into = [&](const at::Tensor& tensor) { return tensor.narrow(0, done, part.rows); };
    copy_rows<int64_t>(part.tokens, part.rows, part.cols, into(rows.tokens));
    if (marked) copy_rows<uint8_t>(part.learnt, part.rows, part.cols, into(rows.learnt));
    if (several) copy_rows<int64_t>(part.documents, part.rows, part.cols, into(rows.documents));
    done += part.rows;
  }
  return rows;
}

RowTensors inputs_alone(RowTensors rows, int64_t seq_len) {
  for (at::Tensor* tensor : {&rows.tokens, &rows.learnt, &rows.documents}) {
    if (tensor->defined() && tensor->size(1) > seq_len) {
      *tensor = tensor->narrow(1, 0, seq_len).contiguous();
    }
  }
  return rows;
}

void set_visibility(TrainingBatch& batch, const at::Tensor& documents, bool causal) {
  if (!documents.defined()) {
    return;
  }
  const int64_t most = documents.max().item<int64_t>();
  if (most == 0) {
    const at::Tensor real = documents >= 0;
    if (!causal && !real.all().item<bool>()) {
      batch.attention_mask = real;
    }
    return;
  }
  batch.segments = documents;
  batch.positions = at::empty_like(documents);
  const int64_t* document = documents.const_data_ptr<int64_t>();
  int64_t* position = batch.positions.data_ptr<int64_t>();
  const int64_t cols = documents.size(1);
  for (int64_t i = 0; i < documents.numel(); ++i) {
    const bool goes_on = i % cols != 0 && document[i] == document[i - 1];
    position[i] = goes_on ? position[i - 1] + 1 : 0;
  }
}

}  // namespace llm
