// The half of the program that computes with LibTorch, in a library of its own
// (libllm_torch_commands.so), which is loaded when a verb asks for it: LibTorch takes some 0.15 s
// to start. Verbs without tensors never wait for that, and `generate` not for models that run
// packed (serving/load_token_model.h loads LibTorch for the others).
//
// Which half a source of apps/ belongs to is decided by its includes (cmake/unity.cmake).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/command.h"

namespace llm {

struct TorchSide {
  /// The verbs that need LibTorch from their first step on.
  std::vector<Command> (*commands)();
  /// Throws Error(usage) where this build or host lacks the device.
  void (*check_device)(std::string_view device);
  /// Text of `llm --version`: version, commit, LibTorch, CPU, devices.
  std::string (*version_text)();
};

/// Loads it at the first call; later ones cost nothing. Throws Error(internal) where the library or
/// LibTorch is missing.
const TorchSide& torch_side();

}  // namespace llm
