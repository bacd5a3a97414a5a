#include "model/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/utf8.h"
#include "base/wrong_content.h"

namespace llm {
namespace {

using PlainJson = nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr int kMaxDepth = 8;  // a valid header needs 3
constexpr size_t kMaxDimensions = 8;

struct SafetensorsReader {
  std::string source;
  std::span<const std::byte> file;

  [[noreturn]] void refuse(const std::string& rule) const {
    fail(Exit::bad_input, source + ": " + rule);
  }

  std::string_view header_text() const;
  PlainJson header_json(std::string_view text) const;
  SafetensorsEntry entry(const std::string& name, const PlainJson& value) const;
  uint64_t offset(const std::string& name, const PlainJson& value) const;
  std::vector<int64_t> shape(const std::string& name, const PlainJson& value) const;
  uint64_t needed_bytes(const SafetensorsEntry& entry) const;
  void check_places(std::vector<SafetensorsEntry>& tensors, uint64_t data_bytes) const;
};

std::string shortened(const std::string& name) {
  return name.size() <= 200 ? name
                            : name.substr(0, utf8::valid_prefix(name.substr(0, 200))) + "...";
}

// A first walk that builds nothing and refuses what nlohmann's document parser lets pass: repeated
// keys, deep nesting.
class HeaderWalk : public nlohmann::json_sax<PlainJson> {
 public:
  explicit HeaderWalk(const SafetensorsReader& reader) : reader_(reader) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override {
    keys_.emplace_back();
    return enter();
  }
  bool end_object() override {
    keys_.pop_back();
    return --depth_ >= 0;
  }
  bool start_array(size_t) override { return enter(); }
  bool end_array() override { return --depth_ >= 0; }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      reader_.refuse(fmt::format("{} '{}' is listed twice", keys_.size() == 1 ? "tensor" : "key",
                                 shortened(name)));
    }
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool enter() {
    if (++depth_ > kMaxDepth) {
      reader_.refuse("header nesting too deep");
    }
    return true;
  }
  const SafetensorsReader& reader_;
  int depth_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

std::string_view SafetensorsReader::header_text() const {
  if (file.size() < 8) {
    refuse(fmt::format("too small ({} bytes)", file.size()));
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) {
    length = length << 8 | static_cast<uint64_t>(file[static_cast<size_t>(i)]);
  }
  if (length > kMaxHeaderBytes) {
    const size_t some = std::min<size_t>(file.size(), 200);
    refuse_wrong_content({reinterpret_cast<const char*>(file.data()), some}, file.size(), source);
    refuse(fmt::format("header length {} exceeds {}", length, kMaxHeaderBytes));
  }
  if (length > file.size() - 8) {
    refuse(fmt::format("header length {} but file has {} bytes", length, file.size()));
  }
  return {reinterpret_cast<const char*>(file.data()) + 8, static_cast<size_t>(length)};
}

PlainJson SafetensorsReader::header_json(std::string_view text) const {
  if (const auto bad = utf8::first_invalid(text)) {
    refuse(fmt::format("header is not UTF-8 (byte {})", *bad));
  }
  if (text.empty() || text.front() != '{') {
    refuse("header is not a JSON object");
  }
  text = text.substr(0, text.find_last_not_of(' ') + 1);  // the only padding the format allows
  HeaderWalk walk(*this);
  if (text.back() != '}' || !PlainJson::sax_parse(text.begin(), text.end(), &walk)) {
    refuse("header is not a JSON object");
  }
  return PlainJson::parse(text.begin(), text.end());
}

uint64_t SafetensorsReader::offset(const std::string& name, const PlainJson& value) const {
  if (!value.is_number_unsigned()) {
    refuse(fmt::format("tensor '{}': data_offsets must be two whole numbers", name));
  }
  return value.get<uint64_t>();
}

std::vector<int64_t> SafetensorsReader::shape(const std::string& name,
                                              const PlainJson& value) const {
  if (!value.is_array()) {
    refuse(fmt::format("tensor '{}': shape must be a list of whole numbers", name));
  }
  if (value.size() > kMaxDimensions) {
    refuse(fmt::format("tensor '{}': more than {} dimensions", name, kMaxDimensions));
  }
  std::vector<int64_t> shape;
  for (const PlainJson& size : value) {
    if (!size.is_number_unsigned()) {
      refuse(fmt::format("tensor '{}': shape must be a list of whole numbers", name));
    }
    if (size.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      refuse(fmt::format("tensor '{}': shape {} is too large", name, value.dump()));
    }
    shape.push_back(size.get<int64_t>());
  }
  return shape;
}

uint64_t SafetensorsReader::needed_bytes(const SafetensorsEntry& entry) const {
  uint64_t bits = static_cast<uint64_t>(safetensors_dtype_bits(entry.dtype));
  for (const int64_t size : entry.shape) {
    if (__builtin_mul_overflow(bits, static_cast<uint64_t>(size), &bits)) {
      refuse(fmt::format("tensor '{}': shape [{}] is too large", entry.name,
                         fmt::join(entry.shape, ",")));
    }
  }
  if (bits % 8 != 0) {
    refuse(fmt::format("tensor '{}': shape [{}] {} does not fill whole bytes", entry.name,
                       fmt::join(entry.shape, ","), entry.dtype));
  }
  return bits / 8;
}

SafetensorsEntry SafetensorsReader::entry(const std::string& name, const PlainJson& value) const {
  SafetensorsEntry result;
  result.name = name;
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets")) {
    refuse(fmt::format("tensor '{}': must have dtype, shape and data_offsets, nothing else", name));
  }
  const PlainJson& dtype = value["dtype"];
  if (!dtype.is_string() || safetensors_dtype_bits(dtype.get_ref<const std::string&>()) == 0) {
    refuse(fmt::format("tensor '{}': dtype {} unknown", name,
                       dtype.is_string() ? fmt::format("'{}'", dtype.get_ref<const std::string&>())
                                         : dtype.dump()));
  }
  result.dtype = dtype.get<std::string>();
  const PlainJson& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) {
    refuse(fmt::format("tensor '{}': data_offsets must be two whole numbers", name));
  }
  result.begin = offset(name, offsets[0]);
  result.end = offset(name, offsets[1]);
  result.shape = shape(name, value["shape"]);
  if (result.end < result.begin) {
    refuse(
        fmt::format("tensor '{}': offsets [{}, {}] are reversed", name, result.begin, result.end));
  }
  return result;
}

