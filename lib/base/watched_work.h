// Work that can neither report nor be stopped: another library's training of a tokenizer.
//
// It runs on a thread of its own, while the caller's thread says that it goes on and looks for a
// request to stop. Throws what the work throws.
#pragma once

#include <functional>

#include "base/progress.h"
#include "base/signals.h"

namespace llm {

/// Returns when `work` has ended. Where `stop` asks, throws Stopped at once and leaves the work to
/// itself until the process ends: it must own all that it uses (std::shared_ptr).
void run_watched(std::function<void()> work, Progress& progress, const StopRequest& stop);

}  // namespace llm
