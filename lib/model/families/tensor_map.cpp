#include "model/families/tensor_map.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"

namespace llm {
namespace {

// (H * D, ...) whose rotated rows go half by half <-> pair by pair.
at::Tensor to_pairs(const at::Tensor& rows, const StoredTensor& stored, bool pairs) {
  const int64_t D = stored.head_dim, R = stored.rotary_dim;
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] /= D;
  shape.insert(shape.begin() + 1, D);
  const at::Tensor heads = rows.reshape(shape);  // (H, D, ...)
  at::Tensor rotated = heads.narrow(1, 0, R);
  rotated = pairs ? rotated.unflatten(1, {2, R / 2}) : rotated.unflatten(1, {R / 2, 2});
  rotated = rotated.transpose(1, 2).flatten(1, 2);  // (H, R, ...)
  return at::cat({rotated, heads.narrow(1, R, D - R)}, 1).reshape(rows.sizes());
}

at::Tensor by_head(const at::Tensor& rows, int64_t head_dim) {
  return rows.unflatten(0, {rows.size(0) / head_dim, head_dim});  // (H, D, ...)
}

}  // namespace

at::Tensor join_stored(const StoredTensor& stored, const std::vector<at::Tensor>& parameters) {
  at::NoGradGuard no_grad;
  check(parameters.size() == stored.parameters.size(), "{}: joins {} parameters, was given {}",
        stored.name, stored.parameters.size(), parameters.size());
  if (stored.layout == StoredLayout::heads) {
    std::vector<at::Tensor> heads;
    for (const at::Tensor& parameter : parameters) {
      heads.push_back(by_head(parameter, stored.head_dim));
    }
    return at::cat(heads, 1).flatten(0, 1);
  }
  const at::Tensor rows = parameters.size() == 1 ? parameters.front() : at::cat(parameters, 0);
  if (stored.layout == StoredLayout::rotary_pairs) {
    return to_pairs(rows, stored, true);
  }
  return stored.layout == StoredLayout::columns && rows.dim() == 2 ? rows.t() : rows;
}

void split_stored(const StoredTensor& stored, const at::Tensor& values,
                  const std::vector<at::Tensor>& parameters) {
  at::NoGradGuard no_grad;
  check(values.sizes() == at::IntArrayRef(stored.shape), "{}: has another shape than the model's",
        stored.name);
  const auto parts = static_cast<int64_t>(parameters.size());
  if (stored.layout == StoredLayout::heads) {
    const at::Tensor heads = by_head(values, parts * stored.head_dim);  // (H, parts * D, ...)
    for (int64_t i = 0; i < parts; ++i) {
      parameters[static_cast<size_t>(i)].detach().copy_(
          heads.narrow(1, i * stored.head_dim, stored.head_dim).flatten(0, 1));
    }
    return;
  }
  at::Tensor rows =
      stored.layout == StoredLayout::columns && values.dim() == 2 ? values.t() : values;
  if (stored.layout == StoredLayout::rotary_pairs) {
    rows = to_pairs(rows, stored, false);
  }
  int64_t begin = 0;
  for (const at::Tensor& parameter : parameters) {
    parameter.detach().copy_(rows.narrow(0, begin, parameter.size(0)));
    begin += parameter.size(0);
  }
}

}  // namespace llm
