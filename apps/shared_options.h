// What every verb accepts besides its own rows.
#pragma once

#include "base/config.h"
#include "base/device.h"
#include "base/log.h"

namespace llm {

struct SharedOptions {
  RuntimeConfig runtime;
  LoggingConfig logging;

  /// Adds the rows that the verb's own struct did not declare.
  void declare_missing(Fields& fields);
};

/// Log, threads and device check from the resolved rows, whoever declared them.
void apply_shared_options(const Fields& fields);

/// Text of `llm --version`: version, commit, LibTorch, CPU, devices.
std::string version_text();

}  // namespace llm
