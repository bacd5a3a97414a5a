#include "serving/transformer_model.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "model/kv_cache.h"
#include "model/lora_linear.h"
#include "model/transformer.h"
#include "serving/packed_model.h"

namespace llm {
namespace {

struct CachedSequence final : TokenSequence {
  explicit CachedSequence(KvCache tensors) : cache(std::move(tensors)) {}
  int64_t length() const override { return cache.length(); }
  bool reserve(int64_t) override { return true; }
  void truncate(int64_t length) override { cache.truncate(length); }
  std::unique_ptr<TokenSequence> fork() override {
    const c10::InferenceMode inference;
    auto copy = std::make_unique<CachedSequence>(cache.clone());
    copy->use_adapter(adapter());
    return copy;
  }
  KvCache cache;
};

struct AdaptedTransformer final : ModelAdapter {
  std::unique_ptr<const Transformer> model;
};

/// The base, or its adapted twin.
const Transformer& computing(const Transformer& base, const TokenSequence& sequence) {
  const ModelAdapter* adapter = sequence.adapter().get();
  return adapter == nullptr ? base : *static_cast<const AdaptedTransformer*>(adapter)->model;
}

/// Hidden states (1, T, C) of `ids`, which join the sequence.
at::Tensor read(const Transformer& base, CachedSequence& sequence, std::span<const int32_t> ids) {
  const Transformer& model = computing(base, sequence);
  const int64_t vocab_size = model.config().vocab_size;
  check(!ids.empty(), "forward: a segment without tokens");
  at::Tensor input = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  int64_t* out = input.mutable_data_ptr<int64_t>();
  for (const int32_t id : ids) {
    check(id >= 0 && id < vocab_size, "token {} is not below vocab_size {}", id, vocab_size);
    *out++ = id;
  }
  ForwardOptions options;
  options.cache = &sequence.cache;
  return model.hidden_states(input.to(model.device()), options);
}

void copy_logits(const Transformer& model, const at::Tensor& hidden, float* out) {
  const at::Tensor logits = model.logits(hidden).to(at::kCPU, at::kFloat).contiguous();
  std::memcpy(out, logits.const_data_ptr<float>(), logits.nbytes());
}

}  // namespace

int64_t TransformerModel::vocab_size() const { return model_.config().vocab_size; }
int64_t TransformerModel::context_length() const { return model_.config().max_position_embeddings; }

std::unique_ptr<TokenSequence> TransformerModel::start(int64_t capacity) const {
  return std::make_unique<CachedSequence>(KvCache(model_.config(), capacity));
}

void TransformerModel::forward(std::span<const TokenSegment> segments,
                               std::span<float> logits) const {
  const c10::InferenceMode inference;
  const int64_t vocab = vocab_size();
  float* out = logits.data();
  for (const TokenSegment& segment : segments) {
    const at::Tensor hidden =
        read(model_, static_cast<CachedSequence&>(*segment.sequence), segment.ids);
    if (segment.logits == TokenSegment::Logits::none) continue;
    copy_logits(model_, hidden.slice(1, -segment.rows()), out);
    out += segment.rows() * vocab;
  }
}

int64_t TransformerModel::hidden_size() const { return model_.config().embedding_size(); }

ModelAdapterPtr TransformerModel::adapt(const LoraAdapter& adapter) const {
  const c10::InferenceMode inference;
  auto adapted = std::make_shared<AdaptedTransformer>();
  adapted->model = with_lora(model_, adapter);
  return adapted;
}

std::vector<float> TransformerModel::append_hidden(TokenSequence& sequence,
                                                   std::span<const int32_t> ids) const {
  const c10::InferenceMode inference;
  const at::Tensor last = read(model_, static_cast<CachedSequence&>(sequence), ids)
                              .slice(1, -1)
                              .to(at::kCPU, at::kFloat)
                              .contiguous();
  const float* values = last.const_data_ptr<float>();
  return {values, values + last.numel()};
}

std::unique_ptr<TokenModel> make_token_model(const Transformer& model, bool allow_packed) {
  if (allow_packed && !why_not_packed(model)) return std::make_unique<PackedModel>(model);
  return std::make_unique<TransformerModel>(model);
}

}  // namespace llm
