#include "apps/run_record.h"

#include <torch/version.h>

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/version.h"

namespace llm {

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

void write_run_record(const std::filesystem::path& run, const RunRecord& record) {
  nlohmann::ordered_json j;
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
  };
  const auto number_or_null = [](const std::optional<double>& number) {
    return number && std::isfinite(*number) ? nlohmann::ordered_json(*number)
                                            : nlohmann::ordered_json(nullptr);
  };
  j["started"] = record.started;
  j["finished"] = text_or_null(record.finished);
  j["result"] = record.result;
  j["error"] = text_or_null(record.error);
  j["seed"] = record.seed;
  j["version"] = program_version();
  j["commit"] = program_commit();
  j["torch"] = TORCH_VERSION;
  j["device"] = record.device;
  j["threads"] = record.threads;
  j["precision"] = record.precision;
  j["kernels"] = record.kernels;
  j["config_sha256"] = record.identity.config_sha256;
  j["data_sha256"] = record.identity.data_sha256;
  j["validation_sha256"] = text_or_null(record.identity.validation_sha256);
  j["tokenizer_sha256"] = record.identity.tokenizer_sha256;
  j["parameters"] = record.parameters;
  j["steps"] = record.training.steps;
  j["tokens"] = record.training.tokens;
  j["skipped_steps"] = record.training.skipped_steps;
  const auto& validation = record.training.validation;
  j["final"] = {
      {"loss", number_or_null(record.training.loss)},
      {"val_loss", number_or_null(validation ? std::optional(validation->loss()) : std::nullopt)}};
  if (record.training.long_validation) {
    j["final"]["val_long_loss"] = record.training.long_validation->loss();
  }
  if (record.training.best_loss) {
    j["best"] = {{"step", record.training.best_step}, {"val_loss", *record.training.best_loss}};
  } else {
    j["best"] = nullptr;
  }
  if (record.entropy_nats_per_token > 0) {
    j["entropy_nats_per_token"] = record.entropy_nats_per_token;
  }
  j["resumed_from"] = text_or_null(record.resumed_from);
  write_file_atomically(run / "run.json", dump_json(j, 2) + "\n");
}

bool is_recorded_as_ended(const std::filesystem::path& run) {
  if (!std::filesystem::exists(run / "run.json")) return true;
  try {
    const nlohmann::json record = parse_json_file(run / "run.json");
    const std::string result = JsonView(record, "run.json").get_string("result");
    return result == "finished" || result == "early_stopping";
  } catch (const Error& error) {
    if (error.code() != Exit::bad_input) throw;
    return false;
  }
}

}  // namespace llm
