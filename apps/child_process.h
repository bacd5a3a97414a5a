// Runs this program again as a child, for commands that must survive what the child does.
#pragma once

#include <string>
#include <vector>

#include "base/signals.h"

namespace llm {

struct ChildEnd {
  int exit_code = 0;      // -1 where a signal ended it
  int signal_number = 0;  // 0 where it left by itself
};

/// `llm <arguments>` with stdout discarded and stderr shared; waits for its end. Throws Error(io)
/// where it cannot be started. Where `stop` asks, the child gets SIGTERM.
ChildEnd run_self(const std::vector<std::string>& arguments, const StopRequest& stop = {});

}  // namespace llm
