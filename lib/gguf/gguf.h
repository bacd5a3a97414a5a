// The GGUF container, read: typed metadata keys, then named tensors, all in one mapped file.
//
//   "GGUF" | u32 version | u64 tensors | u64 keys | keys | tensor infos | padding | tensor data
//   key         string name, u32 type, value; string = u64 length, bytes; array = u32 type, u64
//               count, elements
//   tensor info string name, u32 dimensions, u64 sizes (fastest first), u32 format, u64 offset
//
// Versions 2 and 3, little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). The
// reader trusts nothing: counts, lengths and offsets are compared with what the file holds before
// anything is allocated, products are checked, names occur once, and the tensors tile the data in
// order with no more than the alignment's padding between them. Errors are Error(bad_input)
// "<file>: <rule>". Views point into the file's bytes. Const and thread-safe; no LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "gguf/block_formats.h"

namespace llm {

enum class GgufType : uint32_t {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12,
};
/// "uint8", ..., or "" for a number that is no type.
std::string_view gguf_type_name(GgufType type);

/// A value as the file has it. `bytes` holds `count` elements one after another (strings with their
/// lengths), already checked.
struct GgufValue {
  GgufType type = GgufType::uint8;
  GgufType element = GgufType::uint8;  // of an array; otherwise = type
  uint64_t count = 1;
  std::span<const std::byte> bytes;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;
  std::vector<int64_t> shape;  // slowest dimension first: the reverse of the file's order
  const BlockFormat* format = nullptr;
  uint64_t begin = 0;  // from the start of the tensor data
  std::span<const std::byte> bytes;
};

inline constexpr size_t kMaxGgufKeyBytes = 65535;
inline constexpr size_t kMaxGgufTensorNameBytes = 64;
inline constexpr size_t kMaxGgufDimensions = 4;

class Gguf {
 public:
  /// Maps the file and checks it.
  static std::shared_ptr<const Gguf> open(const std::filesystem::path& file);
  /// `bytes` must outlive the result; `name` is what messages call the file.
  Gguf(std::span<const std::byte> bytes, std::string name);
  Gguf(const Gguf&) = delete;
  Gguf& operator=(const Gguf&) = delete;

  const std::string& name() const { return name_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  uint64_t data_offset() const { return data_offset_; }  // from the start of the file
  /// In the order of the file.
  const std::vector<GgufEntry>& entries() const { return entries_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  const GgufValue* find(std::string_view key) const;
  const GgufTensor* find_tensor(std::string_view name) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Checked access: "<file>: key 'k' is missing", "key 'k' must be a whole number, is string",
  // "key 'k' is 7, must be between 1 and 4". Any integer type does for an integer, any number for
  // a number.
  std::string_view text(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  double number(std::string_view key) const;  // finite
  bool flag(std::string_view key) const;
  std::vector<std::string_view> texts(std::string_view key) const;
  std::vector<float> numbers(std::string_view key) const;  // finite
  std::vector<int64_t> integers(std::string_view key) const;
  /// The string, or `absent` where there is no such key.
  std::string_view text_or(std::string_view key, std::string_view absent) const;
  int64_t integer_or(std::string_view key, int64_t low, int64_t high, int64_t absent) const;
  double number_or(std::string_view key, double absent) const;
  bool flag_or(std::string_view key, bool absent) const;

  /// Whole pages of these bytes of a mapped file need not stay in memory; they remain readable.
  void release(std::span<const std::byte> bytes) const;

  /// Throws Error(bad_input) "<file>: <rule>".
  [[noreturn]] void refuse(const std::string& rule) const;

 private:
  const GgufValue& at(std::string_view key) const;

  MappedFile file_;
  std::string name_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  uint64_t data_offset_ = 0;
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> keys_by_name_, tensors_by_name_;  // for look-up, sorted
};

/// True for a path that ends in ".gguf" or a file that begins with the magic.
bool is_gguf_file(const std::filesystem::path& path);

/// A name from a file as messages show it: control characters replaced, cut at 200 bytes.
std::string shown_name(std::string_view name);

}  // namespace llm
