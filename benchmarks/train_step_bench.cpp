// The training step of this program on random tokens: one JSON object per step on stdout, --steps
// of them for each line "go" on stdin.
//
// The step is the Trainer's own: batch, forward, backward, clipping, AdamW.
// benchmarks/training_step.py runs it beside PyTorch.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "benchmarks/guarded_main.h"
#include "model/init.h"
#include "model/kernels/cpu_allocator.h"
#include "training/trainer.h"

namespace {

using llm::ModelConfig;

struct Options {
  std::map<std::string, std::string> values = {
      {"precision", "32-true"},     {"steps", "3"},
      {"hidden-size", "384"},       {"num-hidden-layers", "6"},
      {"num-attention-heads", "6"}, {"intermediate-size", "1024"},
      {"vocab-size", "8192"},       {"batch-size", "8"},
      {"seq-length", "256"},        {"threads", "2"},
      {"accumulation", "1"}};

  Options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      std::string argument = argv[i];
      const size_t equals = argument.find('=');
      const std::string name = argument.substr(2, equals - 2);
      llm::check(argument.starts_with("--") && equals != std::string::npos && values.contains(name),
                 "train_step_bench: unknown option {}", argument);
      values[name] = argument.substr(equals + 1);
    }
  }

  int64_t number(const std::string& name) const {
    return count_argument("--" + name, values.at(name));
  }
};

llm::TrainingBatch random_batch(int64_t first_row, int64_t rows, int64_t tokens, int64_t vocab) {
  at::Tensor ids = at::empty({rows, tokens + 1}, at::TensorOptions().dtype(at::kLong));
  int64_t* out = ids.data_ptr<int64_t>();
  for (int64_t i = 0; i < ids.numel(); ++i) {
    out[i] = static_cast<int64_t>(llm::mix64(static_cast<uint64_t>(first_row * (tokens + 1) + i)) %
                                  static_cast<uint64_t>(vocab));
  }
  llm::TrainingBatch batch;
  batch.input_ids = ids.narrow(1, 0, tokens).contiguous();
  batch.targets = ids.narrow(1, 1, tokens).contiguous();
  batch.target_count = rows * tokens;
  return batch;
}

int run(const Options& options) {
  llm::install_caching_cpu_allocator();
  at::set_num_threads(static_cast<int>(options.number("threads")));
  ModelConfig config;
  config.vocab_size = options.number("vocab-size");
  config.hidden_size = options.number("hidden-size");
  config.num_hidden_layers = options.number("num-hidden-layers");
  config.num_attention_heads = options.number("num-attention-heads");
  config.intermediate_size = options.number("intermediate-size");
  const int64_t tokens = options.number("seq-length"), rows = options.number("batch-size");
  config.max_position_embeddings = tokens;

  llm::TrainerSetup setup;
  setup.training.batch_size = rows;
  setup.training.gradient_accumulation_steps = options.number("accumulation");
  setup.training.precision = options.values.at("precision");
  setup.training.eval_steps = 0;
  setup.scheduler.warmup_steps = 0;
  setup.metrics.gradient_norm_steps = 0;
  setup.total_steps = 1'000'000;
  setup.sequence_length = tokens;
  setup.batches = [=](int64_t first, int64_t count) {
    return random_batch(first, count, tokens, config.vocab_size);
  };
  const llm::Precision precision = llm::parse_precision(setup.training.precision, at::kCPU);
  llm::Transformer model(config, precision.parameters);
  llm::initialize(model, 0);
  model.set_compute_dtype(precision.compute);
  llm::Trainer trainer(std::move(setup), model);

  std::string line;
  while (std::getline(std::cin, line)) {
    for (int64_t i = 0; i < options.number("steps"); ++i) {
      const auto start = std::chrono::steady_clock::now();
      const llm::StepOutcome outcome = trainer.training_step();
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      fmt::print(
          "{{\"tokens_per_second\": {:.1f}, \"step_ms\": {:.2f}, \"loss\": {:.5f}, \"parameters\": "
          "{}, \"peak_tensor_bytes\": {}}}\n",
          static_cast<double>(outcome.tokens) / seconds, 1e3 * seconds, outcome.loss,
          model.flat_parameters().numel(), llm::cpu_memory().peak_in_use_bytes);
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("train_step_bench", [&] { return run(Options(argc, argv)); });
}
