#include "model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <unistd.h>

#include <cmath>

#include "base/error.h"
#include "base/number_text.h"
#include "model/attention_mask.h"
#include "model/block.h"
#include "model/checkpointing.h"
#include "model/model_size.h"
#include "model/parameter_layout.h"
#include "model/position.h"

namespace llm {
namespace {

// A leaf over part of a flat buffer. set_ rather than a view: autograd must see an independent
// tensor, not a slice of a base.
at::Tensor window(const at::Tensor& flat, int64_t offset, at::IntArrayRef shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  at::Tensor view = at::empty({0}, flat.options().requires_grad(false));
  at::NoGradGuard no_grad;
  return view.set_(flat.storage(), flat.storage_offset() + offset, shape, strides);
}

// The system promises memory that it does not have and kills the process later, so weights that
// cannot fit are refused here.
at::Tensor allocate_flat(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  const int64_t count = parameter_count(config);
  const double bytes = static_cast<double>(count) * static_cast<double>(c10::elementSize(dtype));
  const auto refuse = [&](const std::string& reason) {
    fail(Exit::usage,
         fmt::format("a model of {} parameters needs {} for its weights; {}", human_count(count),
                     human_bytes(static_cast<uint64_t>(bytes)), reason),
         "choose a smaller model or a shorter number format");
  };
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (device.is_cpu() && bytes > memory) {
    refuse(fmt::format("this machine has {}", human_bytes(static_cast<uint64_t>(memory))));
  }
  try {
    return at::empty({count}, at::TensorOptions(dtype).device(device));
  } catch (const c10::Error&) {
    refuse(fmt::format("{} does not have them", device.str()));
  }
  return {};
}

}  // namespace

at::Tensor PackedLinear::operator()(const at::Tensor& x) const {
  if (parts.size() == 1) {
    return parts.front()(x);
  }
  std::vector<at::Tensor> masters, bias_masters;
  for (const Linear& part : parts) {
    masters.push_back(part.weight.master);
    if (part.bias.defined()) {
      bias_masters.push_back(part.bias.master);
    }
  }
  return fused_linear(x, masters, packed.used(), bias_masters,
                      packed_bias.defined() ? packed_bias.used() : at::Tensor());
}

at::Tensor Norm::operator()(const at::Tensor& x, at::ScalarType out_dtype) const {
  return rms ? rms_norm(x, weight, eps, out_dtype) : layer_norm(x, weight, bias, eps, out_dtype);
}

Transformer::Transformer(const ModelConfig& config, at::ScalarType dtype, at::Device device)
    : config_(config) {
  validate(config_);
  check(dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble,
        "model: {} is not a number format for weights", c10::toString(dtype));
  flat_ = allocate_flat(config_, dtype, device);
  for (ParameterPlace& place : parameter_layout(config_)) {
    at::Tensor tensor = window(flat_, place.offset, place.shape).requires_grad_(true);
    parameters_.push_back(
        {std::move(place.name), std::move(tensor), place.offset, place.kind, place.layer});
  }
  if (config_.uses_rope()) {
    inverse_frequencies_ =
        at::tensor(rope_inverse_frequencies(config_), at::TensorOptions(at::kDouble))
            .to(at::TensorOptions(at::kFloat).device(device));
    rope_attention_factor_ = rope_attention_factor(config_);
  }
  bind_modules();
}

const Parameter* Transformer::find_parameter(const std::string& name) const {
  const auto found = parameter_index_.find(name);
  return found == parameter_index_.end() ? nullptr : &parameters_[found->second];
}

Weight Transformer::weight_of(const std::string& name) const {
  const Parameter* parameter = find_parameter(name);
  if (!parameter) {
    return {};
  }
  return {parameter->tensor, compute_.defined()
                                 ? window(compute_, parameter->offset, parameter->tensor.sizes())
                                 : at::Tensor()};
}

Linear Transformer::linear_of(const std::string& name) const {
  return {weight_of(name + ".weight"), weight_of(name + ".bias")};
}

PackedLinear Transformer::packed_of(const std::vector<std::string>& names) const {
  PackedLinear linears;
  int64_t rows = 0;
  for (const std::string& name : names) {
    linears.parts.push_back(linear_of(name));
    rows += linears.parts.back().weight.master.size(0);
  }
  const Linear& first = linears.parts.front();
  const auto pack = [&](const at::Tensor& tensor, std::vector<int64_t> shape) {
    return tensor.defined() ? window(tensor, 0, shape) : at::Tensor();
  };
  const std::vector<int64_t> shape = {rows, first.weight.master.size(1)};
  linears.packed = {pack(first.weight.master, shape), pack(first.weight.compute, shape)};
  linears.packed_bias = {pack(first.bias.master, {rows}), pack(first.bias.compute, {rows})};
  return linears;
}

Norm Transformer::norm_of(const std::string& name) const {
  return {weight_of(name + ".weight").master, weight_of(name + ".bias").master,
          config_.rms_norm_eps, config_.norm_type == "rms_norm"};
}

void Transformer::bind_modules() {
  if (parameter_index_.empty()) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameter_index_.emplace(parameters_[i].name, i);
    }
  }
  embed_tokens_ = weight_of("model.embed_tokens.weight").master;
  embed_positions_ = weight_of("model.embed_positions.weight").master;
  layers_.clear();
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i), attention = layer + "self_attn.",
                      mlp = layer + "mlp.";
    Block block;
    block.self_attn = {
        packed_of({attention + "q_proj", attention + "k_proj", attention + "v_proj"}),
        linear_of(attention + "o_proj")};
    block.mlp = {config_.gated_ffn() ? packed_of({mlp + "gate_proj", mlp + "up_proj"})
                                     : packed_of({mlp + "up_proj"}),
                 linear_of(mlp + "down_proj")};
    block.input_layernorm = norm_of(layer + "input_layernorm");
    block.post_attention_layernorm = norm_of(layer + "post_attention_layernorm");
    layers_.push_back(std::move(block));
  }
  norm_ = norm_of("model.norm");
  output_ = weight_of(config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

const at::Tensor& Transformer::flat_gradients() {
  if (!gradients_.defined()) {
    gradients_ = at::zeros_like(flat_);
    for (Parameter& parameter : parameters_) {
      parameter.tensor.mutable_grad() =
          window(gradients_, parameter.offset, parameter.tensor.sizes());
    }
  }
  return gradients_;
}

void Transformer::set_compute_dtype(at::ScalarType dtype) {
  compute_ = dtype == flat_.scalar_type()
                 ? at::Tensor()
                 : at::empty({flat_.numel()}, flat_.options().dtype(dtype));
  refresh_compute_copy();
  bind_modules();
}

void Transformer::refresh_compute_copy() {
  if (compute_.defined()) {
    convert_into(compute_, flat_);
  }
}

at::Tensor Transformer::logits(const at::Tensor& hidden) const { return linear(hidden, output_); }

}  // namespace llm
