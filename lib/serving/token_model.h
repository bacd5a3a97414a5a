// What generation needs of a model: sequences that remember, and the logits of the next token.
//
// A TokenModel is const and shared; everything that changes while text is generated lives in a
// TokenSequence, which belongs to one caller at a time. One pass may read any number of tokens of
// any number of sequences: a prompt's chunk beside others' single tokens. Logits are V float32
// values a row. Law: a sequence's logits do not depend, not in one bit, on which other sequences
// take part in the same pass, nor on how its tokens were cut into passes (TransformerModel keeps
// the second half only within rounding; it says so).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/kernels/codes.h"

namespace llm {

class KvPool;
struct KvPoolOptions;
struct LoraAdapter;

/// A LoRA adapter in the form that one model computes with: TokenModel::adapt() makes it, and it is
/// good for that model only.
class ModelAdapter {
 public:
  ModelAdapter();
  virtual ~ModelAdapter() = default;
  /// Unlike that of any other adapter of this process: what was computed with one must not be taken
  /// for what another computes.
  const std::string& salt() const { return salt_; }

 private:
  std::string salt_;
};
using ModelAdapterPtr = std::shared_ptr<const ModelAdapter>;

class TokenSequence {
 public:
  virtual ~TokenSequence() = default;
  /// Tokens that it holds: prompt and what was appended since.
  virtual int64_t length() const = 0;
  /// Takes memory for `tokens` in all. False: the pool is exhausted; nothing changed.
  virtual bool reserve(int64_t tokens) = 0;
  /// Forgets everything past `length` tokens.
  virtual void truncate(int64_t length) = 0;
  /// A copy that goes its own way; blocks of a pool are shared until one side writes. Null: the
  /// pool is exhausted.
  virtual std::unique_ptr<TokenSequence> fork() = 0;
  /// Lets go what lies before the sliding window of the next token, if the model has one.
  virtual void drop_unseen() {}
  /// Pool blocks that hold positions 0, 32, 64, ...; -1 where one was let go; empty without a pool
  /// of blocks.
  virtual std::span<const int32_t> block_ids() const { return {}; }

  /// The adapter that all its tokens are computed with; null: the model as it is. To be set while
  /// the sequence is empty, or begins with what the same adapter has computed.
  void use_adapter(ModelAdapterPtr adapter) { adapter_ = std::move(adapter); }
  const ModelAdapterPtr& adapter() const { return adapter_; }

 private:
  friend class TokenModel;
  ModelAdapterPtr adapter_;
  std::vector<float> logits_;  // of the last append()
};

/// Tokens of one sequence that take part in a pass.
struct TokenSegment {
  enum class Logits { none, last, all };
  TokenSequence* sequence = nullptr;  // at most once in a pass
  std::span<const int32_t> ids;       // at least one
  Logits logits = Logits::last;

  int64_t rows() const {
    return logits == Logits::none   ? 0
           : logits == Logits::last ? 1
                                    : static_cast<int64_t>(ids.size());
  }
};

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  virtual int64_t vocab_size() const = 0;
  /// The longest sequence the model was made for; 0 = no bound.
  virtual int64_t context_length() const = 0;
  /// Bytes that one token adds to a sequence; 0 = unknown.
  virtual int64_t kv_bytes_per_token(Codes /*codes*/ = Codes::none) const { return 0; }

  /// Memory for sequences within a bound, or null where the model's sequences have memory of their
  /// own only. Lives as long as its sequences.
  virtual std::shared_ptr<KvPool> make_pool(const KvPoolOptions& options) const;
  /// An empty sequence with room for `capacity` tokens in memory of its own.
  virtual std::unique_ptr<TokenSequence> start(int64_t capacity) const = 0;
  /// An empty sequence in a pool of this model, or one that begins with `block_ids`, full blocks of
  /// another sequence with the same beginning. capacity: what it may come to hold.
  virtual std::unique_ptr<TokenSequence> start_in(const std::shared_ptr<KvPool>& pool,
                                                  int64_t capacity,
                                                  std::span<const int32_t> block_ids = {}) const;
  /// Appends each segment's tokens to its sequence and writes the logits that were asked for, row
  /// after row in the order of the segments. Sequences must have room (reserve).
  virtual void forward(std::span<const TokenSegment> segments, std::span<float> logits) const = 0;

  virtual int64_t hidden_size() const = 0;
  /// Appends `ids` (reserve first); the hidden state behind the last of them, after the final norm
  /// (hidden_size() values): what embeddings are made of.
  virtual std::vector<float> append_hidden(TokenSequence& sequence,
                                           std::span<const int32_t> ids) const = 0;

  /// Sequences may use it from now on (use_adapter), in one pass with others. Throws Error(usage)
  /// where the model takes none.
  virtual ModelAdapterPtr adapt(const LoraAdapter& adapter) const;

  // The usual passes.
  /// Appends `ids`; the logits after the last of them (V), valid until the sequence's next call.
  std::span<const float> append(TokenSequence& sequence, std::span<const int32_t> ids) const;
  /// Appends `ids` and writes the logits after each of them (ids x V).
  void append_all(TokenSequence& sequence, std::span<const int32_t> ids,
                  std::span<float> logits) const;
  /// append_hidden() of a text alone, in memory of its own.
  std::vector<float> last_hidden_state(std::span<const int32_t> ids,
                                       const ModelAdapterPtr& adapter = {}) const;
  /// Appends ids[i] to sequences[i] and writes its logits to row i (sequences x V).
  void step(std::span<TokenSequence* const> sequences, std::span<const int32_t> ids,
            std::span<float> logits) const;
};

}  // namespace llm
