#include "model/lora_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <utility>

#include "base/error.h"
#include "model/transformer.h"

namespace llm {
namespace {

/// A copy that outlives the adapter.
at::Tensor matrix(const std::vector<float>& values, int64_t rows, int64_t columns,
                  at::TensorOptions options) {
  return at::from_blob(const_cast<float*>(values.data()), {rows, columns}, at::kFloat)
      .clone()
      .to(options);
}

LoraTensors tensors_of(const LoraDelta& delta, at::TensorOptions options) {
  return {matrix(delta.a, delta.rank, delta.inputs, options),
          matrix(delta.b, delta.outputs, delta.rank, options), delta.scale};
}

const Parameter& adapted(const Transformer& model, const std::string& name) {
  const Parameter* parameter = model.find_parameter(name);
  check(parameter != nullptr, "adapter: the model has no parameter '{}'", name);
  return *parameter;
}

}  // namespace

std::unique_ptr<Transformer> with_lora(const Transformer& model, const LoraAdapter& adapter) {
  const at::TensorOptions options =
      at::TensorOptions().dtype(model.compute_dtype()).device(model.device());
  Transformer::LoraByParameter loras;
  for (const auto& [name, delta] : adapter.deltas) {
    adapted(model, name);
    loras.emplace(name, std::make_shared<const LoraTensors>(tensors_of(delta, options)));
  }
  return model.sharing_parameters(std::move(loras));
}

void merge_lora(Transformer& model, const LoraAdapter& adapter) {
  at::NoGradGuard no_grad;
  for (const auto& [name, delta] : adapter.deltas) {
    const at::Tensor weight = adapted(model, name).tensor.detach();
    const auto sums = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const LoraTensors lora =
        tensors_of(delta, at::TensorOptions().dtype(sums).device(model.device()));
    weight.copy_(weight.to(sums) + at::mm(lora.b, lora.a) * lora.scale);
  }
  model.refresh_compute_copy();
}

}  // namespace llm
