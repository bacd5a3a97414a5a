// What generation needs of a model: sequences that remember, and the logits of the next token.
//
// A TokenModel is const and shared; everything that changes while text is generated lives in a
// TokenSequence, which belongs to one caller at a time. Logits are V float32 values, valid until
// the next call on the same sequence or model. Law: a sequence's logits do not depend, not in one
// bit, on which other sequences take part in the same step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace llm {

class TokenSequence {
 public:
  virtual ~TokenSequence() = default;
  /// Tokens that it holds: prompt and what was appended since.
  virtual int64_t length() const = 0;
};

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  virtual int64_t vocab_size() const = 0;
  /// The longest sequence the model was made for; 0 = no bound.
  virtual int64_t context_length() const = 0;
  /// An empty sequence with room for `capacity` tokens.
  virtual std::unique_ptr<TokenSequence> start(int64_t capacity) const = 0;
  /// Appends `ids` and returns the logits after the last of them (V).
  virtual std::span<const float> append(TokenSequence& sequence,
                                        std::span<const int32_t> ids) const = 0;
  /// Appends `ids` and writes the logits after each of them (ids x V) to `logits`.
  virtual void append_all(TokenSequence& sequence, std::span<const int32_t> ids,
                          std::span<float> logits) const = 0;
  /// Appends ids[i] to sequences[i] and writes its logits to row i of `logits` (sequences x V).
  virtual void step(std::span<TokenSequence* const> sequences, std::span<const int32_t> ids,
                    std::span<float> logits) const = 0;
};

}  // namespace llm
