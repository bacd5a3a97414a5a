// One pass of a packed model: tokens of any number of sequences through all layers.
//
// B is gone here: rows are tokens. C hidden_size, H query heads, K key/value heads, D head_dim, F
// intermediate_size, V vocab. A pass owns its buffers, which stay for the next; one thread uses it
// at a time, and its work is shared out among the model's team.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/kernels/kv_blocks.h"
#include "model/kernels/worker_team.h"
#include "model/model_config.h"
#include "serving/packed_adapter.h"
#include "serving/packed_sequence.h"
#include "serving/packed_weights.h"
#include "serving/token_model.h"

namespace llm {

/// What all passes of one model read.
struct PackedParts {
  ModelConfig config;
  bool bfloat = true;                      // dtype of the products' inputs: bfloat16 or float32
  bool gelu = false;                       // the gate's activation: GELU or SiLU
  std::vector<float> inverse_frequencies;  // of the rotation, D / 2
  double rope_factor = 1;
  std::unique_ptr<WorkerTeam> team;  // takes one caller at a time, others work alone
  std::unique_ptr<PackedWeights> weights;
};

/// Consecutive tokens of one sequence within a pass.
struct PackedRun {
  PackedSequence* sequence;
  std::span<const int32_t> ids;
  int64_t first_row;
  TokenSegment::Logits logits;
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t first_position() const { return sequence->length(); }
};

class PackedPass {
 public:
  /// Tokens of a pass: 16 register blocks; the largest input of a product stays in L2.
  static constexpr int64_t kRows = 192;

  explicit PackedPass(const PackedParts& parts) : parts_(parts), config_(parts.config) {}

  /// Through all layers, at most kRows tokens in all; the sequences advance. Keeps what the last
  /// layer leaves in the rows that the runs ask for, and returns their number.
  int64_t run(std::span<const PackedRun> runs);
  /// Logits of the `count` rows that the last run() kept: (count, V).
  void head(int64_t count, float* logits);
  /// The last row that run() kept, after the final norm: C values.
  std::vector<float> last_hidden();

 private:
  void resize(int64_t rows);
  void note_rows(std::span<const PackedRun> runs);
  void embed(std::span<const PackedRun> runs);
  void rotation(std::span<const PackedRun> runs);
  template <typename T>
  void layers(std::span<const PackedRun> runs);
  template <typename T>
  void attention(const PackedLayer& layer, int64_t index, std::span<const PackedRun> runs);
  template <typename T>
  void prepare(const PackedLayer& layer, int64_t index, const PackedRun& run, int64_t token);
  int64_t keep_wanted(std::span<const PackedRun> runs);
  void norm(int64_t count);

  const PackedParts& parts_;
  const ModelConfig& config_;
  int64_t rows_ = 0;      // of the current pass
  int64_t capacity_ = 0;  // rows that the buffers hold
  std::vector<float> hidden_, product_, qkv_, attended_, gate_up_, cos_, sin_;
  std::vector<size_t> run_of_row_;
  StreamBuffer input_, query_;         // in the products' dtype
  std::vector<StreamBuffer> scratch_;  // per thread
  std::vector<float> wanted_;          // rows of the residual stream that logits are made of
  std::vector<AdaptedRow> adapted_;    // rows with an adapter
  std::vector<float> low_rank_;        // their A x
};

}  // namespace llm
