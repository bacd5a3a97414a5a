// Looking keys and tensors up in a GGUF file, with checks.
#include "gguf/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/utf8.h"
#include "gguf/gguf_parse.h"

namespace llm {
namespace {

constexpr std::array<std::string_view, 13> kTypeNames = {
    "uint8",   "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
    "boolean", "string", "array",  "uint64", "int64",  "float64"};

uint64_t bits_of(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

bool is_integer(GgufType type) {
  return type != GgufType::float32 && type != GgufType::float64 && type != GgufType::boolean &&
         type != GgufType::string && type != GgufType::array;
}

// Bits of an integer type as a number; what does not fit into int64 becomes the largest one, which
// every range refuses.
int64_t as_integer(GgufType type, uint64_t bits) {
  switch (type) {
    case GgufType::int8:
      return static_cast<int8_t>(bits);
    case GgufType::int16:
      return static_cast<int16_t>(bits);
    case GgufType::int32:
      return static_cast<int32_t>(bits);
    case GgufType::uint64:
      return bits > static_cast<uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<int64_t>(bits);
    default:
      return static_cast<int64_t>(bits);
  }
}

// A float32 was written down as a decimal number: the shortest that gives it, 1e-6 and not
// 9.99999997e-07.
double shortest(float value) {
  std::array<char, 64> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double number = value;
  std::from_chars(text.data(), end, number);
  return number;
}

double as_number(GgufType type, uint64_t bits) {
  if (type == GgufType::float32) {
    return shortest(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  return type == GgufType::float64 ? std::bit_cast<double>(bits)
                                   : static_cast<double>(as_integer(type, bits));
}

std::string type_text(const GgufValue& value) {
  return value.type == GgufType::array ? fmt::format("array of {}", gguf_type_name(value.element))
                                       : std::string(gguf_type_name(value.type));
}

/// The names' places in their list, sorted by name; the first name that occurs twice goes to
/// `twice`.
template <typename Name>
std::vector<uint32_t> sorted_places(size_t count, Name name_of, std::string_view& twice) {
  std::vector<uint32_t> places(count);
  std::iota(places.begin(), places.end(), 0u);
  std::sort(places.begin(), places.end(),
            [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); });
  for (size_t i = 1; i < count; ++i) {
    if (name_of(places[i - 1]) == name_of(places[i])) {
      twice = name_of(places[i]);
      break;
    }
  }
  return places;
}

template <typename Name>
int64_t look_up(const std::vector<uint32_t>& places, Name name_of, std::string_view wanted) {
  const auto found = std::lower_bound(
      places.begin(), places.end(), wanted,
      [&](uint32_t place, std::string_view name) { return name_of(place) < name; });
  return found != places.end() && name_of(*found) == wanted ? int64_t{*found} : -1;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  const auto number = static_cast<uint32_t>(type);
  return number < kTypeNames.size() ? kTypeNames[number] : std::string_view();
}

std::string shown_name(std::string_view name) {
  constexpr size_t kMost = 200;
  std::string text(name.substr(0, utf8::valid_prefix(name.substr(0, kMost))));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 32 || c == 127; },
      '?');
  return text.size() < name.size() ? text + "..." : text;
}

bool is_gguf_file(const std::filesystem::path& path) {
  if (path.extension() == ".gguf") {
    return true;
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return false;
  }
  std::array<char, 4> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), start.size()) == "GGUF";
}

std::shared_ptr<const Gguf> Gguf::open(const std::filesystem::path& file) {
  MappedFile mapped = MappedFile::open(file, AccessPattern::normal);
  auto gguf = std::make_shared<Gguf>(mapped.bytes(), file.string());
  gguf->file_ = std::move(mapped);  // the mapping itself does not move
  return gguf;
}

Gguf::Gguf(std::span<const std::byte> bytes, std::string name) : name_(std::move(name)) {
  static_assert(std::endian::native == std::endian::little, "values are read as they lie");
  GgufParser parser(bytes, name_);
  const GgufParser::Counts counts = parser.header();
  version_ = counts.version;
  entries_ = parser.entries(counts.keys);
  std::string_view twice;
  keys_by_name_ = sorted_places(
      entries_.size(), [&](uint32_t i) { return entries_[i].key; }, twice);
  if (!twice.empty()) {
    refuse(fmt::format("key '{}' appears twice", shown_name(twice)));
  }
  if (const GgufValue* value = find("general.alignment")) {
    if (value->type != GgufType::uint32) {
      refuse(fmt::format("general.alignment must be uint32, is {}", type_text(*value)));
    }
    alignment_ = bits_of(value->bytes);
    if (!std::has_single_bit(alignment_)) {
      refuse(fmt::format("general.alignment {} is not a power of two", alignment_));
    }
  }
  tensors_ = parser.tensors(counts.tensors, alignment_);
  tensors_by_name_ = sorted_places(
      tensors_.size(), [&](uint32_t i) { return tensors_[i].name; }, twice);
  if (!twice.empty()) {
    refuse(fmt::format("tensor '{}' is listed twice", shown_name(twice)));
  }
  data_offset_ = parser.place(tensors_, alignment_);
}

