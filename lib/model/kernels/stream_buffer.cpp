#include "model/kernels/stream_buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

namespace llm {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

}  // namespace

StreamBuffer::StreamBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePageBytes;
  mapped_ = huge ? bytes + kHugePageBytes : bytes;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw std::bad_alloc();
  }
  data_ = static_cast<std::byte*>(mapping_);
  if (!huge) return;
  data_ += (kHugePageBytes - reinterpret_cast<uintptr_t>(data_) % kHugePageBytes) % kHugePageBytes;
  madvise(data_, bytes, MADV_HUGEPAGE);
}

StreamBuffer::~StreamBuffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

void StreamBuffer::swap(StreamBuffer& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
}

}  // namespace llm
