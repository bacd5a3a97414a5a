#include "serving/draft.h"

#include <algorithm>
#include <unordered_map>

#include "base/random.h"
#include "serving/sampler.h"
#include "serving/token_model.h"

namespace llm {
namespace {

/// Remembers where each n-gram ended last; every token is looked at once.
class NgramDrafter final : public Drafter {
 public:
  explicit NgramDrafter(int64_t longest) : ends_(static_cast<size_t>(longest)) {}

  std::vector<int32_t> draft(std::span<const int32_t> tokens, int64_t count) override {
    if (tokens.size() < known_) {  // a slid context starts anew
      known_ = 0;
      for (auto& ends : ends_) ends.clear();
    }
    remember(tokens);
    for (size_t n = std::min(ends_.size(), tokens.size()); n > 0; --n) {
      const auto found = ends_[n - 1].find(key(tokens, tokens.size(), n));
      if (found == ends_[n - 1].end()) continue;
      const auto rest = tokens.subspan(found->second);
      return {rest.begin(), rest.begin() + std::min<int64_t>(count, std::ssize(rest))};
    }
    return {};
  }

 private:
  static uint64_t key(std::span<const int32_t> tokens, size_t end, size_t n) {
    uint64_t key = n;
    for (size_t i = end - n; i < end; ++i)
      key = combine_keys(key, static_cast<uint64_t>(tokens[i]));
    return key;
  }
  /// All n-grams but those that end the text, which would find themselves.
  void remember(std::span<const int32_t> tokens) {
    for (; known_ + 1 < tokens.size(); ++known_) {
      const size_t end = known_ + 1;
      for (size_t n = 1; n <= std::min(ends_.size(), end); ++n)
        ends_[n - 1][key(tokens, end, n)] = end;
    }
  }
  std::vector<std::unordered_map<uint64_t, size_t>> ends_;  // by n - 1: n-gram -> one past its end
  size_t known_ = 0;                                        // tokens that are remembered
};

/// What both model drafters do first: bring the sequence to all of `tokens` but the last.
class Follower {
 public:
  explicit Follower(const TokenModel& model) : model_(model) {}
  const TokenModel& model() const { return model_; }
  TokenSequence& sequence() { return *sequence_; }
  /// Tokens that the model has not read yet; at least the last.
  std::span<const int32_t> follow(std::span<const int32_t> tokens, int64_t room) {
    const int64_t capacity = model_.context_length();
    if (capacity > 0 && std::ssize(tokens) + room > capacity) return {};
    size_t same = 0;
    while (same < std::min(read_.size(), tokens.size() - 1) && read_[same] == tokens[same]) ++same;
    if (!sequence_) sequence_ = model_.start(capacity > 0 ? capacity : 4096);
    if (sequence_->length() > static_cast<int64_t>(same))
      sequence_->truncate(static_cast<int64_t>(same));
    read_.assign(tokens.begin(), tokens.end());
    return tokens.subspan(same);
  }
  void also_read(int32_t id) { read_.push_back(id); }

 private:
  const TokenModel& model_;
  std::unique_ptr<TokenSequence> sequence_;
  std::vector<int32_t> read_;
};

class ModelDrafter final : public Drafter {
 public:
  ModelDrafter(const TokenModel& model, FrozenGenerationConfig config, int64_t sequence)
      : follower_(model), config_(std::move(config)), sequence_(sequence) {}

  std::vector<int32_t> draft(std::span<const int32_t> tokens, int64_t count) override {
    if (prompt_ < 0) prompt_ = std::ssize(tokens) - 1;
    const auto unread = follower_.follow(tokens, count);
    if (unread.empty()) return {};
    // The sampler's draws depend on the place only: this one stands where the request's own does.
    Sampler sampler(config_, tokens, follower_.model().vocab_size(), sequence_);
    sampler.skip(std::ssize(tokens) - prompt_);
    std::vector<int32_t> drafted;
    auto logits = follower_.model().append(follower_.sequence(), unread);
    while (true) {
      drafted.push_back(sampler.next(logits).id);
      if (std::ssize(drafted) == count) return drafted;
      follower_.also_read(drafted.back());
      logits = follower_.model().append(follower_.sequence(), {&drafted.back(), 1});
    }
  }

 private:
  Follower follower_;
  FrozenGenerationConfig config_;
  int64_t sequence_, prompt_ = -1;
};

class ParallelDrafter final : public Drafter {
 public:
  ParallelDrafter(const TokenModel& model, int32_t mask_id, int64_t at_once, int64_t tokens)
      : follower_(model),
        mask_(mask_id),
        at_once_(at_once),
        tokens_(tokens > 0 ? std::min(tokens, model.vocab_size()) : model.vocab_size()) {}

  std::vector<int32_t> draft(std::span<const int32_t> tokens, int64_t count) override {
    std::vector<int32_t> text(tokens.begin(), tokens.end());
    const int64_t wanted = std::ssize(text) + count;
    while (std::ssize(text) < wanted && fill(text, std::min(at_once_, wanted - std::ssize(text)))) {
    }
    return {text.begin() + std::ssize(tokens), text.end()};
  }

 private:
  /// Appends `count` tokens by one pass; false: there is no room.
  bool fill(std::vector<int32_t>& text, int64_t count) {
    const auto unread = follower_.follow(text, count);
    if (unread.empty()) return false;
    std::vector<int32_t> ids(unread.begin(), unread.end());
    ids.insert(ids.end(), static_cast<size_t>(count - 1), mask_);
    const auto vocab = static_cast<size_t>(follower_.model().vocab_size());
    std::vector<float> logits(ids.size() * vocab);
    follower_.model().append_all(follower_.sequence(), ids, logits);
    follower_.sequence().truncate(std::ssize(text));
    for (size_t row = unread.size() - 1; row < ids.size(); ++row)
      text.push_back(argmax(std::span(logits).subspan(row * vocab, static_cast<size_t>(tokens_))));
    return true;
  }

  Follower follower_;
  int32_t mask_;
  int64_t at_once_, tokens_;
};

}  // namespace

std::unique_ptr<Drafter> make_ngram_drafter(int64_t longest) {
  return std::make_unique<NgramDrafter>(longest);
}

std::unique_ptr<Drafter> make_model_drafter(const TokenModel& model, FrozenGenerationConfig config,
                                            int64_t sequence) {
  return std::make_unique<ModelDrafter>(model, std::move(config), sequence);
}

std::unique_ptr<Drafter> make_parallel_drafter(const TokenModel& model, int32_t mask_id,
                                               int64_t at_once, int64_t tokens) {
  return std::make_unique<ParallelDrafter>(model, mask_id, at_once, tokens);
}

}  // namespace llm
