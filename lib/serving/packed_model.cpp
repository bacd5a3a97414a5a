// B is gone here: rows are tokens of any number of sequences. C hidden_size, H query heads, K
// key/value heads, D head_dim, F intermediate_size, V vocab.
#include "serving/packed_model.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/panel_cache.h"
#include "model/kernels/worker_team.h"
#include "model/position.h"
#include "model/transformer.h"

namespace llm {
namespace {

constexpr int64_t kPromptChunk = 192;  // rows of a prompt per pass: 16 register blocks; the largest
                                       // input of a product stays in L2
constexpr int64_t kSerialRows =
    4;  // fewer rows than this are not worth waking the other threads for elementwise work

/// fn(row) for every row, on all threads where that pays.
template <typename Fn>
void for_rows(WorkerTeam& team, int64_t count, const Fn& fn) {
  if (count < kSerialRows) {
    for (int64_t row = 0; row < count; ++row) fn(row);
    return;
  }
  team.for_each((count + kSerialRows - 1) / kSerialRows, [&](int64_t item, int) {
    for (int64_t row = item * kSerialRows; row < std::min(count, (item + 1) * kSerialRows); ++row)
      fn(row);
  });
}

void add_bias(const std::vector<float>& bias, float* row) {
  for (size_t i = 0; i < bias.size(); ++i) row[i] += bias[i];
}

}  // namespace

/// Buffers of one pass over `rows` tokens; kept by a sequence between its steps.
struct PackedModel::Workspace {
  int64_t rows = 0;      // of the current pass
  int64_t capacity = 0;  // rows that the buffers hold
  std::vector<float> hidden, product, qkv, attended, gate_up, cos, sin;
  StreamBuffer input, query;          // in the weights' dtype
  std::vector<StreamBuffer> scratch;  // per thread
  std::vector<float> logits;

