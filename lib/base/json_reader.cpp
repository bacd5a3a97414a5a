#include "base/json_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "base/json_builder.h"
#include "base/nearest_name.h"
#include "base/utf8.h"

namespace llm {
namespace {

using nlohmann::json;

template <typename Json>
Json parse_guarded(std::string_view text, std::string_view source, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    fail(limits.exit, fmt::format("{}: larger than {} bytes", source, limits.max_bytes));
  }
  if (const auto bad = utf8::first_invalid(text)) {
    fail(limits.exit, fmt::format("{}: invalid UTF-8 at byte {}", source, *bad));
  }
  Json root;
  GuardedBuilder<Json> builder(root, {limits.max_depth, std::numeric_limits<size_t>::max()});
  if (Json::sax_parse(text.begin(), text.end(), &builder)) {
    return root;
  }
  const JsonFault& fault = builder.fault();
  if (fault.kind == JsonFault::Kind::duplicate) {
    fail(limits.exit, fmt::format("{}: key '{}' appears twice", source, fault.key));
  }
  if (fault.kind == JsonFault::Kind::depth) {
    fail(limits.exit, fmt::format("{}: nesting deeper than {}", source, limits.max_depth));
  }
  const size_t offset = json_fault_byte(fault, text);
  size_t line = 1, column = 1;
  for (const char c : text.substr(0, offset)) {
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n';
  }
  fail(limits.exit, fmt::format("{}: invalid JSON at line {} column {}{}", source, line, column,
                                json_ends_at(text, offset) ? ": unexpected end" : ""));
}

std::string child_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

}  // namespace

json parse_json(std::string_view text, std::string_view source, const JsonLimits& limits) {
  return parse_guarded<json>(text, source, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view source,
                                          const JsonLimits& limits) {
  return parse_guarded<nlohmann::ordered_json>(text, source, limits);
}

json parse_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, {"", limits.max_bytes, limits.exit}), path.string(), limits);
}

JsonView::JsonView(const json& value, std::string source, Exit exit)
    : JsonView(value, std::move(source), "", exit) {}

JsonView::JsonView(const json& value, std::string source, std::string path, Exit exit)
    : value_(&value), source_(std::move(source)), path_(std::move(path)), exit_(exit) {}

void JsonView::fail(std::string_view problem) const {
  llm::fail(exit_, fmt::format("{}: {}{}{}", source_, path_, path_.empty() ? "" : " ", problem));
}

bool JsonView::has(std::string_view key) const {
  const auto member = value_->is_object() ? value_->find(key) : value_->end();
  return member != value_->end() && !member->is_null();
}

JsonView JsonView::at(std::string_view key) const {
  expect_object();
  const auto member = value_->find(key);
  if (member == value_->end()) {
    llm::fail(exit_, fmt::format("{}: {} is missing", source_, child_path(path_, key)));
  }
  return JsonView(*member, source_, child_path(path_, key), exit_);
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  return has(key) ? std::optional<JsonView>(at(key)) : std::nullopt;
}

size_t JsonView::size() const {
  expect_array();
  return value_->size();
}

JsonView JsonView::element(size_t index) const {
  expect_array();
  if (index >= value_->size()) {
    fail(fmt::format("has {} elements, element {} is wanted", value_->size(), index));
  }
  return JsonView((*value_)[index], source_, fmt::format("{}[{}]", path_, index), exit_);
}

std::vector<std::string> JsonView::keys() const {
  expect_object();
  std::vector<std::string> names;
  for (const auto& [name, member] : value_->items()) {
    names.push_back(name);
  }
  return names;
}

void JsonView::expect_object() const {
  if (!value_->is_object()) {
    fail("must be an object");
  }
}

void JsonView::expect_array() const {
  if (!value_->is_array()) {
    fail("must be an array");
  }
}

void JsonView::expect_keys(const std::vector<std::string>& known) const {
  for (const std::string& name : keys()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      llm::fail(exit_, fmt::format("{}: unknown key '{}'", source_, child_path(path_, name)),
                nearest_name_hint(name, known));
    }
  }
}

int64_t JsonView::as_int(int64_t lo, int64_t hi) const {
  const bool fits =
      value_->is_number_integer() &&
      !(value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  const int64_t number = fits ? value_->get<int64_t>() : 0;
  if (!fits || number < lo || number > hi) {
    fail(fmt::format("must be a whole number from {} to {}", lo, hi));
  }
  return number;
}

double JsonView::as_double(double lo, double hi) const {
  const double number = value_->is_number() ? value_->get<double>() : NAN;
  if (!(number >= lo && number <= hi)) {
    fail(fmt::format("must be a number from {} to {}", lo, hi));
  }
  return number;
}

std::string JsonView::as_string() const {
  if (!value_->is_string()) {
    fail("must be text");
  }
  return value_->get<std::string>();
}

bool JsonView::as_bool() const {
  if (!value_->is_boolean()) {
    fail("must be true or false");
  }
  return value_->get<bool>();
}

int64_t JsonView::get_int(std::string_view key, int64_t lo, int64_t hi, int64_t absent) const {
  return has(key) ? at(key).as_int(lo, hi) : absent;
}

double JsonView::get_double(std::string_view key, double lo, double hi, double absent) const {
  return has(key) ? at(key).as_double(lo, hi) : absent;
}

std::string JsonView::get_string(std::string_view key, std::string_view absent) const {
  return has(key) ? at(key).as_string() : std::string(absent);
}

bool JsonView::get_bool(std::string_view key, bool absent) const {
  return has(key) ? at(key).as_bool() : absent;
}

std::string dump_json(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

}  // namespace llm
