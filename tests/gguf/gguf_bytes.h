// GGUF files by hand, right or wrong: what no writer would write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

inline std::string le(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) {
    out += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  return out;
}

inline std::string gguf_text(std::string_view text) {
  return le(text.size(), 8) + std::string(text);
}

/// A key with a value of any type number, already encoded.
inline std::string gguf_key(std::string_view key, uint32_t type, const std::string& value) {
  return gguf_text(key) + le(type, 4) + value;
}

inline std::string gguf_array(uint32_t type, uint64_t count, const std::string& elements) {
  return le(type, 4) + le(count, 8) + elements;
}

/// Sizes fastest first, as the file has them.
inline std::string gguf_tensor(std::string_view name, const std::vector<uint64_t>& sizes,
                               uint32_t format, uint64_t offset) {
  std::string out = gguf_text(name) + le(sizes.size(), 4);
  for (const uint64_t size : sizes) {
    out += le(size, 8);
  }
  return out + le(format, 4) + le(offset, 8);
}

struct GgufParts {
  std::vector<std::string> keys{}, tensors{};
  uint64_t data_bytes = 0;
  uint64_t alignment = 32;
  uint32_t version = 3;
  std::string magic = "GGUF";
  uint64_t stated_tensors = UINT64_MAX, stated_keys = UINT64_MAX;  // default: the true ones

  std::string file() const {
    std::string out = magic + le(version, 4) +
                      le(stated_tensors == UINT64_MAX ? tensors.size() : stated_tensors, 8) +
                      le(stated_keys == UINT64_MAX ? keys.size() : stated_keys, 8);
    for (const std::string& key : keys) {
      out += key;
    }
    for (const std::string& tensor : tensors) {
      out += tensor;
    }
    if (data_bytes > 0) {
      out.append((alignment - out.size() % alignment) % alignment, '\0');
      out.append(data_bytes, '\7');
    }
    return out;
  }
};

}  // namespace llm
