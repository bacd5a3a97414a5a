// A request body as JSON: parsed under limits, then read through one table of fields.
//
// The table says of every field its name, kind and range; a FieldReader checks all of them when it
// is made, so that no declared field is ever ignored, and its getters answer without a conversion.
// null counts as absent. What is not in the table is listed by unknown(), for a metric: clients
// send new fields all the time. Every refusal is an HttpError whose param is the field's path:
//   missing_field  "'messages' is required"
//   invalid_value  "max_tokens must be a whole number from 0 to 4096" (1.5, "8", true, -1)
//   out_of_range   "n must be between 1 and 16" (a number, but beyond)
// A whole number may be written 8, 8.0 or 8e0. A reader holds references to the document and the
// table, which must outlive it. Not thread-safe.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http/http_error.h"
#include "serving/http/request.h"

namespace llm::http {

/// The body of a POST: 415 unless Content-Type is application/json (UTF-8, not compressed), then
/// 400 invalid_json, invalid_type or duplicate_field, with the byte.
nlohmann::json json_body(const Request& request);

/// The look at the headers alone.
void refuse_other_media(const Request& request);
/// The same without the look at the headers.
nlohmann::json parse_body(std::string_view body);

struct Field {
  enum class Kind { whole, number, flag, text, object, array, any };
  std::string name;
  Kind kind = Kind::any;
  int64_t lo = 0, hi = 0;    // of a whole number
  double low = 0, high = 0;  // of a number; of a text: `hi` is the most bytes
  std::string code = {};     // of every refusal; empty: as the list above says
};
Field whole_field(std::string name, int64_t lo, int64_t hi);
Field number_field(std::string name, double low, double high);
Field flag_field(std::string name);
Field text_field(std::string name, int64_t max_bytes);
Field object_field(std::string name);
Field array_field(std::string name);
Field any_field(std::string name);  // looked at by its reader
Field with_code(Field field, std::string code);

class FieldReader {
 public:
  /// `object` must be one ("messages[2] must be an object"); `path` is "" at the top.
  FieldReader(const nlohmann::json& object, const std::vector<Field>& fields,
              std::string path = {});

  bool has(std::string_view name) const;  // present and not null
  const nlohmann::json* find(std::string_view name) const;
  const nlohmann::json& require(std::string_view name) const;

  std::optional<int64_t> whole(std::string_view name) const;
  std::optional<double> number(std::string_view name) const;
  std::optional<bool> flag(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  int64_t whole(std::string_view name, int64_t absent) const;
  double number(std::string_view name, double absent) const;
  bool flag(std::string_view name, bool absent) const;
  std::string text(std::string_view name, std::string_view absent) const;

  std::vector<std::string> unknown() const;
  std::string path_of(std::string_view name) const;  // "stream_options.include_usage"
  /// 400 about this field: "<path> <problem>", or the problem as it is where it names the path.
  [[noreturn]] void refuse(std::string_view name, std::string_view problem,
                           std::string code = "invalid_value") const;

 private:
  void check_field(const Field& field, const nlohmann::json& value) const;
  void check_kind(const Field& field, const nlohmann::json& value) const;
  const nlohmann::json* find(std::string_view name, Field::Kind kind) const;
  const nlohmann::json& object_;
  const std::vector<Field>& fields_;
  std::string path_;
};

/// 400 missing_field.
[[noreturn]] void missing_field(std::string_view path);

/// A value that is no field of an object, by the same rules: elements of arrays, values of maps.
int64_t whole_value(const nlohmann::json& value, int64_t lo, int64_t hi, std::string_view path);
double number_value(const nlohmann::json& value, double low, double high, std::string_view path);
std::string text_value(const nlohmann::json& value, int64_t max_bytes, std::string_view path);

}  // namespace llm::http
