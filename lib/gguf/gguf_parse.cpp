// From the bytes of a GGUF file to its keys and tensors: every rule of the container.
#include "gguf/gguf_parse.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "base/wrong_content.h"

namespace llm {
namespace {

constexpr uint64_t kMostInteger = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
// What the smallest key (empty name and string value apart) and tensor info take up in a file.
constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;

}  // namespace

uint32_t gguf_type_bytes(GgufType type) {
  switch (type) {
    case GgufType::uint8:
    case GgufType::int8:
    case GgufType::boolean:
      return 1;
    case GgufType::uint16:
    case GgufType::int16:
      return 2;
    case GgufType::uint32:
    case GgufType::int32:
    case GgufType::float32:
      return 4;
    case GgufType::uint64:
    case GgufType::int64:
    case GgufType::float64:
      return 8;
    default:
      return 0;
  }
}

void GgufParser::refuse(const std::string& rule) const {
  fail(Exit::bad_input, fmt::format("{}: {}", name_, rule));
}

void GgufParser::cut_short() {
  refuse(fmt::format("is cut short: it ends in {} (byte {})", where_, file_.size()));
}

uint64_t GgufParser::number(int bytes) {
  if (left() < static_cast<uint64_t>(bytes)) {
    cut_short();
  }
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value |= static_cast<uint64_t>(std::to_integer<uint8_t>(file_[at_ + static_cast<uint64_t>(i)]))
             << (8 * i);
  }
  at_ += static_cast<uint64_t>(bytes);
  return value;
}

std::string_view GgufParser::text(uint64_t most, const char* what) {
  const uint64_t length = number(8);
  if (length > most) {
    refuse(fmt::format("{} has {} of {} bytes (limit {})", where_, what, length, most));
  }
  if (length > left()) {
    refuse(
        fmt::format("{} has {} of {} bytes, the file has {} left", where_, what, length, left()));
  }
  const std::string_view result(reinterpret_cast<const char*>(file_.data() + at_), length);
  at_ += length;
  return result;
}

std::string_view GgufParser::name_text(uint64_t most) {
  const std::string_view name = text(most, "a name");
  if (name.empty()) {
    refuse(where_ + " has an empty name");
  }
  if (!utf8::is_valid(name)) {
    refuse(where_ + " has a name that is not UTF-8");
  }
  return name;
}

GgufParser::Counts GgufParser::header() {
  where_ = "the header";
  constexpr std::string_view kMagic = "GGUF";
  const std::string_view start(reinterpret_cast<const char*>(file_.data()),
                               std::min<size_t>(file_.size(), 64));
  if (file_.empty()) {
    refuse("is empty (0 bytes)");
  }
  if (!start.starts_with(kMagic)) {
    refuse_wrong_content(start, file_.size(), name_);
    std::string bytes;
    for (size_t i = 0; i < std::min<size_t>(start.size(), 4); ++i) {
      bytes += fmt::format(" {:02x}", static_cast<uint8_t>(start[i]));
    }
    refuse(fmt::format("is not a GGUF file (starts{})", bytes));
  }
  at_ = kMagic.size();
  Counts counts;
  counts.version = static_cast<uint32_t>(number(4));
  if (counts.version != 0 && (counts.version & 0xFFFF) == 0) {
    refuse("is a big-endian GGUF file; little-endian ones are read");
  }
  if (counts.version < 2) {
    refuse(fmt::format("GGUF version {} is not supported (2 and 3 are)", counts.version));
  }
  if (counts.version > 3) {
    refuse(fmt::format("GGUF version {} is newer than this program (knows 2-3)", counts.version));
  }
  counts.tensors = number(8);
  counts.keys = number(8);
  if (counts.keys > left() / kLeastKeyBytes) {
    refuse(
        fmt::format("declares {} metadata keys, more than {} bytes can hold", counts.keys, left()));
  }
  if (counts.tensors > left() / kLeastTensorBytes) {
    refuse(fmt::format("declares {} tensors, more than {} bytes can hold", counts.tensors, left()));
  }
  return counts;
}

std::vector<GgufEntry> GgufParser::entries(uint64_t count) {
  std::vector<GgufEntry> result;
  for (uint64_t i = 0; i < count; ++i) {
    where_ = fmt::format("metadata key {} of {}", i + 1, count);
    GgufEntry entry;
    entry.key = name_text(kMaxGgufKeyBytes);
    where_ = fmt::format("key '{}'", shown_name(entry.key));
    entry.value = value(entry.key);
    result.push_back(entry);
  }
  return result;
}

GgufValue GgufParser::value(std::string_view key) {
  GgufValue result;
  result.type = result.element = static_cast<GgufType>(number(4));
  if (gguf_type_name(result.type).empty()) {
    refuse(fmt::format("key '{}': value type {} is unknown", shown_name(key),
                       static_cast<uint32_t>(result.type)));
  }
  if (result.type == GgufType::array) {
    result.element = static_cast<GgufType>(number(4));
    if (gguf_type_name(result.element).empty()) {
      refuse(fmt::format("key '{}': array element type {} is unknown", shown_name(key),
                         static_cast<uint32_t>(result.element)));
    }
    if (result.element == GgufType::array) {
      refuse(fmt::format("key '{}': arrays of arrays are not allowed", shown_name(key)));
    }
    result.count = number(8);
  }
  const uint64_t start = at_;
  skip_elements(key, result.element, result.count);
  result.bytes = file_.subspan(start, at_ - start);
  return result;
}

