#include "serving/packed_weights.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/error.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

std::vector<float> to_floats(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kFloat).contiguous();
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

}  // namespace

PackedWeights::PackedWeights(const ModelConfig& config, at::ScalarType dtype,
                             const ParameterReader& parameters, WorkerTeam& team) {
  const auto required = [&](const std::string& name) {
    const at::Tensor tensor = parameters.read(name);
    check(tensor.defined(), "packed model: the model has no parameter '{}'", name);
    return tensor.to(dtype);
  };
  const auto floats = [&](const std::string& name) {
    const std::vector<float> values = to_floats(required(name));
    parameters.done(name);
    return values;
  };
  const auto bias = [&](std::initializer_list<std::string> names) {
    std::vector<float> values;
    for (const std::string& name : names) {
      if (!parameters.read(name).defined()) return std::vector<float>{};
      const std::vector<float> part = floats(name);
      values.insert(values.end(), part.begin(), part.end());
    }
    return values;
  };
  std::vector<std::string> deferred;
  const auto pack = [&](std::initializer_list<std::string> names) {
    std::vector<at::Tensor> weights;
    for (const std::string& name : names) weights.push_back(required(name));
    if (parameters.in_place) {
      deferred.insert(deferred.end(), names);
      return defer_packing(weights);
    }
    PackedWeight packed = pack_weights(weights);
    for (const std::string& name : names) parameters.done(name);
    return packed;
  };
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    const std::string a = layer + "self_attn.", m = layer + "mlp.";
    layers_.push_back({.qkv = pack({a + "q_proj.weight", a + "k_proj.weight", a + "v_proj.weight"}),
                       .o = pack({a + "o_proj.weight"}),
                       .gate_up = pack({m + "gate_proj.weight", m + "up_proj.weight"}),
                       .down = pack({m + "down_proj.weight"}),
                       .qkv_bias = bias({a + "q_proj.bias", a + "k_proj.bias", a + "v_proj.bias"}),
                       .o_bias = bias({a + "o_proj.bias"}),
                       .gate_up_bias = bias({m + "gate_proj.bias", m + "up_proj.bias"}),
                       .down_bias = bias({m + "down_proj.bias"}),
                       .input_norm = floats(layer + "input_layernorm.weight"),
                       .post_attention_norm = floats(layer + "post_attention_layernorm.weight")});
  }
  norm_ = floats("model.norm.weight");
  output_ = pack({config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"});
  embedding_ = required("model.embed_tokens.weight").contiguous();
  packed_ = deferred.empty();
  if (!packed_) map_all(team);
  packing_done_ = [done = parameters.done, names = std::move(deferred)] {
    for (const std::string& name : names) done(name);
  };
}

// The first pass reads every matrix: a file that fits is mapped by all threads at once before it.
void PackedWeights::map_all(WorkerTeam& team) const {
  const int64_t memory = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  if (bytes_per_token() > memory / 2) return;
  std::vector<const PackedWeight*> weights = {&output_};
  for (const PackedLayer& layer : layers_)
    weights.insert(weights.end(), {&layer.qkv, &layer.o, &layer.gate_up, &layer.down});
  team.for_each(static_cast<int64_t>(weights.size()),
                [&](int64_t item, int) { map_deferred(*weights[static_cast<size_t>(item)]); });
}

void PackedWeights::pack_all() const {
  for (PackedLayer& layer : layers_) {
    for (PackedWeight* weight : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      pack_deferred(*weight);
  }
  pack_deferred(output_);
  packing_done_();
  packing_done_ = nullptr;
}

std::shared_lock<std::shared_mutex> PackedWeights::for_passes(int64_t passes) const {
  if (packed_.load(std::memory_order_acquire)) return {};
  if (passes == 1 && !used_.exchange(true)) return std::shared_lock(packing_);
  const std::unique_lock alone(packing_);
  if (!packed_.load(std::memory_order_relaxed)) {
    pack_all();
    packed_.store(true, std::memory_order_release);
  }
  return {};
}

int64_t PackedWeights::bytes_per_token() const {
  int64_t bytes = output_.bytes();
  for (const PackedLayer& layer : layers_)
    bytes += layer.qkv.bytes() + layer.o.bytes() + layer.gate_up.bytes() + layer.down.bytes();
  return bytes;
}

}  // namespace llm
