#include "serving/packed_pass.h"

#include <algorithm>
#include <cmath>

#include "model/kernels/packed_kernels.h"

namespace llm {
namespace {

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

void PackedPass::resize(int64_t rows) {
  const int64_t C = config_.hidden_size, D = config_.head_size(), F = config_.ffn_size(),
                H = config_.num_attention_heads, K = config_.key_value_heads();
  scratch_.resize(static_cast<size_t>(parts_.team->size()));
  rows_ = rows;
  // A prompt's buffers are let go when single tokens follow.
  if (rows <= capacity_ && capacity_ <= 4 * rows + kSerialRows) return;
  capacity_ = rows;
  const auto floats = [rows](std::vector<float>& buffer, int64_t columns) {
    buffer = std::vector<float>(static_cast<size_t>(rows * columns));
  };
  floats(hidden_, C);
  floats(product_, C);
  floats(qkv_, (H + 2 * K) * D);
  floats(attended_, H * D);
  floats(gate_up_, 2 * F);
  floats(cos_, D / 2);
  floats(sin_, D / 2);
  const int64_t widest = std::max({C, F, H * D}) + 2;
  input_ = StreamBuffer(static_cast<size_t>(rows * widest) * sizeof(float));
  query_ = StreamBuffer(static_cast<size_t>(rows * H * D) * sizeof(float));
}

int64_t PackedPass::run(std::span<const PackedRun> runs) {
  resize(runs.back().first_row + runs.back().tokens());
  note_rows(runs);
  embed(runs);
  rotation(runs);
  if (parts_.bfloat) {
    layers<uint16_t>(runs);
  } else {
    layers<float>(runs);
  }
  return keep_wanted(runs);
}

/// Whose each row is, and which have an adapter.
void PackedPass::note_rows(std::span<const PackedRun> runs) {
  run_of_row_.clear();
  adapted_.clear();
  for (size_t i = 0; i < runs.size(); ++i) {
    run_of_row_.insert(run_of_row_.end(), runs[i].ids.size(), i);
    const auto* adapter = static_cast<const PackedAdapter*>(runs[i].sequence->adapter().get());
    for (int64_t t = 0; adapter != nullptr && t < runs[i].tokens(); ++t)
      adapted_.push_back({adapter, runs[i].first_row + t});
  }
}

void PackedPass::embed(std::span<const PackedRun> runs) {
  const int64_t C = config_.hidden_size;
  for (const PackedRun& run : runs) {
    for (size_t t = 0; t < run.ids.size(); ++t) {
      parts_.weights->embed(run.ids[t],
                            hidden_.data() + (run.first_row + static_cast<int64_t>(t)) * C);
    }
  }
}

/// Angles in float32, as the Transformer's table has them.
void PackedPass::rotation(std::span<const PackedRun> runs) {
  const auto half = static_cast<int64_t>(parts_.inverse_frequencies.size());
  const auto factor = static_cast<float>(parts_.rope_factor);
  for (const PackedRun& run : runs) {
    for (int64_t t = 0; t < run.tokens(); ++t) {
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(run.first_position() + t) *
                            parts_.inverse_frequencies[static_cast<size_t>(i)];
        const auto place = static_cast<size_t>((run.first_row + t) * half + i);
        cos_[place] = std::cos(angle) * factor;
        sin_[place] = std::sin(angle) * factor;
      }
    }
  }
}

/// hidden_ (rows, C): the embedding on entry, what the last layer leaves (before the final norm) on
/// return.
template <typename T>
void PackedPass::layers(std::span<const PackedRun> runs) {
  const int64_t C = config_.hidden_size, H = config_.num_attention_heads, D = config_.head_size(),
                F = config_.ffn_size();
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  WorkerTeam& team = *parts_.team;
  auto* input = reinterpret_cast<T*>(input_.data());
  // Weights, and what the rows' adapters add.
  const auto product = [&](const PackedWeight& weight, int64_t layer, PackedProduct which,
                           float* out) {
    packed_linear(weight, input, rows_, out, weight.rows, team);
    if (!adapted_.empty())
      add_adapters(std::span<const AdaptedRow>(adapted_), layer, which, input,
                   activation_row_elements(weight), out, weight.rows, low_rank_, team);
  };
  const float* pending = nullptr;  // a product that has not been added to the residual stream yet
  const auto normed = [&](const std::vector<float>& weight, const std::vector<float>& pending_bias,
                          const PackedWeight& consumer) {
    for_rows(team, rows_, [&](int64_t row) {
      float* delta = pending == nullptr ? nullptr : product_.data() + row * C;
      if (delta != nullptr) add_bias(pending_bias, delta);
      packed::add_rms_norm(hidden_.data() + row * C, delta, weight.data(), eps, C,
                           input + row * activation_row_elements(consumer));
    });
  };
  static const std::vector<float> no_bias;
  const std::vector<float>* pending_bias = &no_bias;
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const PackedLayer& layer = parts_.weights->layer(i);
    normed(layer.input_norm, *pending_bias, layer.qkv);
    product(layer.qkv, i, PackedProduct::qkv, qkv_.data());
    attention<T>(layer, i, runs);
    for_rows(team, rows_, [&](int64_t row) {
      packed::store_row(attended_.data() + row * H * D, H * D,
                        input + row * activation_row_elements(layer.o));
    });
    product(layer.o, i, PackedProduct::o, product_.data());
    pending = product_.data();
    normed(layer.post_attention_norm, layer.o_bias, layer.gate_up);
    product(layer.gate_up, i, PackedProduct::gate_up, gate_up_.data());
    for_rows(team, rows_, [&](int64_t row) {
      float* gate_up = gate_up_.data() + row * 2 * F;
      add_bias(layer.gate_up_bias, gate_up);
      packed::gated_activation(gate_up, parts_.gelu, F,
                               input + row * activation_row_elements(layer.down));
    });
    product(layer.down, i, PackedProduct::down, product_.data());
    pending_bias = &layer.down_bias;
  }
  for_rows(team, rows_, [&](int64_t row) {
    float* delta = product_.data() + row * C;
    add_bias(*pending_bias, delta);
    for (int64_t c = 0; c < C; ++c) hidden_[static_cast<size_t>(row * C + c)] += delta[c];
  });
}

