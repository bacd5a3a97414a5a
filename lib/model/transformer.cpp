#include "model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/error.h"
#include "base/number_text.h"
#include "base/system_memory.h"
#include "model/attention_mask.h"
#include "model/block.h"
#include "model/checkpointing.h"
#include "model/kernels/reference.h"
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
  const auto memory = static_cast<double>(usable_memory_bytes());
  if (device.is_cpu() && bytes > memory) {
    refuse(fmt::format("there are {} of memory here", human_bytes(static_cast<uint64_t>(memory))));
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
  at::Tensor y = fused_linear(x, masters, packed.used(), bias_masters,
                              packed_bias.defined() ? packed_bias.used() : at::Tensor());
  const bool adapted =
      std::any_of(parts.begin(), parts.end(), [](const Linear& part) { return part.lora; });
  if (!adapted) {
    return y;
  }
  std::vector<at::Tensor> outputs;
  int64_t first = 0;
  for (const Linear& part : parts) {
    const int64_t rows = part.weight.master.size(0);
    const at::Tensor own = y.narrow(-1, first, rows);
    outputs.push_back(part.lora ? own + (*part.lora)(x) : own);
    first += rows;
  }
  return at::cat(outputs, -1);
}

at::Tensor LoraTensors::operator()(const at::Tensor& x) const {
  return at::linear(at::linear(x, a), b) * scale;
}

at::Tensor Norm::scale() const {
  if (!unit_offset) {
    return weight;
  }
  return (weight.scalar_type() == at::kDouble ? weight : weight.to(at::kFloat)) + 1;
}

at::Tensor Norm::operator()(const at::Tensor& x, at::ScalarType out_dtype) const {
  return rms ? rms_norm(x, scale(), eps, out_dtype) : layer_norm(x, weight, bias, eps, out_dtype);
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
    const auto to_device = [&](const std::vector<double>& speeds) {
      return at::tensor(speeds, at::TensorOptions(at::kDouble))
          .to(at::TensorOptions(at::kFloat).device(device));
    };
    inverse_frequencies_ = to_device(rope_inverse_frequencies(config_));
    if (has_long_rope(config_)) {
      long_inverse_frequencies_ = to_device(rope_inverse_frequencies(config_, true));
    }
    if (config_.rope_local_base_freq) {
      local_inverse_frequencies_ = to_device(rope_local_inverse_frequencies(config_));
    }
    rope_attention_factor_ = rope_attention_factor(config_);
  }
  bind_modules();
}

Transformer::Transformer(const Transformer& other, SharedTag)
    : config_(other.config_),
      flat_(other.flat_),
      compute_(other.compute_),
      parameters_(other.parameters_),
      parameter_index_(other.parameter_index_),
      inverse_frequencies_(other.inverse_frequencies_),
      long_inverse_frequencies_(other.long_inverse_frequencies_),
      local_inverse_frequencies_(other.local_inverse_frequencies_),
      rope_attention_factor_(other.rope_attention_factor_) {}

std::unique_ptr<Transformer> Transformer::sharing_parameters(LoraByParameter loras) const {
  std::unique_ptr<Transformer> shared(new Transformer(*this, SharedTag()));
  shared->loras_ = std::move(loras);
  shared->bind_modules();
  return shared;
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
  const auto lora = loras_.find(name + ".weight");
  return {weight_of(name + ".weight"), weight_of(name + ".bias"),
          lora == loras_.end() ? nullptr : lora->second};
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
          config_.rms_norm_eps, config_.norm_type == "rms_norm", config_.norm_unit_offset};
}

Mlp Transformer::mlp_of(const std::string& prefix) const {
  return {config_.gated_ffn() ? packed_of({prefix + "gate_proj", prefix + "up_proj"})
                              : packed_of({prefix + "up_proj"}),
          linear_of(prefix + "down_proj")};
}

Block Transformer::block_of(int64_t index) const {
  const std::string layer = fmt::format("model.layers.{}.", index),
                    attention = layer + "self_attn.", mlp = layer + "mlp.";
  Block block;
  block.self_attn = {packed_of({attention + "q_proj", attention + "k_proj", attention + "v_proj"}),
                     linear_of(attention + "o_proj"), norm_of(attention + "q_norm"),
                     norm_of(attention + "k_norm")};
  block.self_attn.q_norm.rms = block.self_attn.k_norm.rms = true;
  if (config_.layer_has_experts(index)) {
    block.moe.router = linear_of(mlp + "gate");
    for (int64_t expert = 0; expert < *config_.moe.num_experts; ++expert) {
      block.moe.experts.push_back(mlp_of(fmt::format("{}experts.{}.", mlp, expert)));
    }
  } else {
    block.mlp = mlp_of(mlp);
  }
  block.attention_norm = norm_of(layer + "input_layernorm");
  if (config_.sublayer_output_norm) {
    block.attention_output_norm = norm_of(layer + "post_attention_layernorm");
    block.ffn_norm = norm_of(layer + "pre_feedforward_layernorm");
    block.ffn_output_norm = norm_of(layer + "post_feedforward_layernorm");
  } else {
    block.ffn_norm = norm_of(layer + "post_attention_layernorm");
  }
  return block;
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
    layers_.push_back(block_of(i));
  }
  norm_ = norm_of("model.norm");
  output_ = weight_of(config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  output_bias_ = weight_of("lm_head.bias");
  project_in_ = linear_of("model.project_in");
  project_out_ = linear_of("model.project_out");
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

at::Tensor Transformer::logits(const at::Tensor& hidden) const {
  at::Tensor scores = linear(hidden, output_, output_bias_);
  if (const auto& cap = config_.final_logit_softcapping) {
    scores = at::tanh(scores / *cap) * *cap;
  }
  return scores;
}

CrossEntropy Transformer::cross_entropy(const at::Tensor& hidden, const at::Tensor& targets,
                                        double scale, const at::Tensor& row_weights) const {
  if (!output_bias_.defined() && !config_.final_logit_softcapping) {
    return linear_cross_entropy(hidden, output_, targets, scale, row_weights);
  }
  const at::Tensor scores = logits(hidden).reshape({-1, config_.vocab_size});
  return reference::logits_cross_entropy(
      scores.scalar_type() == at::kDouble ? scores : scores.to(at::kFloat), targets, scale,
      row_weights);
}

}  // namespace llm
