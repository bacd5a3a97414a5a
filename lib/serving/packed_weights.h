// The weights of a Llama-like model packed for streaming (model/kernels/packed_linear.h): what
// PackedModel multiplies with.
//
// Where the weights lie in a mapped file, as numbers or as blocks that stand for them, the first
// pass is computed from there, panel by panel through the cache, and the second pass packs: same
// bits, and the first token does not wait for a copy of the model. Everything but that one change
// of form is constant. Passes of any threads hold what `for_passes` gives while they multiply. No
// LibTorch.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "model/kernels/packed_linear.h"
#include "model/model_config.h"

namespace llm {

class WorkerTeam;

struct ParameterRows {
  StoredRows rows;  // of a vector: one row
  /// They lie in a mapped file and may be read later; others are packed at once.
  bool in_file = false;
};

/// Where the parameters come from, one after another: a file need not be in memory beside them.
struct ParameterReader {
  /// By its name in parameter_layout.h; none where the model has no such parameter. The embedding
  /// is read as long as the model lives.
  std::function<std::optional<ParameterRows>(const std::string& name)> read;
  /// The parameter has been packed.
  std::function<void(const std::string& name)> done = [](const std::string&) {};
};

struct PackedLayer {
  PackedWeight qkv, o, gate_up, down;
  std::vector<float> qkv_bias, o_bias, gate_up_bias, down_bias;  // empty: none
  std::vector<float> input_norm, post_attention_norm;
};

class PackedWeights {
 public:
  /// In bfloat16 or float32, whatever the parameters are in, the matrices as `codes` where that is
  /// one of them: but for the embedding, of which rows are looked up, and the head in int8 where
  /// int4 is asked for, since it decides between close tokens. Throws where a parameter is missing.
  PackedWeights(const ModelConfig& config, bool bfloat, Codes codes,
                const ParameterReader& parameters, WorkerTeam& team);

  const PackedLayer& layer(int64_t index) const { return layers_[static_cast<size_t>(index)]; }
  const std::vector<float>& norm() const { return norm_; }
  const PackedWeight& output() const { return output_; }
  /// One row of the embedding (hidden_size), rounded as the weights are.
  void embed(int64_t id, float* row) const { read_row(embedding_, id, bfloat_, row); }

  /// To be held while the weights are read, `passes` times. Packs what was put off, unless this is
  /// the first pass of all; whoever still reads the weights as they lie is waited for.
  std::shared_lock<std::shared_mutex> for_passes(int64_t passes) const;
  /// Bytes that one token's step reads.
  int64_t bytes_per_token() const;

 private:
  void pack_all() const;

  bool bfloat_;
  WorkerTeam& team_;
  mutable std::vector<PackedLayer> layers_;
  mutable PackedWeight output_;
  std::vector<float> norm_;
  StoredRows embedding_;

  // Packing that was put off.
  mutable std::atomic<bool> packed_{true}, used_{false};
  mutable std::shared_mutex packing_;
  mutable std::function<void()> packing_done_;
};

}  // namespace llm
