// The weights of a Llama-like model packed for streaming (model/kernels/packed_linear.h): what
// PackedModel multiplies with.
//
// Where the weights lie ready in a mapped file (ParameterReader::in_place) the first pass is
// computed from there, panel by panel through the cache, and the second pass packs: same bits, and
// the first token does not wait for a copy of the model. Everything but that one change of form is
// constant. Passes of any threads hold what `for_passes` gives while they multiply.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "model/kernels/packed_linear.h"
#include "model/model_config.h"

namespace llm {

class WorkerTeam;

/// Where the parameters come from, one after another: a file need not be in memory beside them.
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

struct PackedLayer {
  PackedWeight qkv, o, gate_up, down;
  std::vector<float> qkv_bias, o_bias, gate_up_bias, down_bias;  // empty: none
  std::vector<float> input_norm, post_attention_norm;
};

class PackedWeights {
 public:
  /// dtype: float32 or bfloat16. Throws where a parameter is missing.
  PackedWeights(const ModelConfig& config, at::ScalarType dtype, const ParameterReader& parameters,
                WorkerTeam& team);

  const PackedLayer& layer(int64_t index) const { return layers_[static_cast<size_t>(index)]; }
  const std::vector<float>& norm() const { return norm_; }
  const PackedWeight& output() const { return output_; }
  const at::Tensor& embedding() const { return embedding_; }  // (V, C) in the weights' dtype

  /// To be held while the weights are read, `passes` times. Packs what was put off, unless this is
  /// the first pass of all; whoever still reads the weights as they lie is waited for.
  std::shared_lock<std::shared_mutex> for_passes(int64_t passes) const;
  /// Bytes that one token's step reads.
  int64_t bytes_per_token() const;

 private:
  void map_all(WorkerTeam& team) const;
  void pack_all() const;

  mutable std::vector<PackedLayer> layers_;
  mutable PackedWeight output_;
  std::vector<float> norm_;
  at::Tensor embedding_;

  // Packing that was put off.
  mutable std::atomic<bool> packed_{true}, used_{false};
  mutable std::shared_mutex packing_;
  mutable std::function<void()> packing_done_;
};

}  // namespace llm
