// The memory of this machine.
#pragma once

#include <cstdint>

namespace llm {

/// Bytes of RAM, used or not.
int64_t total_memory_bytes();

}  // namespace llm
