// The memory of this machine.
#pragma once

#include <cstdint>

namespace llm {

/// Bytes of RAM that this process may ever have, used or not: all there is, or what its control
/// groups allow (a container's limit).
int64_t usable_memory_bytes();

}  // namespace llm
