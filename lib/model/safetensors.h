// The safetensors container, https://github.com/huggingface/safetensors: an 8-byte little-endian
// header length, a JSON header, tensor bytes.
//
// The parser trusts nothing: no allocation larger than the file, every byte of the buffer belongs
// to exactly one tensor, all arithmetic is checked. Errors are Error(bad_input) "<file>: <rule>".
// No LibTorch, so that the fuzz target builds in seconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/encryption_key.h"

namespace llm {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;           // "F32", "BF16", ...
  std::vector<int64_t> shape;  // empty: one number
  uint64_t begin = 0;          // bytes from the start of the tensor data
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  // by offset
  std::map<std::string, std::string> metadata;
  uint64_t data_offset = 0;  // from the start of the file
  const SafetensorsEntry* find(std::string_view name) const;
};

/// Bits per element, or 0 for an unknown name.
int safetensors_dtype_bits(std::string_view dtype);

/// Checks the whole file's structure. `source_name` is what messages call it.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file,
                                    const std::string& source_name);

/// model.safetensors.index.json: tensor name -> shard file name, each a plain file name. Text is
/// the file's content.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source_name);

struct SafetensorsSource {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};
struct SafetensorsPlan {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
};
/// The bytes of plan[index], good until the next call: only one tensor need exist at a time.
using SafetensorsBytes = std::function<std::span<const std::byte>(size_t index)>;

/// Writes atomically (temporary file, fsync, rename). Tensors are laid out in the given order, the
/// header is padded with spaces so that data starts at a multiple of 64 bytes; metadata gets
/// "format": "pt" unless given. With a key the file is sealed (sealed_file.h). Throws Error(io).
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<SafetensorsSource>& tensors,
                       std::map<std::string, std::string> metadata = {},
                       const EncryptionKey& key = {});
void write_safetensors(const std::filesystem::path& path, const std::vector<SafetensorsPlan>& plan,
                       const SafetensorsBytes& bytes_of,
                       std::map<std::string, std::string> metadata = {},
                       const EncryptionKey& key = {});

}  // namespace llm
