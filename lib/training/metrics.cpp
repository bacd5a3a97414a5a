#include "training/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/json_reader.h"
#include "base/number_text.h"
#include "training/tensorboard.h"

namespace llm {
namespace {

constexpr const char* kCsvHeader =
    "step,epoch,tokens,loss,lr,grad_norm,tokens_per_second,step_ms,mfu,peak_memory_bytes,skipped_"
    "steps,val_loss,val_perplexity,val_bits_per_byte,"
    "val_accuracy\n";

nlohmann::ordered_json to_json(const StepRecord& record) {
  nlohmann::ordered_json row;
  row["step"] = record.step;
  row["epoch"] = record.epoch;
  row["tokens"] = record.tokens;
  row["loss"] = record.loss;
  row["lr"] = record.lr;
  row["grad_norm"] = record.grad_norm;
  row["tokens_per_second"] = record.tokens_per_second;
  row["step_ms"] = record.step_ms;
  row["mfu"] = record.mfu;
  row["peak_memory_bytes"] = record.peak_memory_bytes;
  row["skipped_steps"] = record.skipped_steps;
  row["samples_per_second"] = record.samples_per_second;
  row["batches_per_second"] = record.batches_per_second;
  if (record.validation) {
    row["val_loss"] = record.validation->loss();
    row["val_perplexity"] = record.validation->perplexity();
    if (record.validation->bytes > 0) {
      row["val_bits_per_byte"] = record.validation->bits_per_byte();
    }
    row["val_accuracy"] = record.validation->accuracy();
  }
  if (!record.gradient_norms.empty()) {
    row["gradient_norms"] = record.gradient_norms;
  }
  return row;
}

std::string to_csv(const StepRecord& r) {
  std::string row = fmt::format("{},{},{},{},{},{},{},{},{},{},{}", r.step, r.epoch, r.tokens,
                                r.loss, r.lr, r.grad_norm, r.tokens_per_second, r.step_ms, r.mfu,
                                r.peak_memory_bytes, r.skipped_steps);
  if (r.validation) {
    const LossTotals& v = *r.validation;
    row += fmt::format(",{},{},{},{}\n", v.loss(), v.perplexity(),
                       v.bytes > 0 ? fmt::format("{}", v.bits_per_byte()) : "", v.accuracy());
  } else {
    row += ",,,,\n";
  }
  return row;
}

std::vector<std::pair<std::string, double>> to_scalars(const StepRecord& record) {
  std::vector<std::pair<std::string, double>> scalars = {
      {"train/loss", record.loss},
      {"train/lr", record.lr},
      {"train/grad_norm", record.grad_norm},
      {"train/epoch", record.epoch},
      {"perf/tokens_per_s", record.tokens_per_second},
      {"perf/step_ms", record.step_ms},
      {"perf/mfu", record.mfu},
      {"perf/peak_memory_bytes", static_cast<double>(record.peak_memory_bytes)},
  };
  if (record.validation) {
    scalars.emplace_back("eval/loss", record.validation->loss());
    scalars.emplace_back("eval/perplexity", record.validation->perplexity());
    scalars.emplace_back("eval/accuracy", record.validation->accuracy());
    if (record.validation->bytes > 0) {
      scalars.emplace_back("eval/bits_per_byte", record.validation->bits_per_byte());
    }
  }
  for (const auto& [group, norm] : record.gradient_norms) {
    scalars.emplace_back("gradient_norm/" + group, norm);
  }
  return scalars;
}

/// The step of a row: the number after `{"step":` or the first column. -1 for a torn row.
int64_t step_of_row(std::string_view row, std::string_view lead) {
  int64_t step = -1;
  if (row.starts_with(lead)) {
    row.remove_prefix(lead.size());
    std::from_chars(row.data(), row.data() + row.size(), step);
  }
  return step;
}

/// Keeps the whole rows up to a step: a run that was killed may have written more, or half a row.
void keep_rows_up_to(const std::filesystem::path& file, int64_t last_step, std::string_view lead,
                     std::string_view header) {
  if (!std::filesystem::exists(file)) {
    return;
  }
  const std::string content = read_file(file);
  std::string kept(header);
  for (size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string_view row(content.data() + begin, end - begin);
    const int64_t step = step_of_row(row, lead);
    if (step > 0 && step <= last_step) {
      kept.append(row).push_back('\n');
    }
  }
  if (kept != content) {
    write_file_atomically(file, kept);
  }
}

}  // namespace

std::string step_line(const StepRecord& record, int64_t total_steps,
                      std::optional<double> last_validation_loss, double eta_seconds) {
  std::string line = fmt::format(
      "step {}/{} ({:.1f}%) | loss {:.4f}", record.step, total_steps,
      100.0 * static_cast<double>(record.step) / static_cast<double>(total_steps), record.loss);
  if (last_validation_loss) {
    line += fmt::format(" | val {:.2f}", *last_validation_loss);
  }
  line += fmt::format(" | lr {:.1e} | grad {:.2f} | {} tok/s | {:.0f} ms | mem {} | eta {}",
                      record.lr, record.grad_norm,
                      format_count(static_cast<int64_t>(std::llround(record.tokens_per_second))),
                      record.step_ms, human_bytes(static_cast<uint64_t>(record.peak_memory_bytes)),
                      human_duration(eta_seconds));
  return line;
}

MetricsWriter::MetricsWriter(std::filesystem::path run, const MetricsConfig& config,
                             int64_t resumed_step) {
  const auto jsonl = run / "metrics.jsonl";
  const auto csv = run / "metrics.csv";
  keep_rows_up_to(jsonl, resumed_step, "{\"step\":", {});
  jsonl_ = OutputFile::append_to(jsonl);
  if (config.csv) {
    keep_rows_up_to(csv, resumed_step, {}, kCsvHeader);
    const bool fresh = !std::filesystem::exists(csv);
    csv_ = OutputFile::append_to(csv);
    if (fresh) {
      csv_.write(kCsvHeader);
    }
  }
  if (config.tensorboard) {
    events_ = std::make_unique<TensorBoardWriter>(run, resumed_step > 0 ? resumed_step + 1 : 0);
  }
}

MetricsWriter::~MetricsWriter() = default;

void MetricsWriter::write(const StepRecord& record) {
  jsonl_.write(to_json(record).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
               '\n');
  if (csv_.is_open()) {
    csv_.write(to_csv(record));
  }
  if (events_) {
    events_->write_scalars(record.step, to_scalars(record));
  }
}

int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) {
      const size_t digits = line.find_first_of("0123456789");
      int64_t kilobytes = 0;
      std::from_chars(line.data() + std::min(digits, line.size()), line.data() + line.size(),
                      kilobytes);
      return kilobytes * 1024;
    }
  }
  return 0;
}

GradientHealth judge_gradients(const std::map<std::string, double>& norms) {
  GradientHealth health;
  std::vector<double> sorted;
  for (const auto& [group, norm] : norms) {
    sorted.push_back(norm);
  }
  if (sorted.empty()) {
    return health;
  }
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  for (const auto& [group, norm] : norms) {
    if (!(norm <= kExplodingRatio * median) || !(norm <= kExplodingNorm)) {
      health.exploding.push_back(group);
    } else if (norm < median / kVanishingRatio || norm < kVanishingNorm) {
      health.vanishing.push_back(group);
    }
  }
  return health;
}

}  // namespace llm
