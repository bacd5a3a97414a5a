#include "model/init.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/random.h"

namespace llm {
namespace {

uint64_t hash_name(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char letter : name) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  }
  return hash;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

double initial_std(const ModelConfig& config, const Parameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::norm:
    case ParameterKind::bias:
      return 0.0;
    case ParameterKind::embedding:
    case ParameterKind::head:
      return config.initializer_range;
    case ParameterKind::matrix:
      break;
  }
  const bool writes_residual =
      ends_with(parameter.name, "o_proj.weight") || ends_with(parameter.name, "down_proj.weight");
  return writes_residual ? config.initializer_range /
                               std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers))
                         : config.initializer_range;
}

void initialize(Transformer& model, uint64_t seed) {
  at::NoGradGuard no_grad;
  for (const Parameter& parameter : model.named_parameters()) {
    at::Tensor tensor = parameter.tensor;
    const double deviation = initial_std(model.config(), parameter);
    if (deviation == 0.0) {
      const bool factor =
          parameter.kind == ParameterKind::norm && ends_with(parameter.name, ".weight");
      tensor.fill_(factor && !model.config().norm_unit_offset ? 1.0 : 0.0);
      continue;
    }
    at::Tensor values = at::empty(tensor.sizes(), at::TensorOptions(at::kFloat));
    float* out = values.mutable_data_ptr<float>();
    const CounterRandom random(combine_keys(seed, hash_name(parameter.name)));
    at::parallel_for(0, values.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<float>(deviation * random.normal(static_cast<uint64_t>(i)));
      }
    });
    tensor.copy_(values);
  }
  model.refresh_compute_copy();
}

}  // namespace llm
