// The general TokenModel: any Transformer on any device, through its own forward pass and KvCache.
//
// One sequence at a time, each with a cache of batch size one, so that company cannot change a
// result. The float32 products of a batch of one or two rows differ in the last bits from those of
// longer ones, which is within the law: it compares the same calls. PackedModel is the quick one
// where it applies.
#pragma once

#include <memory>

#include "serving/token_model.h"

namespace llm {

class Transformer;

class TransformerModel final : public TokenModel {
 public:
  /// Keeps a reference: the Transformer must outlive this.
  explicit TransformerModel(const Transformer& model) : model_(model) {}
  int64_t vocab_size() const override;
  int64_t context_length() const override;
  std::unique_ptr<TokenSequence> start(int64_t capacity) const override;
  void forward(std::span<const TokenSegment> segments, std::span<float> logits) const override;
  int64_t hidden_size() const override;
  std::vector<float> append_hidden(TokenSequence& sequence,
                                   std::span<const int32_t> ids) const override;
  /// A second Transformer over the same weights, with the adapter in its Linears.
  ModelAdapterPtr adapt(const LoraAdapter& adapter) const override;

 private:
  const Transformer& model_;
};

/// PackedModel where it applies and `allow_packed`, else TransformerModel. The Transformer must
/// outlive the result.
std::unique_ptr<TokenModel> make_token_model(const Transformer& model, bool allow_packed = true);

}  // namespace llm
