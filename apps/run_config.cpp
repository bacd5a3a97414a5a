#include "apps/run_config.h"

#include "apps/run_rules.h"

namespace llm {

void LoggingSection::fields(Fields& f) {
  log.fields(f);
  metrics.fields(f);
}

void DistributedSection::fields(Fields& f) {
  f("distributed_backend", distributed_backend, "How processes would talk to each other",
    one_of({"gloo", "nccl"}));
  f("data_parallel_size", data_parallel_size, "Processes that share the batch; this build runs one",
    in_range(1, 1));
  f("tensor_parallel_size", tensor_parallel_size,
    "Processes that share a matrix; this build runs one", in_range(1, 1));
  f("pipeline_parallel_size", pipeline_parallel_size,
    "Processes that share the layers; this build runs one", in_range(1, 1));
  f("zero_offload_params", zero_offload_params,
    "Parameters in host memory while they are not used; only with several processes");
  f.cross_check("zero_offload_params", [this] {
    return zero_offload_params ? std::string(
                                     "zero_offload_params needs data_parallel_size above 1, which "
                                     "this build does not run")
                               : std::string();
  });
  f.cross_check("distributed_backend", [this] {
    return distributed_backend == "nccl" ? std::string(
                                               "distributed_backend nccl needs several processes "
                                               "with one GPU each, which this build does not run")
                                         : std::string();
  });
}

void RunConfig::sections(Fields& f) {
  f.section("", runtime);
  f.section("model", model, "Shape of the model");
  f.section("tokenizer", tokenizer, "The tokenizer, or how to train one on the run's text");
  f.section("data", data, "What the model learns from");
  f.section("training", training, "Steps, batches, precision, validation");
  f.section("optimizer", optimizer, "How weights are updated");
  f.section("scheduler", scheduler, "Learning rate over the run");
  f.section("checkpoint", checkpoint, "What is saved, and what a run continues from");
  f.section("logging", logging, "Log lines and metrics");
  f.section("generation", generation, "Defaults for generate");
  f.section("distributed", distributed, "One process, so far");
}

void RunConfig::fields(Fields& f) {
  sections(f);
  f.cross_check("training.objective", [this, &f, defaults = texts_of(f)] {
    set_aside = apply_run_rules(f, *this, defaults);
    return std::string();
  });
  f.cross_check("training.max_seq_length", [this] {
    const int64_t length = training.max_seq_length.value_or(0);
    const bool fits = length <= model.max_position_embeddings || !checkpoint.model_path.empty();
    return fits ? std::string()
                : fmt::format(
                      "training.max_seq_length ({}) exceeds model.max_position_embeddings ({})",
                      length, model.max_position_embeddings);
  });
  f.cross_check("checkpoint.model_path", [this] {
    const std::string& resume = checkpoint.resume_from_checkpoint;
    const bool both = !checkpoint.model_path.empty() && resume != "auto" && resume != "never";
    return both ? std::string(
                      "--resume-from-checkpoint PATH and --model-path cannot be used together")
                : std::string();
  });
  f.cross_check("scheduler.warmup_steps", [this] {
    const int64_t warmup = scheduler.warmup_steps.value_or(0);
    const bool fits = cut_short || !training.max_steps || warmup <= *training.max_steps;
    return fits ? std::string()
                : fmt::format("scheduler.warmup_steps ({}) exceeds training.max_steps ({})", warmup,
                              *training.max_steps);
  });
}

RunConfig pretrain_defaults() {
  RunConfig config;
  config.training.max_steps.reset();
  config.optimizer.learning_rate = 1e-5;
  config.scheduler.warmup_steps.reset();
  return config;
}

RunConfig finetune_defaults() {
  RunConfig config = pretrain_defaults();
  config.training.rows = "documents";
  config.training.batch_size = 4;
  config.training.gradient_accumulation_steps = 8;
  config.training.epochs = 3;
  config.optimizer.learning_rate = 5e-6;
  config.optimizer.weight_decay = 0.1;
  config.scheduler.warmup_steps = 100;
  config.cut_short = true;  // that warm-up is shortened where the run is (training_setup.h)
  config.data.text.chat_template = "auto";
  config.data.text.train_on_prompt = false;
  config.checkpoint.model_path = "checkpoints";
  config.checkpoint.output_dir = "finetuned";
  return config;
}

}  // namespace llm