  void resize(int64_t count, const ModelConfig& config, int members) {
    const int64_t C = config.hidden_size, D = config.head_size(), F = config.ffn_size();
    const int64_t heads = config.num_attention_heads + 2 * config.key_value_heads();
    scratch.resize(static_cast<size_t>(members));
    rows = count;
    // A prompt's buffers are let go when single tokens follow.
    if (count <= capacity && capacity <= 4 * count + kSerialRows) return;
    capacity = count;
    const auto floats = [count](std::vector<float>& buffer, int64_t columns) {
      buffer = std::vector<float>(static_cast<size_t>(count * columns));
    };
    floats(hidden, C);
    floats(product, C);
    floats(qkv, heads * D);
    floats(attended, config.num_attention_heads * D);
    floats(gate_up, 2 * F);
    floats(cos, D / 2);
    floats(sin, D / 2);
    const int64_t widest = std::max({C, F, config.num_attention_heads * D}) + 2;
    input = StreamBuffer(static_cast<size_t>(count * widest) * sizeof(float));
    query =
        StreamBuffer(static_cast<size_t>(count * config.num_attention_heads * D) * sizeof(float));
  }
};

struct PackedSequence final : TokenSequence {
  explicit PackedSequence(const PanelCache::Shape& shape) : cache(shape) {}
  int64_t length() const override { return held; }
  PanelCache cache;
  int64_t held = 0;
  PackedModel::Workspace work;
};

/// Consecutive tokens of one sequence within a pass.
struct PackedModel::Run {
  PackedSequence* sequence;
  std::span<const int32_t> ids;
  int64_t first_row;
  int64_t first_position() const { return sequence->held; }
};

namespace {

/// The parameters of a Transformer that may go afterwards.
ParameterReader reader_of(const Transformer& model) {
  return {.read = [&model](const std::string& name) {
    const Parameter* parameter = model.find_parameter(name);
    if (parameter == nullptr) return at::Tensor();
    const at::Tensor tensor = parameter->tensor.detach();
    return parameter->kind == ParameterKind::embedding ? tensor.clone() : tensor;
  }};
}

}  // namespace

PackedModel::PackedModel(const Transformer& model)
    : PackedModel(model.config(), model.dtype(), reader_of(model)) {}

PackedModel::PackedModel(const ModelConfig& config, at::ScalarType dtype,
                         const ParameterReader& parameters)
    : config_(config),
      bfloat_(dtype == at::kBFloat16),
      team_(std::make_unique<WorkerTeam>(at::get_num_threads())) {
  if (const auto reason = why_not_packed(config, dtype, at::kCPU))
    fail(Exit::usage, fmt::format("this model cannot run packed: {}", *reason));
  weights_ = std::make_unique<PackedWeights>(config, dtype, parameters, *team_);
  for (const double frequency : rope_inverse_frequencies(config_))
    inverse_frequencies_.push_back(static_cast<float>(frequency));
  rope_factor_ = rope_attention_factor(config_);
  gelu_ = config_.ffn_type == "geglu";
}

PackedModel::~PackedModel() = default;

int64_t PackedModel::bytes_per_token() const { return weights_->bytes_per_token(); }

void PackedModel::embed(std::span<const Run> runs, Workspace& work) const {
  const int64_t C = config_.hidden_size;
  for (const Run& run : runs) {
    for (size_t t = 0; t < run.ids.size(); ++t) {
      float* row = work.hidden.data() + (run.first_row + static_cast<int64_t>(t)) * C;
      const int64_t first = run.ids[t] * C;
      if (bfloat_) {
        const auto* values = static_cast<const uint16_t*>(weights_->embedding().const_data_ptr()) + first;
        for (int64_t c = 0; c < C; ++c)
          row[c] = std::bit_cast<float>(static_cast<uint32_t>(values[c]) << 16);
      } else {
        std::memcpy(row, weights_->embedding().const_data_ptr<float>() + first,
                    static_cast<size_t>(C) * sizeof(float));
      }
    }
  }
}

/// Angles in float32, as the Transformer's table has them.
void PackedModel::rotation(std::span<const Run> runs, Workspace& work) const {
  const auto half = static_cast<int64_t>(inverse_frequencies_.size());
  const auto factor = static_cast<float>(rope_factor_);
  for (const Run& run : runs) {
    for (int64_t t = 0; t < static_cast<int64_t>(run.ids.size()); ++t) {
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(run.first_position() + t) *
                            inverse_frequencies_[static_cast<size_t>(i)];
        const auto place = static_cast<size_t>((run.first_row + t) * half + i);
        work.cos[place] = std::cos(angle) * factor;
        work.sin[place] = std::sin(angle) * factor;
      }
    }
  }
}

/// qkv (rows, (H + 2 K) D) -> attended (rows, H D): rotates, remembers, attends.
template <typename T>
void PackedModel::attention(const PackedLayer& layer, int64_t index, std::span<const Run> runs,
                            Workspace& work) const {
  const int64_t H = config_.num_attention_heads, K = config_.key_value_heads(),
                D = config_.head_size(), G = H / K;
  const int64_t width = (H + 2 * K) * D;
  auto* query = reinterpret_cast<T*>(work.query.data());  // per run: (K, tokens, G, D)
  const auto prepare = [&](const Run& run, int64_t t) {
    const auto tokens = static_cast<int64_t>(run.ids.size());
    float* row = work.qkv.data() + (run.first_row + t) * width;
    add_bias(layer.qkv_bias, row);
    const auto angles = static_cast<size_t>((run.first_row + t) * (D / 2));
    for (int64_t h = 0; h < H + K; ++h)
      packed::rotate(row + h * D, &work.cos[angles], &work.sin[angles], D / 2);
    for (int64_t h = 0; h < H; ++h) {
      packed::store_row(row + h * D, D,
                        query + run.first_row * H * D + ((h / G * tokens + t) * G + h % G) * D);
    }
    run.sequence->cache.append(index, run.first_position() + t, row + H * D, row + (H + K) * D);
  };
  if (runs.size() == 1) {
    for_rows(*team_, static_cast<int64_t>(runs[0].ids.size()),
             [&](int64_t t) { prepare(runs[0], t); });
  } else {
    for (const Run& run : runs) {
      for (size_t t = 0; t < run.ids.size(); ++t) prepare(run, static_cast<int64_t>(t));
    }
  }
  const double scale = config_.attention_scale();
  const int64_t items = static_cast<int64_t>(runs.size()) * K;
  team_->for_each(items, [&](int64_t item, int member) {
    const Run& run = runs[static_cast<size_t>(item / K)];
    const int64_t head = item % K;
    const auto tokens = static_cast<int64_t>(run.ids.size());
    const PanelCache::Queries queries{
        .q = query + run.first_row * H * D + head * tokens * G * D,
        .first_position = run.first_position(),
        .tokens = tokens,
        .group = G,
        .scale = scale,
        .window = config_.sliding_window.value_or(0),
        .out = work.attended.data() + run.first_row * H * D + head * G * D,
        .token_stride = H * D};
    run.sequence->cache.attend(index, head, queries, work.scratch[static_cast<size_t>(member)]);
  });
}

