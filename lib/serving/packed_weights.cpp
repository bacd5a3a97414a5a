#include "serving/packed_weights.h"

#include <fmt/format.h>

#include "base/error.h"
#include "model/kernels/worker_team.h"

namespace llm {

PackedWeights::PackedWeights(const ModelConfig& config, bool bfloat, Codes codes,
                             const ParameterReader& parameters, WorkerTeam& team)
    : bfloat_(bfloat), team_(team) {
  const auto required = [&](const std::string& name) {
    const std::optional<ParameterRows> found = parameters.read(name);
    check(found.has_value(), "packed model: the model has no parameter '{}'", name);
    return *found;
  };
  const auto floats = [&](const std::string& name) {
    const StoredRows vector = required(name).rows;
    std::vector<float> values(static_cast<size_t>(vector.columns));
    read_row(vector, 0, bfloat, values.data());
    parameters.done(name);
    return values;
  };
  const auto bias = [&](std::initializer_list<std::string> names) {
    std::vector<float> values;
    for (const std::string& name : names) {
      if (!parameters.read(name)) return std::vector<float>{};
      const std::vector<float> part = floats(name);
      values.insert(values.end(), part.begin(), part.end());
    }
    return values;
  };
  std::vector<std::string> deferred;
  const auto pack_as = [&](Codes as, std::initializer_list<std::string> names) {
    std::vector<StoredRows> matrices;
    bool in_file = true;
    for (const std::string& name : names) {
      const ParameterRows found = required(name);
      matrices.push_back(found.rows);
      in_file = in_file && found.in_file;
    }
    PackedWeight weight = defer_packing(matrices, bfloat, as);
    if (in_file) {
      deferred.insert(deferred.end(), names);
      return weight;
    }
    matrices.clear();
    pack_deferred(weight, team);
    for (const std::string& name : names) parameters.done(name);
    return weight;
  };
  const auto pack = [&](std::initializer_list<std::string> names) { return pack_as(codes, names); };
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
  output_ = pack_as(codes == Codes::int4 ? Codes::int8 : codes,
                    {config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"});
  embedding_ = required("model.embed_tokens.weight").rows;
  packed_ = deferred.empty();
  packing_done_ = [done = parameters.done, names = std::move(deferred)] {
    for (const std::string& name : names) done(name);
  };
}

void PackedWeights::pack_all() const {
  for (PackedLayer& layer : layers_) {
    for (PackedWeight* weight : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      pack_deferred(*weight, team_);
  }
  pack_deferred(output_, team_);
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
