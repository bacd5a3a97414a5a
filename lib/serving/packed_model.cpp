// B is gone here: rows are tokens of any number of sequences. C hidden_size, H query heads, K
// key/value heads, D head_dim, F intermediate_size, V vocab.
#include "serving/packed_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/kv_blocks.h"
#include "model/kernels/worker_team.h"
#include "model/rope_frequencies.h"
#include "serving/packed_adapter.h"
#include "serving/packed_sequence.h"

namespace llm {
namespace {

constexpr int64_t kPassRows = 192;  // tokens of a pass: 16 register blocks; the largest input of a
                                    // product stays in L2
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

/// Buffers of one pass over `rows` tokens.
struct PackedModel::Workspace {
  int64_t rows = 0;      // of the current pass
  int64_t capacity = 0;  // rows that the buffers hold
  std::vector<float> hidden, product, qkv, attended, gate_up, cos, sin;
  std::vector<size_t> run_of_row;
  StreamBuffer input, query;          // in the weights' dtype
  std::vector<StreamBuffer> scratch;  // per thread
  std::vector<float> wanted;          // rows of the residual stream that logits are made of
  std::vector<AdaptedRow> adapted;    // rows with an adapter
  std::vector<float> low_rank;        // their A x

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

/// Consecutive tokens of one sequence within a pass.
struct PackedModel::Run {
  PackedSequence* sequence;
  std::span<const int32_t> ids;
  int64_t first_row;
  TokenSegment::Logits logits;
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t first_position() const { return sequence->length(); }
};

PackedModel::PackedModel(const ModelConfig& config, bool bfloat, Codes codes,
                         const ParameterReader& parameters, int threads)
    : config_(config), bfloat_(bfloat), team_(std::make_unique<WorkerTeam>(threads)) {
  if (const auto reason = why_not_packed(config, bfloat ? "bfloat16" : "float32"))
    fail(Exit::usage, fmt::format("this model cannot run packed: {}", *reason));
  weights_ = std::make_unique<PackedWeights>(config, bfloat_, codes, parameters, *team_);
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
      weights_->embed(run.ids[t],
                      work.hidden.data() + (run.first_row + static_cast<int64_t>(t)) * C);
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
  const KvShape& shape = runs.front().sequence->shape();
  const auto prepare = [&](const Run& run, int64_t t) {
    float* row = work.qkv.data() + (run.first_row + t) * width;
    add_bias(layer.qkv_bias, row);
    const auto angles = static_cast<size_t>((run.first_row + t) * (D / 2));
    for (int64_t h = 0; h < H + K; ++h)
      packed::rotate(row + h * D, &work.cos[angles], &work.sin[angles], D / 2);
    for (int64_t h = 0; h < H; ++h) {
      packed::store_row(
          row + h * D, D,
          query + run.first_row * H * D + ((h / G * run.tokens() + t) * G + h % G) * D);
    }
    append_kv(shape, run.sequence->table(), index, run.first_position() + t, row + H * D,
              row + (H + K) * D);
  };
  for_rows(*team_, work.rows, [&](int64_t row) {
    const Run& run = runs[work.run_of_row[static_cast<size_t>(row)]];
    prepare(run, row - run.first_row);
  });
  const double scale = config_.attention_scale();
  const int64_t items = static_cast<int64_t>(runs.size()) * K;
  const auto ahead = [&](int64_t item) {
    const Run& run = runs[static_cast<size_t>(item / K)];
    const int64_t window = config_.sliding_window.value_or(0);
    const int64_t oldest = window > 0 ? std::max<int64_t>(0, run.first_position() - window + 1) : 0;
    return KvAhead{run.sequence->table().subspan(static_cast<size_t>(oldest / kKvBlockTokens)),
                   item % K};
  };
  team_->for_each(items, [&](int64_t item, int member, bool more) {
    const Run& run = runs[static_cast<size_t>(item / K)];
    const int64_t head = item % K;
    const KvQueries queries{.q = query + run.first_row * H * D + head * run.tokens() * G * D,
                            .first_position = run.first_position(),
                            .tokens = run.tokens(),
                            .group = G,
                            .scale = scale,
                            .window = config_.sliding_window.value_or(0),
                            .out = work.attended.data() + run.first_row * H * D + head * G * D,
                            .token_stride = H * D};
    attend_kv(shape, run.sequence->table(), index, head, queries,
              work.scratch[static_cast<size_t>(member)], more ? ahead(item + 1) : KvAhead{});
  });
}

/// hidden (rows, C): the embedding on entry, what the last layer leaves (before the final norm) on
/// return.
template <typename T>
void PackedModel::layers(std::span<const Run> runs, Workspace& work) const {
  const int64_t C = config_.hidden_size, H = config_.num_attention_heads, D = config_.head_size(),
                F = config_.ffn_size();
  const int64_t rows = work.rows;
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  auto* input = reinterpret_cast<T*>(work.input.data());
  const auto row_elements = [&](const PackedWeight& weight) {
    return activation_row_elements(weight);
  };
  // Weights, and what the rows' adapters add.
  const auto product = [&](const PackedWeight& weight, int64_t layer, PackedProduct which,
                           float* out) {
    packed_linear(weight, input, rows, out, weight.rows, *team_);
    if (!work.adapted.empty())
      add_adapters(std::span<const AdaptedRow>(work.adapted), layer, which, input,
                   row_elements(weight), out, weight.rows, work.low_rank, *team_);
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
    product(layer.qkv, i, PackedProduct::qkv, work.qkv.data());
    attention<T>(layer, i, runs, work);
    for_rows(*team_, rows, [&](int64_t row) {
      packed::store_row(work.attended.data() + row * H * D, H * D,
                        input + row * row_elements(layer.o));
    });
    product(layer.o, i, PackedProduct::o, work.product.data());
    pending = work.product.data();
    normed(layer.post_attention_norm, layer.o_bias, layer.gate_up);
    product(layer.gate_up, i, PackedProduct::gate_up, work.gate_up.data());
    for_rows(*team_, rows, [&](int64_t row) {
      float* gate_up = work.gate_up.data() + row * 2 * F;
      add_bias(layer.gate_up_bias, gate_up);
      packed::gated_activation(gate_up, gelu_, F, input + row * row_elements(layer.down));
    });
    product(layer.down, i, PackedProduct::down, work.product.data());
    pending_bias = &layer.down_bias;
  }
  for_rows(*team_, rows, [&](int64_t row) {
    float* delta = work.product.data() + row * C;
    add_bias(*pending_bias, delta);
    for (int64_t c = 0; c < C; ++c) work.hidden[static_cast<size_t>(row * C + c)] += delta[c];
  });
}

/// Final norm of the `count` rows in work.wanted, into work.input as the output product reads it.
void PackedModel::norm(int64_t count, Workspace& work) const {
  const int64_t C = config_.hidden_size;
  const int64_t elements = activation_row_elements(weights_->output());
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const auto normed = [&](auto* input) {
    for_rows(*team_, count, [&](int64_t row) {
      packed::add_rms_norm(work.wanted.data() + row * C, nullptr, weights_->norm().data(), eps, C,
                           input + row * elements);
    });
  };
  if (bfloat_) {
    normed(reinterpret_cast<uint16_t*>(work.input.data()));
  } else {
    normed(reinterpret_cast<float*>(work.input.data()));
  }
}

void PackedModel::head(int64_t count, float* logits, Workspace& work) const {
  norm(count, work);
  packed_linear(weights_->output(), work.input.data(), count, logits, config_.vocab_size, *team_);
}

int64_t PackedModel::pass(std::span<const Run> runs, float* logits, Workspace& work) const {
  const int64_t count = walk(runs, work);
  if (count > 0) head(count, logits, work);
  return count;
}

/// Through all layers; leaves the rows that were asked for in work.wanted and returns their number.
int64_t PackedModel::walk(std::span<const Run> runs, Workspace& work) const {
  work.resize(runs.back().first_row + runs.back().tokens(), config_, team_->size());
  work.run_of_row.clear();
  work.adapted.clear();
  for (size_t i = 0; i < runs.size(); ++i) {
    work.run_of_row.insert(work.run_of_row.end(), runs[i].ids.size(), i);
    const auto* adapter = static_cast<const PackedAdapter*>(runs[i].sequence->adapter().get());
    for (int64_t t = 0; adapter != nullptr && t < runs[i].tokens(); ++t)
      work.adapted.push_back({adapter, runs[i].first_row + t});
  }
  embed(runs, work);
  rotation(runs, work);
  if (bfloat_) {
    layers<uint16_t>(runs, work);
  } else {
    layers<float>(runs, work);
  }
  const int64_t C = config_.hidden_size;
  work.wanted.clear();
  for (const Run& run : runs) {
    run.sequence->advance(run.tokens());
    if (run.logits == TokenSegment::Logits::none) continue;
    const int64_t skipped = run.logits == TokenSegment::Logits::last ? run.tokens() - 1 : 0;
    const auto rows = work.hidden.begin() + run.first_row * C;
    work.wanted.insert(work.wanted.end(), rows + skipped * C, rows + run.tokens() * C);
  }
  return static_cast<int64_t>(work.wanted.size()) / C;
}

ModelAdapterPtr PackedModel::adapt(const LoraAdapter& adapter) const {
  return std::make_shared<PackedAdapter>(adapter, config_, bfloat_);
}

std::vector<float> PackedModel::append_hidden(TokenSequence& sequence,
                                              std::span<const int32_t> ids) const {
  const TokenSegment all{&sequence, ids, TokenSegment::Logits::none};
  check_segments({&all, 1}, {});
  const auto weights = weights_->for_passes((std::ssize(ids) + kPassRows - 1) / kPassRows);
  std::unique_ptr<Workspace> work = take_workspace();
  for (size_t at = 0; at < ids.size(); at += kPassRows) {
    const auto part = ids.subspan(at, std::min<size_t>(kPassRows, ids.size() - at));
    const Run run{static_cast<PackedSequence*>(&sequence), part, 0, TokenSegment::Logits::last};
    walk({&run, 1}, *work);
  }
  norm(1, *work);
  std::vector<float> hidden(static_cast<size_t>(config_.hidden_size));
  const auto* floats = reinterpret_cast<const float*>(work->input.data());
  const auto* halves = reinterpret_cast<const uint16_t*>(work->input.data());
  for (size_t c = 0; c < hidden.size(); ++c)
    hidden[c] = bfloat_ ? packed::widened(halves[c]) : floats[c];
  return_workspace(std::move(work));
  return hidden;
}

void PackedModel::check_segments(std::span<const TokenSegment> segments,
                                 std::span<float> logits) const {
  int64_t rows = 0;
  for (const TokenSegment& segment : segments) {
    check(!segment.ids.empty(), "forward: a segment without tokens");
    for (const int32_t id : segment.ids)
      check(id >= 0 && id < vocab_size(), "token {} is not below vocab_size {}", id, vocab_size());
    rows += segment.rows();
  }
  check(static_cast<int64_t>(logits.size()) >= rows * vocab_size(),
        "forward: room for {} values, {} rows of {} expected", logits.size(), rows, vocab_size());
}

void PackedModel::forward(std::span<const TokenSegment> segments, std::span<float> logits) const {
  check_segments(segments, logits);
  int64_t tokens = 0;
  for (const TokenSegment& segment : segments) tokens += static_cast<int64_t>(segment.ids.size());
  const auto weights = weights_->for_passes((tokens + kPassRows - 1) / kPassRows);
  std::unique_ptr<Workspace> work = take_workspace();
  std::vector<Run> runs;
  int64_t filled = 0, written = 0;
  const auto flush = [&] {
    if (!runs.empty()) written += pass(runs, logits.data() + written * vocab_size(), *work);
    runs.clear();
    filled = 0;
  };
  for (const TokenSegment& segment : segments) {
    for (size_t at = 0; at < segment.ids.size();) {
      const auto part = std::min(segment.ids.size() - at, static_cast<size_t>(kPassRows - filled));
      const bool last_part = at + part == segment.ids.size();
      const bool wanted = segment.logits != TokenSegment::Logits::last || last_part;
      runs.push_back({static_cast<PackedSequence*>(segment.sequence), segment.ids.subspan(at, part),
                      filled, wanted ? segment.logits : TokenSegment::Logits::none});
      at += part;
      filled += static_cast<int64_t>(part);
      if (filled == kPassRows) flush();
    }
  }
  flush();
  return_workspace(std::move(work));
}

std::unique_ptr<PackedModel::Workspace> PackedModel::take_workspace() const {
  const std::lock_guard guard(idle_lock_);
  if (idle_.empty()) return std::make_unique<Workspace>();
  std::unique_ptr<Workspace> work = std::move(idle_.back());
  idle_.pop_back();
  return work;
}

void PackedModel::return_workspace(std::unique_ptr<Workspace> work) const {
  const std::lock_guard guard(idle_lock_);
  idle_.push_back(std::move(work));
}

KvShape PackedModel::kv_shape(Codes codes) const {
  return {.layers = config_.num_hidden_layers,
          .heads = config_.key_value_heads(),
          .head_dim = config_.head_size(),
          .bfloat = bfloat_,
          .codes = codes};
}

int64_t PackedModel::kv_bytes_per_token(Codes codes) const {
  return static_cast<int64_t>(kv_shape(codes).block_bytes()) / kKvBlockTokens;
}

std::shared_ptr<KvPool> PackedModel::make_pool(const KvPoolOptions& options) const {
  return std::make_shared<KvPool>(kv_shape(options.codes), options);
}

std::unique_ptr<TokenSequence> PackedModel::start(int64_t capacity) const {
  const int64_t tokens = std::max<int64_t>(capacity, 1);
  const auto pool =
      make_pool({.max_blocks = kv_blocks_for(tokens), .layout = "slab", .slab_tokens = tokens});
  return start_in(pool, tokens);
}

std::unique_ptr<TokenSequence> PackedModel::start_in(const std::shared_ptr<KvPool>& pool,
                                                     int64_t capacity,
                                                     std::span<const int32_t> block_ids) const {
  check(pool != nullptr, "packed model: no pool given");
  return std::make_unique<PackedSequence>(
      pool, std::make_unique<KvBlocks>(pool, capacity, block_ids),
      static_cast<int64_t>(block_ids.size()) * kKvBlockTokens, config_.sliding_window.value_or(0));
}

}  // namespace llm
