#include "base/system_memory.h"

#include <unistd.h>

#include <algorithm>

#include "base/control_group.h"

namespace llm {

int64_t usable_memory_bytes() {
  const auto there = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::min(there, control_group_limits().memory_bytes.value_or(there));
}

}  // namespace llm
