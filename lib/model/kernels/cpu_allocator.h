// A caching allocator for CPU tensors.
//
// glibc returns every block above 32 MiB to the system, and the next step pays a page fault per 4
// KiB for it again: measured, that costs more than the arithmetic of a small model. This allocator
// keeps freed blocks in size classes and asks for huge pages. Thread-safe. Blocks are 64-byte
// aligned.
#pragma once

#include <cstdint>

namespace llm {

/// Makes it LibTorch's CPU allocator for the rest of the process. Call before the first tensor;
/// later calls do nothing.
void install_caching_cpu_allocator();

struct CpuMemory {
  int64_t in_use_bytes = 0;       // handed out to tensors now
  int64_t peak_in_use_bytes = 0;  // since the last reset
  int64_t cached_bytes = 0;       // kept for reuse
  int64_t fresh_bytes = 0;  // asked of the system since the start, in blocks of 32 KiB and more:
                            // constant once a loop is warm
};
CpuMemory cpu_memory();
void reset_peak_cpu_memory();

}  // namespace llm
