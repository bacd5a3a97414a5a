// Keys and values of the tokens seen so far: one contiguous (B, K, capacity, D) pair per layer,
// grown by doubling.
//
// A forward pass with a cache calls begin(), then update() once per layer, then commit(); the views
// that update() returns hold all tokens so far and stay valid until the next call. The cache also
// remembers which earlier tokens were padding and at which position each stands, so that a
// left-padded batch decodes as each row would alone. truncate() forgets the newest tokens
// (speculative decoding, a second chat turn). Not thread-safe: one per request batch. Keys are
// stored rotated (RoPE is applied before), so positions never shift: a truncated cache goes on
// where it was cut.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "model/model_config.h"

namespace llm {

/// Which places hold real tokens, and at which position each stands.
struct SeenTokens {
  int64_t length = 0;
  at::Tensor mask;       // (B, length) bool; undefined: all real
  at::Tensor positions;  // (B, length) int64; undefined: 0, 1, 2, ...

  /// New tokens with their padding mask (B, T) and positions (B, T), either undefined. Positions
  /// not given count real tokens upwards.
  void add(int64_t tokens, const at::Tensor& new_mask, const at::Tensor& new_positions);
  void cut(int64_t tokens);
};

class KvCache {
 public:
  /// capacity_tokens is a hint; memory is allocated by the first update(), with the batch, dtype
  /// and device of its tensors.
  explicit KvCache(const ModelConfig& config, int64_t capacity_tokens = 0);

  /// Tokens held, padding included.
  int64_t length() const { return length_; }
  int64_t batch_size() const;
  int64_t bytes() const;

  /// True if the text that the cache is for, by its capacity or by its first tokens, is longer than
  /// that; what was answered first stays.
  bool reaches_beyond(int64_t tokens);
  /// Forgets everything past `length` tokens. Throws Error(usage) if that is more than are held.
  void truncate(int64_t length);
  /// Keeps rows `rows` (int64, may repeat) in that order: beams, finished sequences.
  void select_rows(const at::Tensor& rows);
  /// A copy that goes its own way.
  KvCache clone() const;

  // For the Transformer.
  /// Announces new tokens; seen() includes them from here on.
  void begin(int64_t tokens, const at::Tensor& mask, const at::Tensor& positions);
  /// k, v (B, K, T, D) -> all keys and values (B, K, length + T, D).
  std::pair<at::Tensor, at::Tensor> update(int64_t layer, const at::Tensor& k, const at::Tensor& v);
  void commit();
  const SeenTokens& seen() const { return seen_; }

 private:
  void grow(int64_t tokens, const at::Tensor& like);

  struct Layer {
    at::Tensor k, v;
  };
  std::vector<Layer> layers_;
  SeenTokens seen_;
  int64_t length_ = 0, capacity_ = 0;
  std::optional<bool> reaches_beyond_;
};

}  // namespace llm