/// hidden (rows, C): the embedding on entry, what the last layer leaves (before the final norm) on
/// return.
template <typename T>
void PackedModel::forward(std::span<const Run> runs, Workspace& work) const {
  const int64_t C = config_.hidden_size, H = config_.num_attention_heads,
                K = config_.key_value_heads(), D = config_.head_size(), F = config_.ffn_size();
  const int64_t rows = work.rows;
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  auto* input = reinterpret_cast<T*>(work.input.data());
  const auto row_elements = [&](const PackedWeight& weight) {
    return activation_row_elements(weight);
  };
  const float* pending = nullptr;  // a product that has not been added to the residual stream yet
  const auto normed = [&](const std::vector<float>& weight, const std::vector<float>& pending_bias,
                          const PackedWeight& consumer) {
    for_rows(*team_, rows, [&](int64_t row) {
      float* delta = pending == nullptr ? nullptr : work.product.data() + row * C;
      if (delta != nullptr) add_bias(pending_bias, delta);
      packed::add_rms_norm(work.hidden.data() + row * C, delta, weight.data(), eps, C,
                           input + row * row_elements(consumer));
    });
  };
  static const std::vector<float> no_bias;
  const std::vector<float>* pending_bias = &no_bias;
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const PackedLayer& layer = weights_->layer(i);
    normed(layer.input_norm, *pending_bias, layer.qkv);
    packed_linear(layer.qkv, input, rows, work.qkv.data(), (H + 2 * K) * D, *team_);
    attention<T>(layer, i, runs, work);
    for_rows(*team_, rows, [&](int64_t row) {
      packed::store_row(work.attended.data() + row * H * D, H * D,
                        input + row * row_elements(layer.o));
    });
    packed_linear(layer.o, input, rows, work.product.data(), C, *team_);
    pending = work.product.data();
    normed(layer.post_attention_norm, layer.o_bias, layer.gate_up);
    packed_linear(layer.gate_up, input, rows, work.gate_up.data(), 2 * F, *team_);
    for_rows(*team_, rows, [&](int64_t row) {
      float* gate_up = work.gate_up.data() + row * 2 * F;
      add_bias(layer.gate_up_bias, gate_up);
      packed::gated_activation(gate_up, gelu_, F, input + row * row_elements(layer.down));
    });
    packed_linear(layer.down, input, rows, work.product.data(), C, *team_);
    pending_bias = &layer.down_bias;
  }
  for_rows(*team_, rows, [&](int64_t row) {
    float* delta = work.product.data() + row * C;
    add_bias(*pending_bias, delta);
    for (int64_t c = 0; c < C; ++c) work.hidden[static_cast<size_t>(row * C + c)] += delta[c];
  });
}

/// Final norm and output product of `count` rows of the residual stream.
void PackedModel::head(const float* rows, int64_t count, float* logits, Workspace& work) const {
  const int64_t C = config_.hidden_size, elements = activation_row_elements(weights_->output());
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  std::vector<float> unchanged(rows, rows + count * C);
  for (int64_t row = 0; row < count; ++row) {
    if (bfloat_) {
      packed::add_rms_norm(&unchanged[static_cast<size_t>(row * C)], nullptr, weights_->norm().data(), eps, C,
                           reinterpret_cast<uint16_t*>(work.input.data()) + row * elements);
    } else {
      packed::add_rms_norm(&unchanged[static_cast<size_t>(row * C)], nullptr, weights_->norm().data(), eps, C,
                           reinterpret_cast<float*>(work.input.data()) + row * elements);
    }
  }
  packed_linear(weights_->output(), work.input.data(), count, logits, config_.vocab_size, *team_);
}

