// A TokenModel whose every logit is a pure function of the tokens so far: for tests of what stands
// around a model.
#pragma once

#include <vector>

#include "base/random.h"
#include "serving/token_model.h"

namespace llm {

struct CountingSequence final : TokenSequence {
  std::vector<int32_t> ids;
  std::vector<float> logits;
  int64_t length() const override { return static_cast<int64_t>(ids.size()); }
};

class CountingModel final : public TokenModel {
 public:
  explicit CountingModel(int64_t vocab, int64_t context = 0) : vocab_(vocab), context_(context) {}
  int64_t vocab_size() const override { return vocab_; }
  int64_t context_length() const override { return context_; }
  std::unique_ptr<TokenSequence> start(int64_t) const override {
    return std::make_unique<CountingSequence>();
  }

  std::span<const float> append(TokenSequence& sequence,
                                std::span<const int32_t> ids) const override {
    auto& own = static_cast<CountingSequence&>(sequence);
    own.ids.insert(own.ids.end(), ids.begin(), ids.end());
    largest_length = std::max(largest_length, own.length());
    own.logits.resize(static_cast<size_t>(vocab_));
    write(own.ids, own.logits);
    return own.logits;
  }

  void append_all(TokenSequence& sequence, std::span<const int32_t> ids,
                  std::span<float> logits) const override {
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto row = append(sequence, ids.subspan(i, 1));
      std::copy(row.begin(), row.end(),
                logits.begin() + static_cast<std::ptrdiff_t>(i * static_cast<size_t>(vocab_)));
    }
  }

  void step(std::span<TokenSequence* const> sequences, std::span<const int32_t> ids,
            std::span<float> logits) const override {
    largest_batch = std::max(largest_batch, sequences.size());
    for (size_t i = 0; i < sequences.size(); ++i) {
      const auto row = append(*sequences[i], ids.subspan(i, 1));
      std::copy(row.begin(), row.end(),
                logits.begin() + static_cast<std::ptrdiff_t>(i * static_cast<size_t>(vocab_)));
    }
  }

  /// What comes next after `ids`; replaceable.
  std::function<void(const std::vector<int32_t>& ids, std::span<float> logits)> write =
      [](const std::vector<int32_t>& ids, std::span<float> logits) {
        uint64_t key = 1;
        for (const int32_t id : ids) key = combine_keys(key, static_cast<uint64_t>(id));
        for (size_t i = 0; i < logits.size(); ++i)
          logits[i] = 6 * unit_float(CounterRandom(key).bits(i));
      };
  mutable size_t largest_batch = 0;
  mutable int64_t largest_length = 0;

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
