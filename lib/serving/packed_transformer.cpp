// A Transformer's weights, packed; see packed_model.h.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include "model/device.h"
#include "model/transformer.h"
#include "serving/packed_model.h"

namespace llm {
namespace {

/// The parameters of a Transformer that may go afterwards.
ParameterReader reader_of(const Transformer& model) {
  return {.read = [&model](const std::string& name) -> std::optional<ParameterRows> {
    const Parameter* parameter = model.find_parameter(name);
    if (parameter == nullptr) return std::nullopt;
    const at::Tensor tensor = parameter->tensor.detach().contiguous();
    const bool kept = parameter->kind == ParameterKind::embedding;
    return ParameterRows{stored_rows(kept ? tensor.clone() : tensor)};
  }};
}

}  // namespace

PackedModel::PackedModel(const Transformer& model, Codes codes)
    : PackedModel(model.config(), model.dtype() == at::kBFloat16, codes, reader_of(model),
                  at::get_num_threads()) {}

std::optional<std::string> why_not_packed(const Transformer& model) {
  if (model.flat_compute_copy().defined()) return "it computes in mixed precision";
  if (!model.device().is_cpu()) return "the model is not on the CPU";
  return why_not_packed(model.config(), dtype_name(model.dtype()));
}

}  // namespace llm
