// The GGUF container, written: version 3, little-endian, alignment 32; the layout is in gguf.h.
//
// Bytes depend on nothing but the metadata and the tensors: the same model gives the same file. The
// file appears whole or not at all (base/atomic_file.h). No LibTorch. Throws Error(io); Error(
// internal) for what a caller must not ask for: a name twice, too long or empty, rows that do not
// divide into blocks, a tensor of another length than announced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/block_formats.h"
#include "gguf/gguf.h"

namespace llm {

/// Metadata in the order of the calls. Each add() of a key that is there already is an error.
class GgufMetadata {
 public:
  void text(std::string_view key, std::string_view value);
  void uint32(std::string_view key, uint32_t value);
  void float32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void texts(std::string_view key, std::span<const std::string> values);
  void float32s(std::string_view key, std::span<const float> values);
  void booleans(std::string_view key, const std::vector<bool>& values);
  void uint8s(std::string_view key, std::string_view bytes);
  void int32s(std::string_view key, std::span<const int32_t> values);
  /// A value as another file has it.
  void copy(std::string_view key, const GgufValue& value);
  void append(const GgufMetadata& other);

  uint64_t size() const { return keys_.size(); }
  bool has(std::string_view key) const;
  std::string_view bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType type, uint64_t count);

  std::vector<std::string> keys_;
  std::string bytes_;
};

/// A whole file of nothing but metadata.
std::string gguf_head_bytes(const GgufMetadata& metadata);

struct GgufTensorPlan {
  std::string name;
  const BlockFormat* format = nullptr;
  std::vector<int64_t> shape;  // slowest dimension first

  uint64_t bytes() const;
};

/// Takes a part of a tensor's bytes; called once or more per tensor, in order.
using GgufSink = std::function<void(std::span<const std::byte>)>;

/// `give(i, sink)` passes the bytes of tensor i to the sink; called in order.
void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                const std::vector<GgufTensorPlan>& tensors,
                const std::function<void(size_t, const GgufSink&)>& give);

}  // namespace llm
