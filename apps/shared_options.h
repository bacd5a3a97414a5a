// What every verb accepts besides its own rows.
#pragma once

#include <string>
#include <string_view>

#include "base/config.h"
#include "base/device.h"
#include "base/encryption_key.h"
#include "base/log.h"

namespace llm {

struct SharedOptions {
  RuntimeConfig runtime;
  LoggingConfig logging;

  /// Adds the rows that the verb's own struct did not declare.
  void declare_missing(Fields& fields);
};

/// Log and device check from the resolved rows, whoever declared them. (Threads are set where
/// LibTorch is: apps/torch_side.h.) Without `computes_here` the device may be one of elsewhere.
void apply_shared_options(const Fields& fields, bool computes_here = true);

/// The text of a resolved row; empty where there is none.
std::string shared_value(const Fields& fields, std::string_view path);

/// What --encryption-key-file names; none where it is not given.
EncryptionKey shared_key(const Fields& fields);

}  // namespace llm
