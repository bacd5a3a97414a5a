#include "training/training_memory.h"

#include <gtest/gtest.h>

#include "training/optimizer.h"
#include "training/precision.h"

namespace llm {
namespace {

int64_t bytes_held(Transformer& model, const OptimizerConfig& config) {
  const FlatParameters parameters = flat_parameters_of(model);
  const auto optimizer = make_optimizer(config, parameters);
  size_t bytes = parameters.values.nbytes() + parameters.gradients.nbytes();
  if (parameters.compute.defined()) bytes += parameters.compute.nbytes();
  for (const OptimizerTensor& state : optimizer->state()) bytes += state.tensor.nbytes();
  return static_cast<int64_t>(bytes);
}

// A bound that refuses must never be above what is really held.
TEST(TrainingMemory, IsWhatARunHoldsOrLess) {
  ModelConfig shape;
  shape.vocab_size = 300;
  shape.hidden_size = 64;
  shape.num_hidden_layers = 2;
  shape.num_attention_heads = 4;
  for (const char* precision : {"32-true", "bf16-mixed", "bf16-true", "16-mixed"}) {
    for (const char* name : {"adamw", "lion", "sgd", "adafactor", "muon"}) {
      const Precision chosen = parse_precision(precision, at::kCPU);
      Transformer model(shape, chosen.parameters, at::kCPU);
      model.set_compute_dtype(chosen.compute);
      OptimizerConfig config;
      config.name = name;
      const int64_t parameters = model.flat_parameters().numel();
      const int64_t held = bytes_held(model, config);
      const int64_t told = least_training_bytes(parameters, precision, name);
      EXPECT_LE(told, held) << precision << " " << name;
      const bool partly = config.name == "adafactor" || config.name == "muon";
      if (!partly) {
        EXPECT_EQ(told, held) << precision << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace llm
