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
constexpr size_t kSmallest = 32 << 10;  // below this malloc is quick and its pages stay
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
  std::array<std::vector<void*>, kClasses> blocks;
  std::atomic<int64_t> in_use{0}, peak{0}, cached{0}, fresh{0};
};

// Never destroyed: tensors may outlive static destructors.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

// Before each block lies its size; LibTorch's raw allocation wants the context of a block to be its
// address.
struct Header {
  size_t bytes;  // of the block, this header included
};
static_assert(sizeof(Header) <= kAlignment);

Header* header_of(void* data) {
  return reinterpret_cast<Header*>(static_cast<char*>(data) - kAlignment);
}

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

void release(void* data) {
  if (data == nullptr) {
    return;
  }
  Header* header = header_of(data);
  const size_t bytes = header->bytes;
  account(-static_cast<int64_t>(bytes));
  if (bytes < kSmallest) {
    std::free(header);
    return;
  }
  std::lock_guard lock(pool().mutex);
  pool().blocks[class_of(bytes)].push_back(header);
  pool().cached += static_cast<int64_t>(bytes);
}

class CachingAllocator final : public c10::Allocator {
 public:
  at::DataPtr allocate(size_t requested) override {
    if (requested == 0) {
      return {nullptr, nullptr, &release, at::Device(at::kCPU)};
    }
    const size_t bytes = requested + kAlignment < kSmallest ? requested + kAlignment
                                                            : rounded(requested + kAlignment);
    void* block = bytes < kSmallest ? nullptr : reuse(bytes);
    if (block == nullptr) {
      block = fresh(bytes);
      pool().fresh += bytes < kSmallest ? 0 : static_cast<int64_t>(bytes);
    }
    static_cast<Header*>(block)->bytes = bytes;
    account(static_cast<int64_t>(bytes));
    void* data = static_cast<char*>(block) + kAlignment;
    return {data, data, &release, at::Device(at::kCPU)};
  }

  at::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* destination, const void* source, size_t bytes) const override {
    default_copy_data(destination, source, bytes);
  }

 private:
  static void* reuse(size_t bytes) {
    std::lock_guard lock(pool().mutex);
    auto& list = pool().blocks[class_of(bytes)];
    if (list.empty()) {
      return nullptr;
    }
    void* block = list.back();
    list.pop_back();
    pool().cached -= static_cast<int64_t>(bytes);
    return block;
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

CpuMemory cpu_memory() {
  return {pool().in_use.load(), pool().peak.load(), pool().cached.load(), pool().fresh.load()};
}

void reset_peak_cpu_memory() { pool().peak.store(pool().in_use.load()); }

}  // namespace llm
