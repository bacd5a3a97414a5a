// Where a run's numbers go: one log line, metrics.jsonl, metrics.csv and TensorBoard events, all
// from one record per logged step.
//
// Keys: step epoch tokens loss lr grad_norm tokens_per_second step_ms mfu peak_memory_bytes
// skipped_steps samples_per_second batches_per_second; on evaluation steps val_loss val_perplexity
// val_bits_per_byte val_accuracy, with training.eval_length_factor above 1 also val_long_loss
// val_long_perplexity. They are the keys of metrics.jsonl, the columns of metrics.csv
// (empty where there was no validation) and, with --log-format json, of the log line; metrics.jsonl
// alone holds gradient_norms {group: norm} at gradient-norm steps. mfu is the
// share of a matrix-product speed measured when the run started. Rows after the step a run resumes
// from are dropped, so the files read as if it had never been interrupted; TensorBoard gets a new
// file. Owned by the trainer, used from one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_io.h"
#include "base/log.h"
#include "training/loss.h"
#include "training/training_config.h"

namespace llm {

class TensorBoardWriter;

struct StepRecord {
  int64_t step = 0;  // steps done
  double epoch = 0;
  int64_t tokens = 0;
  double loss = 0;
  double lr = 0;
  double grad_norm = 0;
  double tokens_per_second = 0;
  double step_ms = 0;
  double samples_per_second = 0;
  double batches_per_second = 0;  // micro-batches
  double mfu = 0;
  int64_t peak_memory_bytes = 0;
  int64_t skipped_steps = 0;
  std::optional<LossTotals> validation;
  std::optional<LossTotals> long_validation;  // on longer rows than those of training
  std::map<std::string, double> gradient_norms;
};

/// A record's numbers under their keys, in the order of the files.
std::vector<LogField> fields_of(const StepRecord& record);

/// `step 420/5000 (8.4%) | loss 3.1234 | val 3.20 | lr 3.0e-04 | grad 0.91 | 76,000 tok/s | 214 ms
/// | mem 1.9 GiB | eta 16m`
std::string step_line(const StepRecord& record, int64_t total_steps,
                      std::optional<double> last_validation_loss, double eta_seconds);

class MetricsWriter {
 public:
  /// `resumed_step` 0 for a new run.
  MetricsWriter(std::filesystem::path run, const MetricsConfig& config, int64_t resumed_step);
  ~MetricsWriter();
  /// Throws Error(io) where a row cannot be written.
  void write(const StepRecord& record);
  /// Puts what was written on the disk, steps that were skipped too: before a checkpoint counts, so
  /// that a resume from it finds its rows. Throws Error(io).
  void sync();

 private:
  std::filesystem::path skipped_steps_;  // of the trainer, which opens it when there is one
  OutputFile jsonl_;
  OutputFile csv_;
  std::unique_ptr<TensorBoardWriter> events_;
};

/// Groups of parameters whose gradient is out of proportion: above 1000 (or not finite, or 1000
/// times the median group) exploding, below 1e-10 (or a millionth of the median) vanishing.
inline constexpr double kExplodingNorm = 1000, kExplodingRatio = 1000;
inline constexpr double kVanishingNorm = 1e-10, kVanishingRatio = 1e6;
struct GradientHealth {
  std::vector<std::string> exploding, vanishing;
};
GradientHealth judge_gradients(const std::map<std::string, double>& norms);

/// Peak resident memory of this process (VmHWM), bytes.
int64_t peak_memory_bytes();

}  // namespace llm
