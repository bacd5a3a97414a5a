// Optimizers over a model's flat parameter buffer.
//
// Parameters, gradients and states are one-dimensional tensors of equal length in which each named
// parameter is a slice. Parameters are fp32 or bf16, gradients as these; states are fp32. `step`
// multiplies the gradient by gradient_scale (clip factor over loss scale) as it reads it.
//   adamw      decoupled weight decay, https://arxiv.org/abs/1711.05101
//   lion       u = sign(b1 m + (1 - b1) g); p -= lr (u + wd p); m = b2 m + (1 - b2) g,
//   https://arxiv.org/abs/2302.06675 sgd        m = momentum m + g; p -= lr (m + wd p), optionally
//   Nesterov adafactor  factored second moments for matrices, update clipping,
//   https://arxiv.org/abs/1804.04235, with the schedule's learning rate muon       Newton-Schulz
//   orthogonalised momentum for hidden matrices, https://kellerjordan.github.io/posts/muon/, update
//   scaled by
//              0.2 sqrt(max(rows, columns)) so that AdamW's learning rate fits,
//              https://arxiv.org/abs/2502.16982; AdamW for embeddings, head, norms, biases
// Weight decay is lr * wd * p, applied to matrices (and embeddings where decay_embeddings) and
// never to norms and biases. Not thread-safe. Deterministic for a fixed thread count.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "training/training_config.h"

namespace llm {

/// One named parameter inside the flat buffers.
struct ParameterSlice {
  std::string name;
  int64_t offset = 0;
  std::vector<int64_t> shape;
  ParameterKind kind = ParameterKind::matrix;
  int64_t numel() const;
};

struct FlatParameters {
  at::Tensor values;     // fp32 or bf16
  at::Tensor gradients;  // as values
  at::Tensor compute;  // rounded copy that products read; undefined where values are used directly
  std::vector<ParameterSlice> slices;
};
FlatParameters flat_parameters_of(Transformer& model);

/// A state tensor as it is stored: "exp_avg/model.layers.0..." with the parameter's shape.
struct OptimizerTensor {
  std::string name;
  at::Tensor tensor;
};

struct OptimizerStep {
  double learning_rate = 0;
  double gradient_scale = 1;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Updates values (and compute), counts the update, and leaves zeros in the gradients.
  virtual void step(const OptimizerStep& options) = 0;
  /// Views of the state; writing into them restores it.
  virtual std::vector<OptimizerTensor> state() = 0;
  virtual std::string name() const = 0;
  int64_t updates = 0;  // applied steps: the bias corrections' clock; restored with the state
};

/// Throws Error(usage) for an unknown name. `parameters` are shared, not copied.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, FlatParameters parameters);

/// Whether weight decay applies to a parameter.
bool decays(const OptimizerConfig& config, const ParameterSlice& slice);

}  // namespace llm
