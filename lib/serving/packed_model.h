// The quick TokenModel: a Transformer's weights packed for streaming, and a forward pass over
// preallocated buffers.
//
// For CPUs with a backend (model/kernels/cpu_backend.h) and models of the Llama kind: RoPE, RMSNorm
// before each half, gated feed-forward, any number of key/value heads, biases, tied or separate
// head, sliding window. Everything else runs through TransformerModel; why_not_packed tells which,
// and why not. Products read bfloat16 or float32 weights as the model has them, with inputs rounded
// to the same; sums, norms, softmax and the residual stream are float32.
//
// Law (from packed_linear.h): the logits of a token are the same bits whether it came in a prompt,
// one at a time, or in a batch with others, and for any number of threads. The weights are copied:
// the Transformer may go afterwards. Const and shared; the sequences of one pool are used by one
// thread at a time.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "model/model_config.h"
#include "serving/kv_pool.h"
#include "serving/packed_weights.h"
#include "serving/token_model.h"

namespace llm {

class Transformer;
class PackedPass;
struct PackedParts;

/// Why this model cannot run packed on the CPU, or nothing if it can. dtype as "float32".
std::optional<std::string> why_not_packed(const ModelConfig& config, std::string_view dtype);
std::optional<std::string> why_not_packed(const Transformer& model);  // in packed_transformer.cpp

class PackedModel final : public TokenModel {
 public:
  /// In bfloat16 or float32, or with the weights rounded to `codes`, on `threads` threads.
  PackedModel(const ModelConfig& config, bool bfloat, Codes codes,
              const ParameterReader& parameters, int threads);
  /// In its own format, on as many threads as LibTorch has (in packed_transformer.cpp).
  explicit PackedModel(const Transformer& model, Codes codes = Codes::none);
  ~PackedModel() override;

  int64_t vocab_size() const override { return config_.vocab_size; }
  int64_t context_length() const override { return config_.max_position_embeddings; }
  int64_t kv_bytes_per_token(Codes codes = Codes::none) const override;
  std::shared_ptr<KvPool> make_pool(const KvPoolOptions& options) const override;
  std::unique_ptr<TokenSequence> start(int64_t capacity) const override;
  std::unique_ptr<TokenSequence> start_in(const std::shared_ptr<KvPool>& pool, int64_t capacity,
                                          std::span<const int32_t> block_ids = {}) const override;
  void forward(std::span<const TokenSegment> segments, std::span<float> logits) const override;
  int64_t hidden_size() const override { return config_.hidden_size; }
  std::vector<float> append_hidden(TokenSequence& sequence,
                                   std::span<const int32_t> ids) const override;
  ModelAdapterPtr adapt(const LoraAdapter& adapter) const override;

  /// Bytes of weights that one token's step reads: the denominator of a share-of-bandwidth figure.
  int64_t bytes_per_token() const;

 private:
  KvShape kv_shape(Codes codes) const;
  std::unique_ptr<PackedPass> take_pass() const;
  void return_pass(std::unique_ptr<PackedPass> pass) const;
  void check_segments(std::span<const TokenSegment> segments, std::span<float> logits) const;

  std::unique_ptr<PackedParts> parts_;
  const ModelConfig& config_;
  mutable std::mutex idle_lock_;
  mutable std::vector<std::unique_ptr<PackedPass>> idle_;  // their buffers stay for the next
};

}  // namespace llm
