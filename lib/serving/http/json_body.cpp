#include "serving/http/json_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fault.h"

namespace llm::http {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_json(const JsonFault& fault) {
  using Kind = JsonFault::Kind;
  const auto invalid = [](std::string message) {
    throw HttpError(400, "invalid_json", std::move(message));
  };
  switch (fault.kind) {
    case Kind::syntax:
      invalid(fmt::format("invalid JSON at byte {}", fault.byte));
      break;
    case Kind::unexpected_end:
      invalid(fmt::format("invalid JSON at byte {}: unexpected end", fault.byte));
      break;
    case Kind::byte_order_mark:
      invalid("invalid JSON at byte 0: a byte order mark");
      break;
    case Kind::utf8:
      invalid(fmt::format("invalid UTF-8 at byte {}", fault.byte));
      break;
    case Kind::depth:
      invalid(fmt::format("nesting deeper than {} at byte {}", JsonCaps{}.max_depth, fault.byte));
      break;
    case Kind::members:
      invalid(fmt::format("an object has more than {} members at byte {}", JsonCaps{}.max_members,
                          fault.byte));
      break;
    case Kind::duplicate:
      break;
  }
  throw HttpError(400, "duplicate_field",
                  fmt::format("'{}' appears twice, again at byte {}", fault.key, fault.byte),
                  fault.key);
}

bool is_json_type(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  const size_t end = type.find_last_not_of(" \t");
  if (end == std::string_view::npos ||
      !same_ignoring_case(type.substr(0, end + 1), "application/json")) {
    return false;
  }
  if (type.size() == content_type.size()) return true;
  std::string parameter;
  for (const char c : content_type.substr(type.size() + 1)) {
    if (c != ' ' && c != '\t' && c != '"') parameter += c;
  }
  return !same_ignoring_case(std::string_view(parameter).substr(0, 8), "charset=") ||
         same_ignoring_case(parameter, "charset=utf-8") ||
         same_ignoring_case(parameter, "charset=utf8");
}

[[noreturn]] void invalid_value(std::string_view path, std::string_view rule) {
  throw HttpError(400, "invalid_value", fmt::format("{} must be {}", path, rule),
                  std::string(path));
}

template <typename T>
[[noreturn]] void out_of_range(std::string_view path, T lo, T hi) {
  throw HttpError(400, "out_of_range",
                  lo == hi ? fmt::format("{} must be {}", path, lo)
                           : fmt::format("{} must be between {} and {}", path, lo, hi),
                  std::string(path));
}

}  // namespace

json parse_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    throw HttpError(400, "invalid_json", "request body is empty");
  }
  json document;
  if (const auto fault = read_json(body, document)) refuse_json(*fault);
  if (!document.is_object()) {
    throw HttpError(400, "invalid_type", "body must be a JSON object");
  }
  return document;
}

void refuse_other_media(const Request& request) {
  if (!request.body.empty() && !is_json_type(request.header("Content-Type"))) {
    throw HttpError(415, "unsupported_media_type", "use application/json");
  }
  const std::string_view coding = request.header("Content-Encoding");
  if (!coding.empty() && !same_ignoring_case(coding, "identity")) {
    throw HttpError(415, "unsupported_media_type", "compressed bodies are not read");
  }
}

json json_body(const Request& request) {
  refuse_other_media(request);
  return parse_body(request.body);
}

void missing_field(std::string_view path) {
  throw HttpError(400, "missing_field", fmt::format("'{}' is required", path), std::string(path));
}

int64_t whole_value(const json& value, int64_t lo, int64_t hi, std::string_view path) {
  const auto not_whole = [&] {
    invalid_value(path, fmt::format("a whole number from {} to {}", lo, hi));
  };
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (hi < 0 || number > static_cast<uint64_t>(hi) ||
        (lo > 0 && number < static_cast<uint64_t>(lo))) {
      out_of_range(path, lo, hi);
    }
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) {  // negative
    const int64_t number = value.get<int64_t>();
    if (number < lo && lo >= 0) not_whole();
    if (number < lo || number > hi) out_of_range(path, lo, hi);
    return number;
  }
  if (!value.is_number_float()) not_whole();
  const double number = value.get<double>();
  if (number != std::floor(number) || (number < 0 && lo >= 0)) not_whole();
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond, doubles skip whole numbers
  if (std::abs(number) > kExact) out_of_range(path, lo, hi);
  const auto whole = static_cast<int64_t>(number);
  if (whole < lo || whole > hi) out_of_range(path, lo, hi);
  return whole;
}

double number_value(const json& value, double low, double high, std::string_view path) {
  if (!value.is_number()) invalid_value(path, fmt::format("a number from {} to {}", low, high));
  const double number = value.get<double>();
  if (!(number >= low && number <= high)) out_of_range(path, low, high);
  return number;
}

std::string text_value(const json& value, int64_t max_bytes, std::string_view path) {
  if (!value.is_string()) invalid_value(path, "text");
  const std::string& text = value.get_ref<const std::string&>();
  if (text.size() > static_cast<size_t>(max_bytes)) {
    invalid_value(path, fmt::format("at most {} bytes", max_bytes));
  }
  return text;
}

