// The checked walk through a GGUF file's bytes; used by gguf.cpp alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"

namespace llm {

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {}

  struct Counts {
    uint32_t version = 0;
    uint64_t tensors = 0, keys = 0;
  };
  Counts header();
  std::vector<GgufEntry> entries(uint64_t count);
  /// Offsets are checked against `alignment` alone; places come later.
  std::vector<GgufTensor> tensors(uint64_t count, uint64_t alignment);
  /// Gives every tensor its bytes. The data begins at the next multiple of `alignment`; returns
  /// where.
  uint64_t place(std::vector<GgufTensor>& tensors, uint64_t alignment) const;

 private:
  [[noreturn]] void refuse(const std::string& rule) const;
  [[noreturn]] void cut_short();
  uint64_t left() const { return file_.size() - at_; }
  uint64_t number(int bytes);
  std::string_view text(uint64_t most, const char* what);
  std::string_view name_text(uint64_t most);
  GgufValue value(std::string_view key);
  void skip_elements(std::string_view key, GgufType type, uint64_t count);
  GgufTensor tensor(uint64_t alignment);
  void read_shape(GgufTensor& tensor);
  uint64_t stored_bytes(const GgufTensor& tensor) const;

  std::span<const std::byte> file_;
  const std::string& name_;
  uint64_t at_ = 0;
  std::string where_;  // "metadata key 3 of 12"
};

/// Bytes of an element, 0 for strings, arrays and unknown types.
uint32_t gguf_type_bytes(GgufType type);

}  // namespace llm
