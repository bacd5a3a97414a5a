#include "serving/packed_adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/kernels/lora_rows.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

// Items that are worth handing to another thread.
constexpr int64_t kItemRanks = 8;
constexpr int64_t kItemOutputs = 512;

template <typename T>
void fill(StreamBuffer& buffer, int64_t count, auto&& value_of) {
  buffer = StreamBuffer(static_cast<size_t>(count) * sizeof(T));
  auto* out = reinterpret_cast<T*>(buffer.data());
  for (int64_t i = 0; i < count; ++i) out[i] = packed::stored<T>(value_of(i));
}

/// The parameters of one product, in the order of its outputs.
using Names = std::vector<std::string>;

template <typename T>
PackedAdapter::Delta packed_delta(const LoraAdapter& adapter, const Names& names,
                                  const std::vector<int64_t>& outputs) {
  PackedAdapter::Delta made;
  std::vector<float> a;
  int64_t first_output = 0;
  for (size_t i = 0; i < names.size(); first_output += outputs[i++]) {
    const auto found = adapter.deltas.find(names[i]);
    if (found == adapter.deltas.end()) continue;
    const LoraDelta& delta = found->second;
    made.inputs = delta.inputs;
    made.parts.push_back(
        {delta.rank, made.ranks, delta.outputs, first_output, delta.scale, StreamBuffer()});
    fill<T>(made.parts.back().b, delta.rank * delta.outputs, [&](int64_t at) {
      return delta.b[static_cast<size_t>(at % delta.outputs * delta.rank + at / delta.outputs)];
    });
    made.ranks += delta.rank;
    a.insert(a.end(), delta.a.begin(), delta.a.end());
  }
  fill<T>(made.a, std::ssize(a), [&](int64_t at) { return a[static_cast<size_t>(at)]; });
  return made;
}

}  // namespace

PackedAdapter::PackedAdapter(const LoraAdapter& adapter, const ModelConfig& config, bool bfloat) {
  const int64_t D = config.head_size(), q = config.num_attention_heads * D,
                kv = config.key_value_heads() * D, F = config.ffn_size(), C = config.hidden_size;
  const auto pack = bfloat ? packed_delta<uint16_t> : packed_delta<float>;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    const std::string s = layer + "self_attn.", m = layer + "mlp.";
    deltas_.push_back(pack(adapter, {s + "q_proj.weight", s + "k_proj.weight", s + "v_proj.weight"},
                           {q, kv, kv}));
    deltas_.push_back(pack(adapter, {s + "o_proj.weight"}, {C}));
    deltas_.push_back(pack(adapter, {m + "gate_proj.weight", m + "up_proj.weight"}, {F, F}));
    deltas_.push_back(pack(adapter, {m + "down_proj.weight"}, {C}));
  }
}

template <typename T>
void add_adapters(std::span<const AdaptedRow> rows, int64_t layer, PackedProduct product,
                  const T* x, int64_t x_stride, float* y, int64_t y_stride, std::vector<float>& u,
                  WorkerTeam& team) {
  int64_t ranks = 0, outputs = 0;
  for (const AdaptedRow& row : rows) {
    const PackedAdapter::Delta& delta = row.adapter->delta(layer, product);
    ranks = std::max(ranks, delta.ranks);
    if (delta.ranks > 0)
      outputs = std::max(outputs, delta.parts.back().first_output + delta.parts.back().outputs);
  }
  if (ranks == 0) return;
  u.resize(rows.size() * static_cast<size_t>(ranks));
  const int64_t down = (ranks + kItemRanks - 1) / kItemRanks;
  team.for_each(std::ssize(rows) * down, [&](int64_t item, int) {
    const AdaptedRow& row = rows[static_cast<size_t>(item / down)];
    const PackedAdapter::Delta& delta = row.adapter->delta(layer, product);
    const int64_t first = item % down * kItemRanks;
    const int64_t count = std::min(kItemRanks, delta.ranks - first);
    if (count <= 0) return;
    packed::lora_down(reinterpret_cast<const T*>(delta.a.data()) + first * delta.inputs, count,
                      delta.inputs, x + row.row * x_stride,
                      &u[static_cast<size_t>(item / down * ranks + first)]);
  });
  const int64_t up = (outputs + kItemOutputs - 1) / kItemOutputs;
  team.for_each(std::ssize(rows) * up, [&](int64_t item, int) {
    const AdaptedRow& row = rows[static_cast<size_t>(item / up)];
    const int64_t begin = item % up * kItemOutputs, end = begin + kItemOutputs;
    for (const auto& part : row.adapter->delta(layer, product).parts) {
      const int64_t from = std::max(begin, part.first_output) - part.first_output;
      const int64_t to = std::min(end - part.first_output, part.outputs);
      if (from >= to) continue;
      packed::lora_up(reinterpret_cast<const T*>(part.b.data()) + from, part.rank, part.outputs,
                      to - from, &u[static_cast<size_t>(item / up * ranks + part.first_rank)],
                      part.scale, y + row.row * y_stride + part.first_output + from);
    }
  });
}

template void add_adapters(std::span<const AdaptedRow>, int64_t, PackedProduct, const float*,
                           int64_t, float*, int64_t, std::vector<float>&, WorkerTeam&);
template void add_adapters(std::span<const AdaptedRow>, int64_t, PackedProduct, const uint16_t*,
                           int64_t, float*, int64_t, std::vector<float>&, WorkerTeam&);

}  // namespace llm