void PackedModel::run(std::span<const Run> runs, Workspace& work) const {
  embed(runs, work);
  rotation(runs, work);
  if (bfloat_) {
    forward<uint16_t>(runs, work);
  } else {
    forward<float>(runs, work);
  }
  for (const Run& run : runs) run.sequence->held += static_cast<int64_t>(run.ids.size());
}

std::unique_ptr<TokenSequence> PackedModel::start(int64_t capacity) const {
  return std::make_unique<PackedSequence>(PanelCache::Shape{.layers = config_.num_hidden_layers,
                                                            .heads = config_.key_value_heads(),
                                                            .head_dim = config_.head_size(),
                                                            .capacity = capacity,
                                                            .bfloat = bfloat_});
}

namespace {

void check_ids(std::span<const int32_t> ids, int64_t vocab_size) {
  for (const int32_t id : ids)
    check(id >= 0 && id < vocab_size, "token {} is not below vocab_size {}", id, vocab_size);
}

int64_t chunks_of(std::span<const int32_t> ids) {
  return (static_cast<int64_t>(ids.size()) + kPromptChunk - 1) / kPromptChunk;
}

}  // namespace

std::span<const float> PackedModel::append(TokenSequence& sequence,
                                           std::span<const int32_t> ids) const {
  auto& own = static_cast<PackedSequence&>(sequence);
  check(!ids.empty(), "append: no tokens");
  check_ids(ids, config_.vocab_size);
  const auto weights = weights_->for_passes(chunks_of(ids));
  const int64_t C = config_.hidden_size;
  for (size_t first = 0; first < ids.size(); first += kPromptChunk) {
    const auto part = ids.subspan(first, std::min<size_t>(kPromptChunk, ids.size() - first));
    own.work.resize(static_cast<int64_t>(part.size()), config_, team_->size());
    const Run one{&own, part, 0};
    run({&one, 1}, own.work);
  }
  own.work.logits.resize(static_cast<size_t>(config_.vocab_size));
  head(own.work.hidden.data() + (own.work.rows - 1) * C, 1, own.work.logits.data(), own.work);
  return own.work.logits;
}

void PackedModel::append_all(TokenSequence& sequence, std::span<const int32_t> ids,
                             std::span<float> logits) const {
  auto& own = static_cast<PackedSequence&>(sequence);
  check_ids(ids, config_.vocab_size);
  const auto weights = weights_->for_passes(chunks_of(ids));
  for (size_t first = 0; first < ids.size(); first += kPromptChunk) {
    const auto part = ids.subspan(first, std::min<size_t>(kPromptChunk, ids.size() - first));
    own.work.resize(static_cast<int64_t>(part.size()), config_, team_->size());
    const Run one{&own, part, 0};
    run({&one, 1}, own.work);
    head(own.work.hidden.data(), own.work.rows,
         logits.data() + first * static_cast<size_t>(config_.vocab_size), own.work);
  }
}

void PackedModel::step(std::span<TokenSequence* const> sequences, std::span<const int32_t> ids,
                       std::span<float> logits) const {
  check_ids(ids, config_.vocab_size);
  const auto weights = weights_->for_passes(1);
  std::vector<Run> runs;
  for (size_t row = 0; row < sequences.size(); ++row) {
    runs.push_back({static_cast<PackedSequence*>(sequences[row]), ids.subspan(row, 1),
                    static_cast<int64_t>(row)});
  }
  Workspace& work = runs.front().sequence->work;
  work.resize(static_cast<int64_t>(runs.size()), config_, team_->size());
  run(runs, work);
  head(work.hidden.data(), work.rows, logits.data(), work);
}

}  // namespace llm
