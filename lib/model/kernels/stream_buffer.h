// Memory for long sequential reads: what weights, keys and values are streamed from.
#pragma once

#include <cstddef>

namespace llm {

/// Zeroed memory for long sequential reads: 64-byte aligned, on huge pages where it is large and
/// the system has them. Pages are taken when first touched.
class StreamBuffer {
 public:
  StreamBuffer() = default;
  explicit StreamBuffer(size_t bytes);
  StreamBuffer(StreamBuffer&& other) noexcept { swap(other); }
  StreamBuffer& operator=(StreamBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~StreamBuffer();
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void swap(StreamBuffer& other) noexcept;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  void* mapping_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace llm
