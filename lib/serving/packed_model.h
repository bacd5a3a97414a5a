// The quick TokenModel: a Transformer's weights packed for streaming, and a forward pass over
// preallocated buffers.
//
// For CPUs with AVX-512-BF16 and models of the Llama kind: RoPE, RMSNorm before each half, gated
// feed-forward, any number of key/value heads, biases, tied or separate head, sliding window.
// Everything else runs through TransformerModel; `runs_packed` tells which, and why not. Products
// read bfloat16 or float32 weights as the model has them, with inputs rounded to the same; sums,
// norms, softmax and the residual stream are float32.
//
// Law (from packed_linear.h): the logits of a token are the same bits whether it came in a prompt,
// one at a time, or in a batch with others, and for any number of threads. The weights are copied:
// the Transformer may go afterwards. Const and shared; a PackedModel's sequences are used by one
// thread at a time.
//
// Where the weights lie ready in a mapped file (ParameterReader::in_place) the first prompt is
// computed from there, panel by panel through the cache, and the second pass packs: same bits, and
// the first token does not wait for a copy of the model.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "model/kernels/packed_linear.h"
#include "model/model_config.h"
#include "serving/token_model.h"

namespace llm {

class Transformer;
class WorkerTeam;
struct PackedSequence;

/// Why this model cannot run packed, or nothing if it can.
std::optional<std::string> why_not_packed(const ModelConfig& config, at::ScalarType dtype,
                                          at::Device device);
std::optional<std::string> why_not_packed(const Transformer& model);

/// Where a packed model takes its parameters from, one after another: a file need not be in memory
/// beside it.
struct ParameterReader {
  /// By its name in parameter_layout.h, on the CPU, in any number format; undefined where the model
  /// has none. The embedding is kept as it is where it already has the model's format.
  std::function<at::Tensor(const std::string& name)> read;
  /// The parameter has been packed.
  std::function<void(const std::string& name)> done = [](const std::string&) {};
  /// read() gives views of a file, so that packing can wait until the weights are read a second
  /// time: a first token comes sooner. The reader is kept until then.
  bool in_place = false;
};

class PackedModel final : public TokenModel {
 public:
  PackedModel(const ModelConfig& config, at::ScalarType dtype, const ParameterReader& parameters);
  explicit PackedModel(const Transformer& model);
  ~PackedModel() override;

  int64_t vocab_size() const override { return config_.vocab_size; }
  int64_t context_length() const override { return config_.max_position_embeddings; }
  std::unique_ptr<TokenSequence> start(int64_t capacity) const override;
  std::span<const float> append(TokenSequence& sequence,
                                std::span<const int32_t> ids) const override;
  void append_all(TokenSequence& sequence, std::span<const int32_t> ids,
                  std::span<float> logits) const override;
  void step(std::span<TokenSequence* const> sequences, std::span<const int32_t> ids,
            std::span<float> logits) const override;

  /// Bytes of weights that one token's step reads: the denominator of a share-of-bandwidth figure.
  int64_t bytes_per_token() const;

 private:
  struct Layer;
  struct Run;
  struct Workspace;
  friend struct PackedSequence;

  template <typename T>
  void forward(std::span<const Run> runs, Workspace& work) const;
  template <typename T>
  void attention(const Layer& layer, int64_t index, std::span<const Run> runs,
                 Workspace& work) const;
  void map_all() const;
  void pack_all() const;
  std::shared_lock<std::shared_mutex> weights_for(int64_t passes) const;
  void embed(std::span<const Run> runs, Workspace& work) const;
  void rotation(std::span<const Run> runs, Workspace& work) const;
  void run(std::span<const Run> runs, Workspace& work) const;
  void head(const float* rows, int64_t count, float* logits, Workspace& work) const;

  ModelConfig config_;
  bool bfloat_ = true;
  bool gelu_ = false;
  at::Tensor embedding_;  // (V, C) in the weights' dtype
  mutable std::vector<Layer> layers_;
  std::vector<float> norm_;
  mutable PackedWeight output_;

  // Packing that was put off.
  mutable std::atomic<bool> packed_{true}, used_{false};
  mutable std::shared_mutex packing_;
  mutable std::function<void()> packing_done_;
  std::vector<float> inverse_frequencies_;
  double rope_factor_ = 1;
  std::unique_ptr<WorkerTeam> team_;  // as many threads as LibTorch has at construction; takes one
                                      // caller at a time, others work alone
};

}  // namespace llm
