// Gradient checkpointing: a part of the graph keeps only its inputs and is computed again in the
// backward pass, https://arxiv.org/abs/1604.06174.
//
// Exact, not approximate: the operators are deterministic and dropout draws by counter, so the
// second run gives the same bits and the gradients are equal.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace llm {

using TensorList = std::vector<at::Tensor>;
/// A pure function of tensors (and of parameters it refers to, whose gradients accumulate in their
/// .grad as usual). Undefined outputs are not allowed.
using Segment = std::function<TensorList(const TensorList& inputs)>;

/// segment(inputs) without keeping what is inside. Plain call where gradients are off. Whatever
/// `segment` refers to must live until the backward pass.
TensorList checkpointed(const Segment& segment, const TensorList& inputs);

}  // namespace llm
