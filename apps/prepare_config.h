// What `llm prepare-data` is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/key_rules.h"
#include "base/device.h"
#include "data/data_config.h"

namespace llm {

/// The keys of a run config's data section that say what a document is; the others are for
/// training.
struct DocumentRules {
  TextConfig text;
  void fields(Fields& f);
};

struct PrepareDataConfig {
  RuntimeConfig runtime;
  std::vector<std::string> input;
  std::string tokenizer_path;
  std::string output = "data/preprocessed/train";
  std::optional<int64_t> workers;
  std::string verify;
  std::string info;
  DocumentRules data;

  void fields(Fields& f);
  static const std::vector<KeyRule<PrepareDataConfig>>& rules();

  /// The format, or the names of all files, say that they hold rows of JSON.
  bool reads_rows() const { return holds(true); }
  /// The same of plain text.
  bool reads_text() const { return holds(false); }

 private:
  bool holds(bool rows) const;
};

}  // namespace llm
