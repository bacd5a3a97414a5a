#include "serving/token_model.h"

#include <atomic>

#include "base/error.h"
#include "serving/kv_pool.h"

namespace llm {
namespace {

void take_room(TokenSequence& sequence, size_t tokens) {
  const int64_t wanted = sequence.length() + static_cast<int64_t>(tokens);
  check(sequence.reserve(wanted), "no memory for a sequence of {} tokens", wanted);
}

}  // namespace

ModelAdapter::ModelAdapter() {
  static std::atomic<uint64_t> made{0};
  salt_ = std::to_string(++made);
}

ModelAdapterPtr TokenModel::adapt(const LoraAdapter&) const {
  fail(Exit::usage, "this model takes no adapters");
}

std::shared_ptr<KvPool> TokenModel::make_pool(const KvPoolOptions&) const { return nullptr; }

std::unique_ptr<TokenSequence> TokenModel::start_in(const std::shared_ptr<KvPool>& pool,
                                                    int64_t capacity,
                                                    std::span<const int32_t>) const {
  check(pool == nullptr, "this model's sequences have memory of their own only");
  return start(capacity);
}

std::span<const float> TokenModel::append(TokenSequence& sequence,
                                          std::span<const int32_t> ids) const {
  check(!ids.empty(), "append: no tokens");
  take_room(sequence, ids.size());
  sequence.logits_.resize(static_cast<size_t>(vocab_size()));
  const TokenSegment one{&sequence, ids, TokenSegment::Logits::last};
  forward({&one, 1}, sequence.logits_);
  return sequence.logits_;
}

void TokenModel::append_all(TokenSequence& sequence, std::span<const int32_t> ids,
                            std::span<float> logits) const {
  if (ids.empty()) return;
  take_room(sequence, ids.size());
  const TokenSegment one{&sequence, ids, TokenSegment::Logits::all};
  forward({&one, 1}, logits);
}

std::vector<float> TokenModel::last_hidden_state(std::span<const int32_t> ids,
                                                 const ModelAdapterPtr& adapter) const {
  const auto sequence = start(std::ssize(ids));
  sequence->use_adapter(adapter);
  take_room(*sequence, ids.size());
  return append_hidden(*sequence, ids);
}

void TokenModel::step(std::span<TokenSequence* const> sequences, std::span<const int32_t> ids,
                      std::span<float> logits) const {
  std::vector<TokenSegment> segments;
  for (size_t row = 0; row < sequences.size(); ++row) {
    take_room(*sequences[row], 1);
    segments.push_back({sequences[row], ids.subspan(row, 1), TokenSegment::Logits::last});
  }
  forward(segments, logits);
}

}  // namespace llm
