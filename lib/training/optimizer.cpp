#include "training/optimizer.h"

#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "training/optimizer_kinds.h"

namespace llm {

int64_t ParameterSlice::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  return count;
}

FlatParameters flat_parameters_of(Transformer& model) {
  FlatParameters parameters;
  parameters.values = model.flat_parameters();
  parameters.gradients = model.flat_gradients();
  parameters.compute = model.flat_compute_copy();
  for (const Parameter& parameter : model.named_parameters()) {
    parameters.slices.push_back(
        {parameter.name, parameter.offset, parameter.tensor.sizes().vec(), parameter.kind});
  }
  return parameters;
}

bool decays(const OptimizerConfig& config, const ParameterSlice& slice) {
  switch (slice.kind) {
    case ParameterKind::matrix:
      return true;
    case ParameterKind::embedding:
    case ParameterKind::head:
      return config.decay_embeddings;
    case ParameterKind::norm:
    case ParameterKind::bias:
      return false;
  }
  return false;
}

std::vector<FlatRange> decay_ranges(const OptimizerConfig& config,
                                    const std::vector<ParameterSlice>& slices) {
  std::vector<FlatRange> ranges;
  for (const ParameterSlice& slice : slices) {
    const double decay = decays(config, slice) ? config.weight_decay : 0;
    if (!ranges.empty() && ranges.back().weight_decay == decay &&
        ranges.back().offset + ranges.back().length == slice.offset) {
      ranges.back().length += slice.numel();
    } else {
      ranges.push_back({slice.offset, slice.numel(), decay});
    }
  }
  return ranges;
}

at::Tensor zero_state(const at::Tensor& gradients) {
  return at::zeros(gradients.sizes(), gradients.options().dtype(at::kFloat));
}

at::Tensor scaled_gradient(const at::Tensor& gradient, double scale) {
  at::Tensor scaled = gradient.to(at::kFloat);
  return scale == 1 ? scaled : scaled.mul_(scale);
}

void append_state(std::vector<OptimizerTensor>& out, const std::string& kind,
                  const at::Tensor& flat, const std::vector<ParameterSlice>& slices) {
  for (const ParameterSlice& slice : slices) {
    out.push_back(
        {kind + "/" + slice.name, flat.narrow(0, slice.offset, slice.numel()).view(slice.shape)});
  }
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                          FlatParameters parameters) {
  if (config.name == "adamw") {
    return make_adamw(config, std::move(parameters));
  }
  if (config.name == "lion") {
    return make_lion(config, std::move(parameters));
  }
  if (config.name == "sgd") {
    return make_sgd(config, std::move(parameters));
  }
  if (config.name == "adafactor") {
    return make_adafactor(config, std::move(parameters));
  }
  check(config.name == "muon",
        "optimizer.name: '{}' is not one of adamw, lion, sgd, adafactor, muon", config.name);
  return make_muon(config, std::move(parameters));
}

}  // namespace llm