// Sorted by place, the tensors must tile the data: no overlap, no hole, no tail, each as long as
// its shape says.
void SafetensorsReader::check_places(std::vector<SafetensorsEntry>& tensors,
                                     uint64_t data_bytes) const {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t filled = 0;
  std::string previous;
  for (const SafetensorsEntry& tensor : tensors) {
    if (tensor.end > data_bytes) {
      refuse(fmt::format("tensor '{}' ends at {}, data has {} bytes", tensor.name, tensor.end,
                         data_bytes));
    }
    if (tensor.begin < filled) {
      refuse(fmt::format("tensors '{}' and '{}' overlap", previous, tensor.name));
    }
    if (tensor.begin > filled) {
      refuse(fmt::format("bytes {}-{} belong to no tensor", filled, tensor.begin));
    }
    const uint64_t needed = needed_bytes(tensor);
    if (tensor.end - tensor.begin != needed) {
      refuse(fmt::format("tensor '{}': shape [{}] {} needs {} bytes, has {}", tensor.name,
                         fmt::join(tensor.shape, ","), tensor.dtype, needed,
                         tensor.end - tensor.begin));
    }
    filled = tensor.end;
    previous = tensor.name;
  }
  if (filled != data_bytes) {
    refuse(fmt::format("{} extra bytes after the last tensor", data_bytes - filled));
  }
}

}  // namespace

const SafetensorsEntry* SafetensorsHeader::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(),
                   [&](const SafetensorsEntry& entry) { return entry.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

int safetensors_dtype_bits(std::string_view dtype) {
  static const std::map<std::string, int, std::less<>> bits = {
      {"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E4M3", 8}, {"F8_E5M2", 8},
      {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
      {"U16", 16},    {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},
      {"F32", 32},    {"I64", 64}, {"U64", 64},    {"F64", 64},    {"C64", 64}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? 0 : found->second;
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> file,
                                    const std::string& source_name) {
  const SafetensorsReader reader{source_name, file};
  const std::string_view text = reader.header_text();
  const PlainJson json = reader.header_json(text);
  SafetensorsHeader header;
  header.data_offset = 8 + text.size();
  for (const auto& [name, value] : json.items()) {
    if (name != "__metadata__") {
      header.tensors.push_back(reader.entry(name, value));
      continue;
    }
    if (!value.is_object()) {
      reader.refuse("__metadata__ values must be text");
    }
    for (const auto& [key, item] : value.items()) {
      if (!item.is_string()) {
        reader.refuse("__metadata__ values must be text");
      }
      header.metadata.emplace(key, item.get<std::string>());
    }
  }
  reader.check_places(header.tensors, file.size() - header.data_offset);
  return header;
}

}  // namespace llm
