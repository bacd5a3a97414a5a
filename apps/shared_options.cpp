#include "apps/shared_options.h"

#include "apps/torch_side.h"

namespace llm {
namespace {

/// What a verb has no rows for, so that every verb reads the config of a run.
void ignore_run_sections(Fields& fields) {
  fields.ignore({"model", "tokenizer", "data", "training", "optimizer", "scheduler", "checkpoint",
                 "generation", "distributed", "serving", "inference"});
  fields.ignore({"logging.logging_steps", "logging.log_steps", "logging.gradient_norm_steps",
                 "logging.csv", "logging.tensorboard"});
}

}  // namespace

void SharedOptions::declare_missing(Fields& fields) {
  if (fields.find("device") == nullptr) {
    fields.section("", runtime);
  }
  if (fields.find("logging.level") == nullptr) {
    fields.section("logging", logging, "Log lines");
  }
  ignore_run_sections(fields);
  fields.show_also({"device", "dtype", "threads", "seed", "encryption_key_file", "logging.level",
                    "logging.format", "logging.quiet"});
}

std::string shared_value(const Fields& fields, std::string_view path) {
  const Field* row = fields.find(path);
  return row == nullptr ? "" : row->text();
}

EncryptionKey shared_key(const Fields& fields) {
  return read_encryption_key(shared_value(fields, "encryption_key_file"));
}

void apply_shared_options(const Fields& fields, bool computes_here) {
  configure_log({shared_value(fields, "logging.level"), shared_value(fields, "logging.format"),
                 shared_value(fields, "logging.quiet") == "true"});
  const std::string device = shared_value(fields, "device");
  if (computes_here && device != "auto" && device != "cpu") {
    torch_side().check_device(device);
  }
}

}  // namespace llm
