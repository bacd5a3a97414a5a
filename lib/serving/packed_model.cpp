#include "serving/packed_model.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/rope_frequencies.h"
#include "serving/packed_pass.h"

namespace llm {
namespace {

/// Weights that stay for the passes that so many tokens take.
auto weights_for(const PackedParts& parts, int64_t tokens) {
  return parts.weights->for_passes((tokens + PackedPass::kRows - 1) / PackedPass::kRows);
}

}  // namespace

PackedModel::PackedModel(const ModelConfig& config, bool bfloat, Codes codes,
                         const ParameterReader& parameters, int threads)
    : parts_(std::make_unique<PackedParts>()), config_(parts_->config) {
  if (const auto reason = why_not_packed(config, bfloat ? "bfloat16" : "float32"))
    fail(Exit::usage, fmt::format("this model cannot run packed: {}", *reason));
  parts_->config = config;
  parts_->bfloat = bfloat;
  parts_->gelu = config.ffn_type == "geglu";
  for (const double frequency : rope_inverse_frequencies(config))
    parts_->inverse_frequencies.push_back(static_cast<float>(frequency));
  parts_->rope_factor = rope_attention_factor(config);
  parts_->team = std::make_unique<WorkerTeam>(threads);
  parts_->weights =
      std::make_unique<PackedWeights>(config, bfloat, codes, parameters, *parts_->team);
}

PackedModel::~PackedModel() = default;

int64_t PackedModel::bytes_per_token() const { return parts_->weights->bytes_per_token(); }

ModelAdapterPtr PackedModel::adapt(const LoraAdapter& adapter) const {
  return std::make_shared<PackedAdapter>(adapter, config_, parts_->bfloat);
}

std::vector<float> PackedModel::append_hidden(TokenSequence& sequence,
                                              std::span<const int32_t> ids) const {
  const TokenSegment all{&sequence, ids, TokenSegment::Logits::none};
  check_segments({&all, 1}, {});
  const auto weights = weights_for(*parts_, std::ssize(ids));
  std::unique_ptr<PackedPass> pass = take_pass();
  for (size_t at = 0; at < ids.size(); at += PackedPass::kRows) {
    const auto part = ids.subspan(at, std::min<size_t>(PackedPass::kRows, ids.size() - at));
    const PackedRun run{static_cast<PackedSequence*>(&sequence), part, 0,
                        TokenSegment::Logits::last};
    pass->run({&run, 1});
  }
  std::vector<float> hidden = pass->last_hidden();
  return_pass(std::move(pass));
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
  for (const TokenSegment& segment : segments) tokens += std::ssize(segment.ids);
  const auto weights = weights_for(*parts_, tokens);
  std::unique_ptr<PackedPass> pass = take_pass();
  std::vector<PackedRun> runs;
  int64_t filled = 0, written = 0;
  const auto flush = [&] {
    const int64_t rows = runs.empty() ? 0 : pass->run(runs);
    if (rows > 0) pass->head(rows, logits.data() + written * vocab_size());
    written += rows;
    runs.clear();
    filled = 0;
  };
  for (const TokenSegment& segment : segments) {
    for (size_t at = 0; at < segment.ids.size();) {
      const auto part =
          std::min(segment.ids.size() - at, static_cast<size_t>(PackedPass::kRows - filled));
      const bool last_part = at + part == segment.ids.size();
      const bool wanted = segment.logits != TokenSegment::Logits::last || last_part;
      runs.push_back({static_cast<PackedSequence*>(segment.sequence), segment.ids.subspan(at, part),
                      filled, wanted ? segment.logits : TokenSegment::Logits::none});
      at += part;
      filled += static_cast<int64_t>(part);
      if (filled == PackedPass::kRows) flush();
    }
  }
  flush();
  return_pass(std::move(pass));
}

std::unique_ptr<PackedPass> PackedModel::take_pass() const {
  const std::lock_guard guard(idle_lock_);
  if (idle_.empty()) return std::make_unique<PackedPass>(*parts_);
  std::unique_ptr<PackedPass> pass = std::move(idle_.back());
  idle_.pop_back();
  return pass;
}

void PackedModel::return_pass(std::unique_ptr<PackedPass> pass) const {
  const std::lock_guard guard(idle_lock_);
  idle_.push_back(std::move(pass));
}

KvShape PackedModel::kv_shape(Codes codes) const {
  return {.layers = config_.num_hidden_layers,
          .heads = config_.key_value_heads(),
          .head_dim = config_.head_size(),
          .bfloat = parts_->bfloat,
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