/// A token's part of attention before its scores: rotates, remembers key and value, and puts its
/// queries where attend_kv reads them, per run (K, tokens, H / K, D).
template <typename T>
void PackedPass::prepare(const PackedLayer& layer, int64_t index, const PackedRun& run,
                         int64_t token) {
  const int64_t H = config_.num_attention_heads, K = config_.key_value_heads(),
                D = config_.head_size(), G = H / K;
  const int64_t row = run.first_row + token;
  float* qkv = qkv_.data() + row * (H + 2 * K) * D;
  add_bias(layer.qkv_bias, qkv);
  const auto angles = static_cast<size_t>(row * (D / 2));
  for (int64_t h = 0; h < H + K; ++h)
    packed::rotate(qkv + h * D, &cos_[angles], &sin_[angles], D / 2);
  T* queries = reinterpret_cast<T*>(query_.data()) + run.first_row * H * D;
  for (int64_t h = 0; h < H; ++h)
    packed::store_row(qkv + h * D, D, queries + ((h / G * run.tokens() + token) * G + h % G) * D);
  append_kv(run.sequence->shape(), run.sequence->table(), index, run.first_position() + token,
            qkv + H * D, qkv + (H + K) * D);
}

/// qkv_ (rows, (H + 2 K) D) -> attended_ (rows, H D).
template <typename T>
void PackedPass::attention(const PackedLayer& layer, int64_t index,
                           std::span<const PackedRun> runs) {
  const int64_t H = config_.num_attention_heads, K = config_.key_value_heads(),
                D = config_.head_size(), G = H / K;
  for_rows(*parts_.team, rows_, [&](int64_t row) {
    const PackedRun& run = runs[run_of_row_[static_cast<size_t>(row)]];
    prepare<T>(layer, index, run, row - run.first_row);
  });
  const double scale = config_.attention_scale();
  const int64_t window = config_.sliding_window.value_or(0);
  const auto ahead = [&](int64_t item) {
    const PackedRun& run = runs[static_cast<size_t>(item / K)];
    const int64_t oldest = window > 0 ? std::max<int64_t>(0, run.first_position() - window + 1) : 0;
    return KvAhead{run.sequence->table().subspan(static_cast<size_t>(oldest / kKvBlockTokens)),
                   item % K};
  };
  const auto* query = reinterpret_cast<const T*>(query_.data());
  const int64_t items = std::ssize(runs) * K;
  parts_.team->for_each(items, [&](int64_t item, int member, bool more) {
    const PackedRun& run = runs[static_cast<size_t>(item / K)];
    const int64_t head = item % K;
    const KvQueries queries{.q = query + run.first_row * H * D + head * run.tokens() * G * D,
                            .first_position = run.first_position(),
                            .tokens = run.tokens(),
                            .group = G,
                            .scale = scale,
                            .window = window,
                            .out = attended_.data() + run.first_row * H * D + head * G * D,
                            .token_stride = H * D};
    attend_kv(run.sequence->shape(), run.sequence->table(), index, head, queries,
              scratch_[static_cast<size_t>(member)], more ? ahead(item + 1) : KvAhead{});
  });
}

int64_t PackedPass::keep_wanted(std::span<const PackedRun> runs) {
  const int64_t C = config_.hidden_size;
  wanted_.clear();
  for (const PackedRun& run : runs) {
    run.sequence->advance(run.tokens());
    if (run.logits == TokenSegment::Logits::none) continue;
    const int64_t skipped = run.logits == TokenSegment::Logits::last ? run.tokens() - 1 : 0;
    const auto rows = hidden_.begin() + run.first_row * C;
    wanted_.insert(wanted_.end(), rows + skipped * C, rows + run.tokens() * C);
  }
  return std::ssize(wanted_) / C;
}

/// Final norm of the first `count` rows of wanted_, into input_ as the output product reads it.
void PackedPass::norm(int64_t count) {
  const int64_t C = config_.hidden_size;
  const int64_t elements = activation_row_elements(parts_.weights->output());
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const auto normed = [&](auto* input) {
    for_rows(*parts_.team, count, [&](int64_t row) {
      packed::add_rms_norm(wanted_.data() + row * C, nullptr, parts_.weights->norm().data(), eps, C,
                           input + row * elements);
    });
  };
  if (parts_.bfloat) {
    normed(reinterpret_cast<uint16_t*>(input_.data()));
  } else {
    normed(reinterpret_cast<float*>(input_.data()));
  }
}

void PackedPass::head(int64_t count, float* logits) {
  norm(count);
  packed_linear(parts_.weights->output(), input_.data(), count, logits, config_.vocab_size,
                *parts_.team);
}

std::vector<float> PackedPass::last_hidden() {
  wanted_.erase(wanted_.begin(), wanted_.end() - config_.hidden_size);
  norm(1);
  std::vector<float> hidden(static_cast<size_t>(config_.hidden_size));
  const auto* floats = reinterpret_cast<const float*>(input_.data());
  const auto* halves = reinterpret_cast<const uint16_t*>(input_.data());
  for (size_t c = 0; c < hidden.size(); ++c)
    hidden[c] = parts_.bfloat ? packed::widened(halves[c]) : floats[c];
  return hidden;
}

}  // namespace llm
