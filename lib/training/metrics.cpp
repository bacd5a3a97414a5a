#include "training/metrics.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
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

/// The columns of metrics.csv; a row lacks those of a validation that did not take place.
constexpr std::array kColumns = {"step",
                                 "epoch",
                                 "tokens",
                                 "loss",
                                 "lr",
                                 "grad_norm",
                                 "tokens_per_second",
                                 "step_ms",
                                 "mfu",
                                 "peak_memory_bytes",
                                 "skipped_steps",
                                 "samples_per_second",
                                 "batches_per_second",
                                 "val_loss",
                                 "val_perplexity",
                                 "val_bits_per_byte",
                                 "val_accuracy",
                                 "val_long_loss",
                                 "val_long_perplexity"};

std::string csv_header() { return fmt::format("{}\n", fmt::join(kColumns, ",")); }

nlohmann::ordered_json to_json(const StepRecord& record) {
  nlohmann::ordered_json row;
  for (const LogField& field : fields_of(record)) {
    std::visit([&](const auto& value) { row[std::string(field.key)] = value; }, field.value);
  }
  if (!record.gradient_norms.empty()) {
    row["gradient_norms"] = record.gradient_norms;
  }
  return row;
}

template <typename T>
std::string cell(const T& value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return "";
  }
  return fmt::format("{}", value);
}

std::string to_csv(const StepRecord& record) {
  std::string row;
  const std::vector<LogField> fields = fields_of(record);
  for (const char* column : kColumns) {
    row += row.empty() ? "" : ",";
    for (const LogField& field : fields) {
      if (field.key == column) {
        std::visit([&](const auto& value) { row += cell(value); }, field.value);
      }
    }
  }
  return row + "\n";
}

std::vector<std::pair<std::string, double>> to_scalars(const StepRecord& record) {
  std::vector<std::pair<std::string, double>> scalars = {
      {"train/loss", record.loss},
      {"train/lr", record.lr},
      {"train/grad_norm", record.grad_norm},
      {"train/epoch", record.epoch},
      {"perf/tokens_per_s", record.tokens_per_second},
      {"perf/samples_per_s", record.samples_per_second},
      {"perf/batches_per_s", record.batches_per_second},
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
  if (record.long_validation) {
    scalars.emplace_back("eval/long_loss", record.long_validation->loss());
    scalars.emplace_back("eval/long_perplexity", record.long_validation->perplexity());
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

std::vector<LogField> fields_of(const StepRecord& r) {
  std::vector<LogField> fields = {{"step", r.step},
                                  {"epoch", r.epoch},
                                  {"tokens", r.tokens},
                                  {"loss", r.loss},
                                  {"lr", r.lr},
                                  {"grad_norm", r.grad_norm},
                                  {"tokens_per_second", r.tokens_per_second},
                                  {"step_ms", r.step_ms},
                                  {"mfu", r.mfu},
                                  {"peak_memory_bytes", r.peak_memory_bytes},
                                  {"skipped_steps", r.skipped_steps},
                                  {"samples_per_second", r.samples_per_second},
                                  {"batches_per_second", r.batches_per_second}};
  if (r.validation) {
    fields.push_back({"val_loss", r.validation->loss()});
    fields.push_back({"val_perplexity", r.validation->perplexity()});
    if (r.validation->bytes > 0) {
      fields.push_back({"val_bits_per_byte", r.validation->bits_per_byte()});
    }
    fields.push_back({"val_accuracy", r.validation->accuracy()});
  }
  if (r.long_validation) {
    fields.push_back({"val_long_loss", r.long_validation->loss()});
    fields.push_back({"val_long_perplexity", r.long_validation->perplexity()});
  }
  return fields;
}

std::string step_line(const StepRecord& record, int64_t total_steps,
                      std::optional<double> last_validation_loss, double eta_seconds) {
  std::string line = fmt::format(
      "step {}/{} ({:.1f}%) | loss {}", record.step, total_steps,
      100.0 * static_cast<double>(record.step) / static_cast<double>(total_steps),
      std::isnan(record.loss) ? "nan" : fmt::format("{:.4f}", record.loss));  // never "-nan"
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
                             int64_t resumed_step)
    : skipped_steps_(run / "skipped_steps.jsonl") {
  const auto jsonl = run / "metrics.jsonl";
  const auto csv = run / "metrics.csv";
  constexpr std::string_view kLead = "{\"step\":";
  keep_rows_up_to(jsonl, resumed_step, kLead, {});
  keep_rows_up_to(skipped_steps_, resumed_step, kLead, {});
  jsonl_ = OutputFile::append_to(jsonl);
  if (config.csv) {
    keep_rows_up_to(csv, resumed_step, {}, csv_header());
    const bool fresh = !std::filesystem::exists(csv);
    csv_ = OutputFile::append_to(csv);
    if (fresh) {
      csv_.write(csv_header());
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

void MetricsWriter::sync() {
  jsonl_.sync();
  if (csv_.is_open()) {
    csv_.sync();
  }
  if (events_) {
    events_->sync();
  }
  if (std::filesystem::exists(skipped_steps_)) {
    sync_file(skipped_steps_);
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