void GgufParser::skip_elements(std::string_view key, GgufType type, uint64_t count) {
  const uint64_t size = type == GgufType::string ? 8 : gguf_type_bytes(type);
  if (count > left() / size) {
    refuse(fmt::format("key '{}': {} element{} of {} do{} not fit in the {} bytes left",
                       shown_name(key), count, count == 1 ? "" : "s", gguf_type_name(type),
                       count == 1 ? "es" : "", left()));
  }
  if (type == GgufType::string) {
    for (uint64_t i = 0; i < count; ++i) {
      text(kMostInteger, "a string");
    }
    return;
  }
  if (type == GgufType::boolean) {
    for (uint64_t i = 0; i < count; ++i) {
      const auto byte = std::to_integer<uint8_t>(file_[at_ + i]);
      if (byte > 1) {
        refuse(fmt::format("key '{}': {} is not a boolean", shown_name(key), byte));
      }
    }
  }
  at_ += count * size;
}

std::vector<GgufTensor> GgufParser::tensors(uint64_t count, uint64_t alignment) {
  std::vector<GgufTensor> result;
  for (uint64_t i = 0; i < count; ++i) {
    where_ = fmt::format("tensor {} of {}", i + 1, count);
    result.push_back(tensor(alignment));
  }
  return result;
}

GgufTensor GgufParser::tensor(uint64_t alignment) {
  GgufTensor result;
  result.name = name_text(kMaxGgufTensorNameBytes);
  where_ = fmt::format("tensor '{}'", shown_name(result.name));
  read_shape(result);
  const auto type = static_cast<uint32_t>(number(4));
  result.format = find_block_format(type);
  if (result.format == nullptr) {
    refuse(fmt::format("{}: format {} is unknown", where_, type));
  }
  const int64_t row = result.shape.empty() ? 1 : result.shape.back();
  if (row % result.format->values != 0) {
    refuse(fmt::format("{}: rows of {} numbers do not divide into blocks of {} ({})", where_, row,
                       result.format->values, result.format->name));
  }
  result.begin = number(8);
  if (result.begin % alignment != 0) {
    refuse(fmt::format("{}: offset {} is not a multiple of the alignment {}", where_, result.begin,
                       alignment));
  }
  return result;
}

void GgufParser::read_shape(GgufTensor& tensor) {
  const uint64_t dimensions = number(4);
  if (dimensions > kMaxGgufDimensions) {
    refuse(fmt::format("{}: {} dimensions (at most {})", where_, dimensions, kMaxGgufDimensions));
  }
  uint64_t product = 1;
  bool too_large = false;
  for (uint64_t i = 0; i < dimensions; ++i) {
    const auto size = static_cast<int64_t>(number(8));
    if (size < 1) {
      refuse(fmt::format("{}: dimension {} is {}", where_, i + 1, size));
    }
    too_large = too_large || static_cast<uint64_t>(size) > kMostInteger / product;
    product *= too_large ? 1 : static_cast<uint64_t>(size);
    tensor.shape.insert(tensor.shape.begin(), size);
  }
  if (too_large) {
    refuse(fmt::format("{}: shape [{}] is too large", where_, fmt::join(tensor.shape, ",")));
  }
}

// Every block has at least as many numbers as bytes / 8, so this stays below 2^63 * 8 / values.
uint64_t GgufParser::stored_bytes(const GgufTensor& tensor) const {
  uint64_t numbers = 1;
  for (const int64_t size : tensor.shape) {
    numbers *= static_cast<uint64_t>(size);
  }
  const uint64_t blocks = numbers / tensor.format->values;
  if (blocks > kMostInteger / tensor.format->bytes) {
    refuse(fmt::format("tensor '{}': shape [{}] is too large", shown_name(tensor.name),
                       fmt::join(tensor.shape, ",")));
  }
  return blocks * tensor.format->bytes;
}

uint64_t GgufParser::place(std::vector<GgufTensor>& tensors, uint64_t alignment) const {
  const uint64_t padding = at_ % alignment == 0 ? 0 : alignment - at_ % alignment;
  if (tensors.empty()) {
    if (left() > padding) {
      refuse(fmt::format("{} extra bytes after the metadata", left()));
    }
    return std::min<uint64_t>(at_ + padding, file_.size());
  }
  if (padding > left()) {
    refuse(fmt::format("tensor '{}' begins at {}, the file has {} bytes",
                       shown_name(tensors.front().name), at_ + padding, file_.size()));
  }
  const uint64_t data_offset = at_ + padding;
  const std::span<const std::byte> data = file_.subspan(data_offset);

  std::vector<GgufTensor*> by_place;
  for (GgufTensor& tensor : tensors) {
    by_place.push_back(&tensor);
  }
  std::stable_sort(by_place.begin(), by_place.end(),
                   [](const GgufTensor* a, const GgufTensor* b) { return a->begin < b->begin; });
  uint64_t filled = 0;  // <= data.size()
  const GgufTensor* previous = nullptr;
  for (GgufTensor* tensor : by_place) {
    const uint64_t bytes = stored_bytes(*tensor);
    if (tensor->begin > data.size() || bytes > data.size() - tensor->begin) {
      refuse(fmt::format("tensor '{}' needs {} bytes at {}, data has {} bytes",
                         shown_name(tensor->name), bytes, tensor->begin, data.size()));
    }
    if (tensor->begin < filled) {
      refuse(fmt::format("tensors '{}' and '{}' overlap", shown_name(previous->name),
                         shown_name(tensor->name)));
    }
    if (tensor->begin - filled >= alignment) {
      refuse(fmt::format("bytes {}-{} belong to no tensor", filled, tensor->begin));
    }
    tensor->bytes = data.subspan(tensor->begin, bytes);
    filled = tensor->begin + bytes;
    previous = tensor;
  }
  if (data.size() - filled >= alignment) {
    refuse(fmt::format("{} extra bytes after the last tensor", data.size() - filled));
  }
  return data_offset;
}

}  // namespace llm