Field whole_field(std::string name, int64_t lo, int64_t hi) {
  return {std::move(name), Field::Kind::whole, lo, hi, 0, 0};
}
Field number_field(std::string name, double low, double high) {
  return {std::move(name), Field::Kind::number, 0, 0, low, high};
}
Field flag_field(std::string name) { return {std::move(name), Field::Kind::flag, 0, 0, 0, 0}; }
Field text_field(std::string name, int64_t max_bytes) {
  return {std::move(name), Field::Kind::text, 0, max_bytes, 0, 0};
}
Field object_field(std::string name) { return {std::move(name), Field::Kind::object, 0, 0, 0, 0}; }
Field array_field(std::string name) { return {std::move(name), Field::Kind::array, 0, 0, 0, 0}; }
Field any_field(std::string name) { return {std::move(name), Field::Kind::any, 0, 0, 0, 0}; }
Field with_code(Field field, std::string code) {
  field.code = std::move(code);
  return field;
}

FieldReader::FieldReader(const json& object, const std::vector<Field>& fields, std::string path)
    : object_(object), fields_(fields), path_(std::move(path)) {
  if (!object_.is_object()) invalid_value(path_.empty() ? "body" : path_, "an object");
  for (const Field& field : fields_) {
    if (const json* value = find(field.name)) check_field(field, *value);
  }
}

void FieldReader::check_field(const Field& field, const json& value) const {
  if (field.code.empty()) return check_kind(field, value);
  try {
    check_kind(field, value);
  } catch (const HttpError& error) {
    throw HttpError(error.status(), field.code, error.message(), error.param());
  }
}

void FieldReader::check_kind(const Field& field, const json& value) const {
  const std::string path = path_of(field.name);
  switch (field.kind) {
    case Field::Kind::whole:
      whole_value(value, field.lo, field.hi, path);
      break;
    case Field::Kind::number:
      number_value(value, field.low, field.high, path);
      break;
    case Field::Kind::text:
      text_value(value, field.hi, path);
      break;
    case Field::Kind::flag:
      if (!value.is_boolean()) invalid_value(path, "true or false");
      break;
    case Field::Kind::object:
      if (!value.is_object()) invalid_value(path, "an object");
      break;
    case Field::Kind::array:
      if (!value.is_array()) invalid_value(path, "an array");
      break;
    case Field::Kind::any:
      break;
  }
}

/// Asking for what the table does not have, or as another kind, is our own mistake.
const json* FieldReader::find(std::string_view name, Field::Kind kind) const {
  const auto declared = std::find_if(fields_.begin(), fields_.end(),
                                     [&](const Field& field) { return field.name == name; });
  if (declared == fields_.end() || (kind != Field::Kind::any && declared->kind != kind)) {
    fail(Exit::internal, fmt::format("field '{}' is not in the table so", path_of(name)));
  }
  const auto member = object_.find(name);
  return member == object_.end() || member->is_null() ? nullptr : &*member;
}

const json* FieldReader::find(std::string_view name) const { return find(name, Field::Kind::any); }

bool FieldReader::has(std::string_view name) const { return find(name) != nullptr; }

const json& FieldReader::require(std::string_view name) const {
  const json* value = find(name);
  if (!value) missing_field(path_of(name));
  return *value;
}

std::string FieldReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void FieldReader::refuse(std::string_view name, std::string_view problem, std::string code) const {
  const std::string path = path_of(name);
  // A problem that begins with the name gets the path for it.
  const std::string message = problem.starts_with(path) ? std::string(problem)
                              : problem.starts_with(name)
                                  ? path + std::string(problem.substr(name.size()))
                                  : fmt::format("{} {}", path, problem);
  throw HttpError(400, std::move(code), message, path);
}

std::optional<int64_t> FieldReader::whole(std::string_view name) const {
  const json* value = find(name, Field::Kind::whole);
  return value ? std::optional(whole_value(*value, INT64_MIN, INT64_MAX, name)) : std::nullopt;
}
std::optional<double> FieldReader::number(std::string_view name) const {
  const json* value = find(name, Field::Kind::number);
  return value ? std::optional(value->get<double>()) : std::nullopt;
}
std::optional<bool> FieldReader::flag(std::string_view name) const {
  const json* value = find(name, Field::Kind::flag);
  return value ? std::optional(value->get<bool>()) : std::nullopt;
}
std::optional<std::string> FieldReader::text(std::string_view name) const {
  const json* value = find(name, Field::Kind::text);
  return value ? std::optional(value->get<std::string>()) : std::nullopt;
}
int64_t FieldReader::whole(std::string_view name, int64_t absent) const {
  return whole(name).value_or(absent);
}
double FieldReader::number(std::string_view name, double absent) const {
  return number(name).value_or(absent);
}
bool FieldReader::flag(std::string_view name, bool absent) const {
  return flag(name).value_or(absent);
}
std::string FieldReader::text(std::string_view name, std::string_view absent) const {
  return text(name).value_or(std::string(absent));
}

std::vector<std::string> FieldReader::unknown() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items()) {
    const auto same = [&, &key = name](const Field& field) { return field.name == key; };
    if (std::none_of(fields_.begin(), fields_.end(), same)) names.push_back(name);
  }
  return names;
}

}  // namespace llm::http
