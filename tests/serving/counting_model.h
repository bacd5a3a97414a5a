// A TokenModel whose every logit is a pure function of the tokens so far: for tests of what stands
// around a model. It remembers nothing but what it writes into its sequences' memory, so a block
// that is shared, copied, freed or given back wrongly changes the text.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "serving/kv_pool.h"
#include "serving/token_model.h"

namespace llm {

inline constexpr KvShape kCountingShape{.layers = 1, .heads = 1, .head_dim = 2};  // 128 bytes

class CountingSequence final : public TokenSequence {
 public:
  CountingSequence(std::shared_ptr<KvPool> pool, std::unique_ptr<KvBlocks> blocks, int64_t held)
      : pool_(std::move(pool)), blocks_(std::move(blocks)), held_(held) {}
  int64_t length() const override { return held_; }
  bool reserve(int64_t tokens) override { return blocks_->reserve(held_, tokens); }
  void truncate(int64_t length) override {
    held_ = length;
    blocks_->truncate(length);
  }
  std::unique_ptr<TokenSequence> fork() override {
    auto blocks = blocks_->fork(held_);
    if (!blocks) return nullptr;
    auto copy = std::make_unique<CountingSequence>(pool_, std::move(blocks), held_);
    copy->use_adapter(adapter());
    return copy;
  }
  std::span<const int32_t> block_ids() const override { return blocks_->ids(); }

  void write(int32_t id) {
    std::memcpy(place(held_), &id, sizeof id);
    ++held_;
  }
  std::vector<int32_t> ids() const {
    std::vector<int32_t> all(static_cast<size_t>(held_));
    for (int64_t i = 0; i < held_; ++i)
      std::memcpy(&all[static_cast<size_t>(i)], place(i), sizeof(int32_t));
    return all;
  }

 private:
  std::byte* place(int64_t position) const {
    return blocks_->table()[static_cast<size_t>(position / kKvBlockTokens)] +
           position % kKvBlockTokens * 4;
  }
  std::shared_ptr<KvPool> pool_;
  std::unique_ptr<KvBlocks> blocks_;
  int64_t held_;
};

/// Tokens computed with an adapter are remembered as others: who shares them wrongly goes on
/// differently.
struct CountingAdapter final : ModelAdapter {
  explicit CountingAdapter(int32_t number) : shift(number << 16) {}
  int32_t shift;
};

class CountingModel final : public TokenModel {
 public:
  explicit CountingModel(int64_t vocab, int64_t context = 0) : vocab_(vocab), context_(context) {}
  int64_t vocab_size() const override { return vocab_; }
  int64_t context_length() const override { return context_; }
  int64_t kv_bytes_per_token(Codes) const override { return 4; }
  std::shared_ptr<KvPool> make_pool(const KvPoolOptions& options) const override {
    return std::make_shared<KvPool>(kCountingShape, options);
  }
  std::unique_ptr<TokenSequence> start(int64_t) const override {
    return start_in(make_pool({.max_blocks = 1000}), 0);
  }
  std::unique_ptr<TokenSequence> start_in(const std::shared_ptr<KvPool>& pool, int64_t capacity,
                                          std::span<const int32_t> block_ids = {}) const override {
    return std::make_unique<CountingSequence>(
        pool, std::make_unique<KvBlocks>(pool, capacity, block_ids),
        static_cast<int64_t>(block_ids.size()) * kKvBlockTokens);
  }

  int64_t hidden_size() const override { return width; }
  std::vector<float> append_hidden(TokenSequence& sequence,
                                   std::span<const int32_t> ids) const override {
    const TokenSegment all{&sequence, ids, TokenSegment::Logits::none};
    forward({&all, 1}, {});
    const auto count = static_cast<float>(sequence.length());
    return {count, static_cast<float>(ids.back()), 0, -count};
  }

  void forward(std::span<const TokenSegment> segments, std::span<float> logits) const override {
    ++passes;
    largest_batch = std::max(largest_batch, segments.size());
    size_t row = 0, tokens = 0;
    for (const TokenSegment& segment : segments) {
      auto& own = static_cast<CountingSequence&>(*segment.sequence);
      const auto* adapter = static_cast<const CountingAdapter*>(own.adapter().get());
      tokens += segment.ids.size();
      for (size_t i = 0; i < segment.ids.size(); ++i) {
        own.write(segment.ids[i] + (adapter == nullptr ? 0 : adapter->shift));
        const bool last = i + 1 == segment.ids.size();
        if (segment.logits == TokenSegment::Logits::all ||
            (segment.logits == TokenSegment::Logits::last && last))
          write(own.ids(),
                logits.subspan(row++ * static_cast<size_t>(vocab_), static_cast<size_t>(vocab_)));
      }
      largest_length = std::max(largest_length, own.length());
    }
    tokens_read += tokens;
    largest_pass = std::max(largest_pass, tokens);
  }

  /// What comes next after `ids`; replaceable.
  std::function<void(const std::vector<int32_t>& ids, std::span<float> logits)> write =
      [](const std::vector<int32_t>& ids, std::span<float> logits) {
        uint64_t key = 1;
        for (const int32_t id : ids) key = combine_keys(key, static_cast<uint64_t>(id));
        for (size_t i = 0; i < logits.size(); ++i)
          logits[i] = 6 * unit_float(CounterRandom(key).bits(i));
      };
  mutable size_t largest_batch = 0, largest_pass = 0, tokens_read = 0, passes = 0;
  mutable int64_t largest_length = 0;
  int64_t width = 4;  // that it says it has

 private:
  int64_t vocab_, context_;
};

/// A model that says these tokens whatever came before, one per call, starting after a prompt of
/// `prompt` tokens.
inline CountingModel reciting_model(std::vector<int32_t> script, int64_t vocab, size_t prompt) {
  CountingModel model(vocab);
  model.write = [script = std::move(script), prompt](const std::vector<int32_t>& ids,
                                                     std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    const size_t place = ids.size() - prompt;
    if (place < script.size()) logits[static_cast<size_t>(script[place])] = 30.0f;
  };
  return model;
}

}  // namespace llm
