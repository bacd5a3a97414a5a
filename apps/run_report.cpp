#include "apps/run_report.h"

#include <fmt/format.h>

#include "apps/shell_word.h"
#include "base/number_text.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// In the place of a verb that writes, which a model that looks both ways does not.
constexpr const char* kLookBothWays = "llm inspect {} --tokens \"Once\" --logits 3";

/// What a command with this config needs to go on with the run where it has come to.
std::string resuming_options(const CheckpointConfig& config) {
  if (config.resume_from_checkpoint == "auto") return "";
  return fmt::format(" --resume-from-checkpoint auto{}{}",
                     config.reset_optimizer ? " --reset-optimizer false" : "",
                     config.allow_data_change ? " --allow-data-change false" : "");
}

/// What to try next, as a shell takes it. More steps are of no use where more had brought no gain.
std::string next_commands(const fs::path& run, const TrainingResult& result,
                          const std::string& next, const std::string& resuming) {
  const std::string name = shell_word(run.string());
  std::string text = fmt::format("Next:\n  {}\n  llm inspect {} --plot loss.svg\n",
                                 fmt::format(fmt::runtime(next), name), name);
  if (result.reason == StopReason::finished) {
    text +=
        fmt::format("  llm pretrain --config {} --output-dir {} --max-steps {}{}\n",
                    shell_word((run / "config.yaml").string()), name, 2 * result.steps, resuming);
  }
  return text;
}

}  // namespace

std::string training_report(const RunConfig& config, const fs::path& run,
                            const TrainingResult& result, const RunData& data,
                            const std::string& next) {
  const TrainingConfig& training = config.training;
  std::string text = fmt::format(
      "Trained {} steps on {} tokens{}\n", format_count(result.steps), format_count(result.tokens),
      result.loss ? fmt::format("; last loss {:.4f}", *result.loss) : "");
  if (result.validation) {
    const LossTotals& v = *result.validation;
    text += fmt::format(
        "Validation loss {:.4f} nats per token (perplexity {:.2f}, {:.4f} bits per byte, "
        "next-token accuracy {:.1f} %)\n",
        v.loss(), v.perplexity(), v.bits_per_byte(), 100 * v.accuracy());
    if (result.long_validation) {
      text += fmt::format(
          "On rows {} times as long ({} tokens): {:.4f} nats per token (perplexity {:.2f})\n",
          training.eval_length_factor, training.eval_length_factor * *training.max_seq_length,
          result.long_validation->loss(), result.long_validation->perplexity());
    }
    if (data.entropy_nats_per_token > 0) {
      text += fmt::format(
          "Exact entropy of the built-in stories: {:.4f} nats per token; no model can do better\n",
          data.entropy_nats_per_token);
    }
  }
  return text + fmt::format("Model: {}\n", (run / "final").string()) +
         next_commands(run, result, config.model.use_bidirectional_attention ? kLookBothWays : next,
                       resuming_options(config.checkpoint));
}

}  // namespace llm
