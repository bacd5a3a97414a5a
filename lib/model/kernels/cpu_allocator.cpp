#include "model/kernels/cpu_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace llm {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmallest = 32 << 10;      // below this malloc is quick and its pages stay
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int kClasses = 256;

// Four classes per power of two: at most a quarter of a block is slack.
size_t rounded(size_t bytes) {
  const int power = std::bit_width(bytes - 1);
  const size_t step = size_t{1} << (power - 3);
  return (bytes + step - 1) / step * step;
}

int class_of(size_t rounded_bytes) {
  const int power = std::bit_width(rounded_bytes - 1);
  const size_t step = size_t{1} << (power - 3);
  return power * 4 + static_cast<int>(rounded_bytes / step) - 5;
}

struct Pool {
  std::mutex mutex;
  std::array<std::vector<void*>, kClasses> free;
  std::atomic<int64_t> in_use{0}, peak{0}, cached{0};
};

// Never destroyed: tensors may outlive static destructors.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

struct Block {
  void* pointer;
  size_t bytes;
};

void account(int64_t bytes) {
  const int64_t now = pool().in_use.fetch_add(bytes) + bytes;
  int64_t peak = pool().peak.load();
  while (now > peak && !pool().peak.compare_exchange_weak(peak, now)) {
  }
}

void* fresh(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* pointer = nullptr;
  if (posix_memalign(&pointer, alignment, (bytes + alignment - 1) / alignment * alignment) != 0) {
    throw std::bad_alloc();
  }
  if (bytes >= kHugePage) {
    madvise(pointer, bytes, MADV_HUGEPAGE);
  }
  return pointer;
}

void release(void* context) {
  Block* block = static_cast<Block*>(context);
  account(-static_cast<int64_t>(block->bytes));
  if (block->bytes < kSmallest) {
    std::free(block->pointer);
  } else {
    std::lock_guard lock(pool().mutex);
    pool().free[class_of(block->bytes)].push_back(block->pointer);
    pool().cached += static_cast<int64_t>(block->bytes);
  }
  delete block;
}

class CachingAllocator final : public c10::Allocator {
 public:
  at::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) {
      return {nullptr, nullptr, &release, at::Device(at::kCPU)};
    }
    const size_t size = bytes < kSmallest ? bytes : rounded(bytes);
    void* pointer = size < kSmallest ? nullptr : reuse(size);
    if (pointer == nullptr) {
      pointer = fresh(size);
    }
    account(static_cast<int64_t>(size));
    return {pointer, new Block{pointer, size}, &release, at::Device(at::kCPU)};
  }

  void copy_data(void* destination, const void* source, size_t bytes) const override { default_copy_data(destination, source, bytes); }

 private:
  static void* reuse(size_t size) {
    std::lock_guard lock(pool().mutex);
    auto& list = pool().free[class_of(size)];
    if (list.empty()) {
      return nullptr;
    }
    void* pointer = list.back();
    list.pop_back();
    pool().cached -= static_cast<int64_t>(size);
    return pointer;
  }
};

}  // namespace

void install_caching_cpu_allocator() {
  static CachingAllocator allocator;
  static const bool installed = [] {
    c10::SetCPUAllocator(&allocator, /*priority=*/1);
    return true;
  }();
  static_cast<void>(installed);
}

CpuMemory cpu_memory() { return {pool().in_use.load(), pool().peak.load(), pool().cached.load()}; }

void reset_peak_cpu_memory() { pool().peak.store(pool().in_use.load()); }

}  // namespace llm