void Gguf::release(std::span<const std::byte> bytes) const {
  if (file_.data() != nullptr && !bytes.empty()) {
    file_.release(static_cast<size_t>(bytes.data() - file_.data()), bytes.size());
  }
}

void Gguf::refuse(const std::string& rule) const {
  fail(Exit::bad_input, fmt::format("{}: {}", name_, rule));
}

const GgufValue* Gguf::find(std::string_view key) const {
  const int64_t place = look_up(
      keys_by_name_, [&](uint32_t i) { return entries_[i].key; }, key);
  return place < 0 ? nullptr : &entries_[static_cast<size_t>(place)].value;
}

const GgufTensor* Gguf::find_tensor(std::string_view name) const {
  const int64_t place = look_up(
      tensors_by_name_, [&](uint32_t i) { return tensors_[i].name; }, name);
  return place < 0 ? nullptr : &tensors_[static_cast<size_t>(place)];
}

const GgufValue& Gguf::at(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    refuse(fmt::format("key '{}' is missing", key));
  }
  return *value;
}

std::string_view Gguf::text(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::string) {
    refuse(fmt::format("key '{}' must be text, is {}", key, type_text(value)));
  }
  return {reinterpret_cast<const char*>(value.bytes.data()) + 8, value.bytes.size() - 8};
}

int64_t Gguf::integer(std::string_view key, int64_t low, int64_t high) const {
  const GgufValue& value = at(key);
  if (!is_integer(value.type)) {
    refuse(fmt::format("key '{}' must be a whole number, is {}", key, type_text(value)));
  }
  const int64_t number = as_integer(value.type, bits_of(value.bytes));
  if (number < low || number > high) {
    refuse(fmt::format("key '{}' is {}, must be between {} and {}", key, number, low, high));
  }
  return number;
}

double Gguf::number(std::string_view key) const {
  const GgufValue& value = at(key);
  if (!is_integer(value.type) && value.type != GgufType::float32 &&
      value.type != GgufType::float64) {
    refuse(fmt::format("key '{}' must be a number, is {}", key, type_text(value)));
  }
  const double number = as_number(value.type, bits_of(value.bytes));
  if (!std::isfinite(number)) {
    refuse(fmt::format("key '{}' is not finite", key));
  }
  return number;
}

bool Gguf::flag(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::boolean) {
    refuse(fmt::format("key '{}' must be boolean, is {}", key, type_text(value)));
  }
  return bits_of(value.bytes) != 0;
}

std::vector<std::string_view> Gguf::texts(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::array || value.element != GgufType::string) {
    refuse(fmt::format("key '{}' must be an array of string, is {}", key, type_text(value)));
  }
  std::vector<std::string_view> result;
  result.reserve(value.count);
  std::span<const std::byte> rest = value.bytes;
  for (uint64_t i = 0; i < value.count; ++i) {
    const uint64_t length = bits_of(rest.first(8));
    result.emplace_back(reinterpret_cast<const char*>(rest.data()) + 8, length);
    rest = rest.subspan(8 + length);
  }
  return result;
}

std::vector<float> Gguf::numbers(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::array ||
      (value.element != GgufType::float32 && value.element != GgufType::float64)) {
    refuse(fmt::format("key '{}' must be an array of numbers, is {}", key, type_text(value)));
  }
  const uint32_t size = gguf_type_bytes(value.element);
  std::vector<float> result(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    const uint64_t bits = bits_of(value.bytes.subspan(i * size, size));
    result[i] = value.element == GgufType::float32
                    ? std::bit_cast<float>(static_cast<uint32_t>(bits))
                    : static_cast<float>(std::bit_cast<double>(bits));
    if (!std::isfinite(result[i])) {
      refuse(fmt::format("key '{}': element {} is not finite", key, i));
    }
  }
  return result;
}

std::vector<int64_t> Gguf::integers(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::array || !is_integer(value.element)) {
    refuse(fmt::format("key '{}' must be an array of whole numbers, is {}", key, type_text(value)));
  }
  const uint32_t size = gguf_type_bytes(value.element);
  std::vector<int64_t> result(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    result[i] = as_integer(value.element, bits_of(value.bytes.subspan(i * size, size)));
  }
  return result;
}

std::string_view Gguf::text_or(std::string_view key, std::string_view absent) const {
  return has(key) ? text(key) : absent;
}
int64_t Gguf::integer_or(std::string_view key, int64_t low, int64_t high, int64_t absent) const {
  return has(key) ? integer(key, low, high) : absent;
}
double Gguf::number_or(std::string_view key, double absent) const {
  return has(key) ? number(key) : absent;
}
bool Gguf::flag_or(std::string_view key, bool absent) const {
  return has(key) ? flag(key) : absent;
}

}  // namespace llm
