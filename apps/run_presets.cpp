#include "apps/run_presets.h"

#include <algorithm>
#include <cmath>

#include "base/number_text.h"
#include "model/model_presets.h"
#include "model/model_size.h"

namespace llm {
namespace {

constexpr int64_t kTokensPerParameter = 20;
constexpr int64_t kMicroBatch = 8;
// Models below 100 M parameters are trained on CPUs too, where a step is to take seconds or a
// minute: fewer tokens than the law has it, the learning rate lower by the root of the share.
constexpr double kSmallModel = 100e6, kSmallModelTokens = 16'384;
constexpr int64_t kMostBetweenSaves = 2000;  // hours, at most

int64_t round_up(double value, int64_t multiple) {
  return (static_cast<int64_t>(std::ceil(value)) + multiple - 1) / multiple * multiple;
}

// The largest of 1, 2, 5, 10, 20, 50 ... that is not above the value.
int64_t round_number(double value) {
  int64_t result = 1;
  for (int64_t power = 1; power <= int64_t{1'000'000'000'000}; power *= 10) {
    for (const int64_t digit : {1, 2, 5}) {
      result = static_cast<double>(digit * power) <= value ? digit * power : result;
    }
  }
  return result;
}

double two_digits(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  // Through text, so that the file says 0.0012 and not 0.0012000000000000001.
  return std::stod(fmt::format("{:.1e}", std::round(value / unit) * unit));
}

void schedule_run(RunConfig& run) {
  const double parameters = static_cast<double>(parameter_count(run.model));
  const double tokens = kTokensPerParameter * parameters, flops = 6 * parameters * tokens;
  const double row_tokens = static_cast<double>(run.model.max_position_embeddings);
  const double law = 0.2920 * std::pow(flops, 0.3271);
  const bool small = parameters < kSmallModel;
  const double step_tokens = small ? std::min(law, kSmallModelTokens) : law;
  const double rows = step_tokens / row_tokens;
  run.training.batch_size = kMicroBatch;
  run.training.gradient_accumulation_steps = std::max<int64_t>(1, std::llround(rows / kMicroBatch));
  run.training.max_steps = static_cast<int64_t>(
      std::ceil(tokens / (row_tokens * static_cast<double>(run.training.rows_per_step()))));
  run.training.eval_steps = run.checkpoint.save_steps =
      std::min(kMostBetweenSaves, round_number(static_cast<double>(*run.training.max_steps) / 10));
  run.training.eval_batches = small ? 20 : 100;
  const double rate = 0.3118 * std::pow(flops, -0.125) * std::sqrt(step_tokens / law);
  run.optimizer.learning_rate = std::min(3e-3, two_digits(rate));
}

// Muon learns the references between the words of a story sooner than AdamW, and two blocks sooner
// than three or four: what was tried is in docs/performance.md.
RunConfig mini_run() {
  RunConfig run = pretrain_defaults();
  run.model = model_preset("mini");
  run.tokenizer.vocab_size = run.model.vocab_size;
  run.data.synthetic_stories = 25000;  // more than the run reads: no story comes twice
  run.training.batch_size = 8;
  run.training.gradient_accumulation_steps = 1;
  run.training.max_steps = 520;
  run.training.eval_steps = 260;
  run.training.eval_batches = 40;
  run.checkpoint.save_steps = 260;
  run.optimizer.name = "muon";
  run.optimizer.learning_rate = 4e-3;
  run.optimizer.betas = {0.9, 0.98};
  run.scheduler.warmup_steps = 20;
  run.scheduler.min_lr_ratio = 0.0;
  return run;
}

struct SizeClass {
  int64_t below, vocab, positions, head_dim;
};

constexpr int64_t kGroup = 4;  // query heads per key/value head in models whose cache is large

// Vocabulary and context grow with the model, so that a small one is not all embedding.
constexpr SizeClass kSizeClasses[] = {
    {3'000'000, 512, 256, 32},        {10'000'000, 2048, 512, 64},
    {40'000'000, 8192, 512, 64},      {150'000'000, 16384, 1024, 64},
    {1'000'000'000, 32000, 2048, 64}, {20'000'000'000, 32000, 4096, 128},
    {INT64_MAX, 128'000, 8192, 128}};

ModelConfig shape(const SizeClass& size, int64_t layers, int64_t heads) {
  ModelConfig model;
  model.vocab_size = size.vocab;
  model.max_position_embeddings = size.positions;
  model.num_hidden_layers = layers;
  model.num_attention_heads = heads;
  model.hidden_size = heads * size.head_dim;
  model.intermediate_size = round_up(8.0 / 3.0 * static_cast<double>(model.hidden_size), 64);
  if (size.head_dim == 128) {
    model.num_key_value_heads = heads / kGroup;
  }
  return model;
}

}  // namespace

ModelConfig sized_model(int64_t parameters) {
  check(parameters >= 100'000 && parameters <= 1'000'000'000'000,
        "--params: {} must be between 100000 and 1000000000000", parameters);
  const SizeClass& size = *std::find_if(std::begin(kSizeClasses), std::end(kSizeClasses),
                                        [&](const SizeClass& c) { return parameters < c.below; });
  ModelConfig best;
  double best_cost = INFINITY;
  for (int64_t layers = 2; layers <= 128; ++layers) {
    const int64_t step = size.head_dim == 128 ? kGroup : 1;
    for (int64_t heads = step; heads <= 256; heads += step) {
      ModelConfig candidate = shape(size, layers, heads);
      candidate.tie_word_embeddings = parameters < 150'000'000;
      const double miss = std::abs(std::log(static_cast<double>(parameter_count(candidate)) /
                                            static_cast<double>(parameters)));
      // Widths of 32 (small) to 128 (large) per layer are usual; within them the size decides.
      const double usual = parameters < 10'000'000 ? 32 : parameters < 1'000'000'000 ? 64 : 100;
      const double odd = std::abs(std::log(static_cast<double>(candidate.hidden_size) /
                                           static_cast<double>(layers) / usual));
      const double cost = 8 * miss + odd;
      if (cost < best_cost) {
        best_cost = cost;
        best = candidate;
      }
    }
  }
  best.use_gradient_checkpointing = parameters >= 2'000'000'000;
  return best;
}

RunConfig sized_run(int64_t parameters) {
  RunConfig run = pretrain_defaults();
  run.model = sized_model(parameters);
  run.tokenizer.vocab_size = run.model.vocab_size;
  schedule_run(run);
  return run;
}

RunConfig run_preset(std::string_view name) {
  if (name == "mini") {
    return mini_run();
  }
  RunConfig run = pretrain_defaults();
  run.model = model_preset(name);
  run.tokenizer.vocab_size = run.model.vocab_size;
  schedule_run(run);
  return run;
}

std::string describe_run(const RunConfig& run) {
  const int64_t tokens = run.training.max_steps.value_or(0) * run.training.rows_per_step() *
                         run.model.max_position_embeddings;
  return fmt::format("{} parameters, {} tokens in {} steps",
                     human_count(parameter_count(run.model)), human_count(tokens),
                     format_count(run.training.max_steps.value_or(0)));
}

}  // namespace llm
