#include "base/system_memory.h"

#include <unistd.h>

namespace llm {

int64_t total_memory_bytes() {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

}  // namespace llm
