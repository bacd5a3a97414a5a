// Between a family's stored tensors and our parameters: the joining, splitting and transposing that
// StoredTensor describes, on values.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/families/family.h"

namespace llm {

/// What the file holds: `parameters` in the order of stored.parameters, any dtype. A view where the
/// layout allows it, else a new tensor.
at::Tensor join_stored(const StoredTensor& stored, const std::vector<at::Tensor>& parameters);

/// Copies a file's tensor (of stored.shape, any float dtype) into the parameters, converting.
void split_stored(const StoredTensor& stored, const at::Tensor& values,
                  const std::vector<at::Tensor>& parameters);

}  // namespace llm
