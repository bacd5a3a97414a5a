// Writing GGUF files: metadata, tensor infos, aligned data.
#include "gguf/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"

namespace llm {
namespace {

constexpr uint64_t kAlignment = 32;

void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    out += static_cast<char>(value >> (8 * i) & 0xFF);
  }
}

void put_text(std::string& out, std::string_view text) {
  put(out, text.size(), 8);
  out += text;
}

uint64_t padding_after(uint64_t bytes) { return (kAlignment - bytes % kAlignment) % kAlignment; }

std::string start_of_file(const GgufMetadata& metadata, uint64_t tensors) {
  std::string head = "GGUF";
  put(head, 3, 4);
  put(head, tensors, 8);
  put(head, metadata.size(), 8);
  return head.append(metadata.bytes());
}

std::string tensor_infos(const std::vector<GgufTensorPlan>& tensors) {
  std::string out;
  uint64_t offset = 0;
  std::set<std::string_view> names;
  for (const GgufTensorPlan& tensor : tensors) {
    if (tensor.name.empty() || tensor.name.size() >= kMaxGgufTensorNameBytes ||
        !names.insert(tensor.name).second || tensor.shape.size() > kMaxGgufDimensions ||
        (!tensor.shape.empty() && tensor.shape.back() % tensor.format->values != 0)) {
      fail(Exit::internal, fmt::format("GGUF cannot hold the tensor '{}'", tensor.name));
    }
    put_text(out, tensor.name);
    put(out, tensor.shape.size(), 4);
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
      put(out, static_cast<uint64_t>(*size), 8);
    }
    put(out, static_cast<uint32_t>(tensor.format->type), 4);
    put(out, offset, 8);
    offset += tensor.bytes() + padding_after(tensor.bytes());
  }
  return out;
}

}  // namespace

bool GgufMetadata::has(std::string_view key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

void GgufMetadata::begin(std::string_view key, GgufType type) {
  if (key.empty() || key.size() > kMaxGgufKeyBytes || has(key)) {
    fail(Exit::internal, fmt::format("GGUF cannot hold the key '{}' here", key));
  }
  keys_.emplace_back(key);
  put_text(bytes_, key);
  put(bytes_, static_cast<uint32_t>(type), 4);
}

void GgufMetadata::begin_array(std::string_view key, GgufType type, uint64_t count) {
  begin(key, GgufType::array);
  put(bytes_, static_cast<uint32_t>(type), 4);
  put(bytes_, count, 8);
}

void GgufMetadata::text(std::string_view key, std::string_view value) {
  begin(key, GgufType::string);
  put_text(bytes_, value);
}

void GgufMetadata::uint32(std::string_view key, uint32_t value) {
  begin(key, GgufType::uint32);
  put(bytes_, value, 4);
}

void GgufMetadata::float32(std::string_view key, float value) {
  begin(key, GgufType::float32);
  put(bytes_, std::bit_cast<uint32_t>(value), 4);
}

void GgufMetadata::boolean(std::string_view key, bool value) {
  begin(key, GgufType::boolean);
  put(bytes_, value ? 1 : 0, 1);
}

void GgufMetadata::texts(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::string, values.size());
  for (const std::string& value : values) {
    put_text(bytes_, value);
  }
}

void GgufMetadata::float32s(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::float32, values.size());
  for (const float value : values) {
    put(bytes_, std::bit_cast<uint32_t>(value), 4);
  }
}

void GgufMetadata::int32s(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::int32, values.size());
  for (const int32_t value : values) {
    put(bytes_, static_cast<uint32_t>(value), 4);
  }
}

void GgufMetadata::uint8s(std::string_view key, std::string_view bytes) {
  begin_array(key, GgufType::uint8, bytes.size());
  bytes_ += bytes;
}

void GgufMetadata::booleans(std::string_view key, const std::vector<bool>& values) {
  begin_array(key, GgufType::boolean, values.size());
  for (const bool value : values) {
    put(bytes_, value ? 1 : 0, 1);
  }
}

void GgufMetadata::append(const GgufMetadata& other) {
  for (const std::string& key : other.keys_) {
    if (has(key)) {
      fail(Exit::internal, fmt::format("GGUF cannot hold the key '{}' here", key));
    }
    keys_.push_back(key);
  }
  bytes_ += other.bytes_;
}

void GgufMetadata::copy(std::string_view key, const GgufValue& value) {
  if (value.type == GgufType::array) {
    begin_array(key, value.element, value.count);
  } else {
    begin(key, value.type);
  }
  bytes_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

std::string gguf_head_bytes(const GgufMetadata& metadata) { return start_of_file(metadata, 0); }

uint64_t GgufTensorPlan::bytes() const {
  uint64_t numbers = 1;
  for (const int64_t size : shape) {
    numbers *= static_cast<uint64_t>(size);
  }
  return numbers / format->values * format->bytes;
}

void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                const std::vector<GgufTensorPlan>& tensors,
                const std::function<void(size_t, const GgufSink&)>& give) {
  std::string head = start_of_file(metadata, tensors.size());
  head += tensor_infos(tensors);
  head.append(padding_after(head.size()), '\0');

  uint64_t total = head.size();
  for (const GgufTensorPlan& tensor : tensors) {
    total += tensor.bytes() + padding_after(tensor.bytes());
  }
  check_free_space(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."), total);
  AtomicFile file(path);
  file.write(head);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t start = file.bytes_written();
    give(i, [&](std::span<const std::byte> part) { file.write(part); });
    const uint64_t written = file.bytes_written() - start;
    if (written != tensors[i].bytes()) {
      fail(Exit::internal, fmt::format("GGUF tensor '{}': {} bytes given, {} announced",
                                       tensors[i].name, written, tensors[i].bytes()));
    }
    file.write(std::string(padding_after(written), '\0'));
  }
  file.commit();
}

}  // namespace llm
