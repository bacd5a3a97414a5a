// A second opinion for tests: whether a JSON value satisfies a schema, by the rules of JSON Schema
// itself. It shares nothing with the library.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace llm {

class SchemaValidator {
 public:
  explicit SchemaValidator(const nlohmann::ordered_json& root) : root_(root) {}

  /// "" or what is wrong.
  std::string problem(const nlohmann::ordered_json& value) { return check(root_, value, "$"); }

 private:
  using Json = nlohmann::ordered_json;

  std::string check(const Json& schema, const Json& value, const std::string& at) {
    if (schema.is_boolean()) return schema.get<bool>() ? "" : at + ": nothing is allowed";
    if (schema.value("nullable", false) && value.is_null()) return "";
    if (schema.contains("$ref")) return check(target(schema["$ref"]), value, at);
    if (schema.contains("enum") && !contains(schema["enum"], value)) return at + ": not in enum";
    if (schema.contains("const") && schema["const"] != value) return at + ": not the const";
    if (schema.contains("type") && !has_type(schema["type"], value)) return at + ": wrong type";
    for (const char* keyword : {"anyOf", "oneOf"}) {
      if (!schema.contains(keyword)) continue;
      bool any = false;
      for (const Json& way : schema[keyword]) any = any || check(way, value, at).empty();
      if (!any) return at + ": none of " + keyword;
    }
    if (schema.contains("allOf")) {
      for (const Json& part : schema["allOf"]) {
        if (const std::string wrong = check(part, value, at); !wrong.empty()) return wrong;
      }
    }
    if (value.is_object()) return check_object(schema, value, at);
    if (value.is_array()) return check_array(schema, value, at);
    if (value.is_string()) return check_string(schema, value.get<std::string>(), at);
    if (value.is_number()) return check_number(schema, value.get<double>(), at);
    return "";
  }

  std::string check_object(const Json& schema, const Json& value, const std::string& at) {
    for (const Json& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get<std::string>())) return at + ": lacks " + name.dump();
    }
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [name, member] : value.items()) {
      const std::string inside = at + "." + name;
      if (properties.contains(name)) {
        if (auto wrong = check(properties[name], member, inside); !wrong.empty()) return wrong;
      } else if (schema.contains("additionalProperties")) {
        if (auto wrong = check(schema["additionalProperties"], member, inside); !wrong.empty()) {
          return wrong;
        }
      }
    }
    return "";
  }

  std::string check_array(const Json& schema, const Json& value, const std::string& at) {
    if (value.size() < schema.value("minItems", size_t{0})) return at + ": too short";
    if (value.size() > schema.value("maxItems", SIZE_MAX)) return at + ": too long";
    const Json prefix = schema.value("prefixItems", Json::array());
    for (size_t i = 0; i < value.size(); ++i) {
      const std::string inside = at + "[" + std::to_string(i) + "]";
      std::string wrong;
      if (i < prefix.size()) {
        wrong = check(prefix[i], value[i], inside);
      } else if (schema.contains("items")) {
        wrong = check(schema["items"], value[i], inside);
      }
      if (!wrong.empty()) return wrong;
    }
    return "";
  }

  static std::string check_string(const Json& schema, const std::string& text,
                                  const std::string& at) {
    size_t length = 0;
    for (const char c : text) length += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (length < schema.value("minLength", size_t{0})) return at + ": string too short";
    if (length > schema.value("maxLength", SIZE_MAX)) return at + ": string too long";
    if (schema.contains("pattern") && !found(schema["pattern"], text)) return at + ": pattern";
    if (!schema.contains("format")) return "";
    const std::string format = schema["format"];
    const std::string time =
        "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$";
    if (format == "date") return is_date(text) ? "" : at + ": no date";
    if (format == "time") return found("^" + time, text) ? "" : at + ": no time";
    if (format == "date-time") {
      const bool good = text.size() > 11 && is_date(text.substr(0, 10)) && text[10] == 'T' &&
                        found("^" + time, text.substr(11));
      return good ? "" : at + ": no date-time";
    }
    if (format == "uuid") {
      return found("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", text) ? ""
                                                                                 : at + ": uuid";
    }
    if (format == "email") {
      const size_t sign = text.find('@');
      const bool good = sign != std::string::npos && sign > 0 && sign <= 64 &&
                        found("^[^.@][^@]*[^.@]?@([A-Za-z0-9-]{1,63}\\.)+[A-Za-z]{2,}$", text) &&
                        text.find("..") == std::string::npos && text[sign - 1] != '.';
      return good ? "" : at + ": no email";
    }
    int part[4];
    char rest;
    const bool four =
        std::sscanf(text.c_str(), "%d.%d.%d.%d%c", part, part + 1, part + 2, part + 3, &rest) == 4;
    const bool good = four &&
                      text == std::to_string(part[0]) + "." + std::to_string(part[1]) + "." +
                                  std::to_string(part[2]) + "." + std::to_string(part[3]) &&
                      std::max(std::max(part[0], part[1]), std::max(part[2], part[3])) < 256;
    return good ? "" : at + ": no ipv4";
  }

  static std::string check_number(const Json& schema, double number, const std::string& at) {
    const bool good = number >= schema.value("minimum", -HUGE_VAL) &&
                      number <= schema.value("maximum", HUGE_VAL) &&
                      number > schema.value("exclusiveMinimum", -HUGE_VAL) &&
                      number < schema.value("exclusiveMaximum", HUGE_VAL) && std::isfinite(number);
    return good ? "" : at + ": out of bounds";
  }

  static bool has_type(const Json& types, const Json& value) {
    if (types.is_array()) {
      for (const Json& type : types) {
        if (has_type(type, value)) return true;
      }
      return false;
    }
    const std::string type = types;
    if (type == "integer") {
      return value.is_number_integer() ||
             (value.is_number() && std::floor(value.get<double>()) == value.get<double>());
    }
    return type == (value.is_number() ? "number" : value.type_name());
  }

  static bool contains(const Json& list, const Json& value) {
    for (const Json& one : list) {
      if (one == value) return true;
    }
    return false;
  }

  static bool is_date(const std::string& text) {
    if (!found("^\\d{4}-\\d{2}-\\d{2}$", text)) return false;
    const int year = std::stoi(text), month = std::stoi(text.substr(5)),
              day = std::stoi(text.substr(8));
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const int days[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
  }

  /// The pattern occurs in the text; $ is the very end, as in ECMA-262.
  static bool found(const std::string& pattern, const std::string& text) {
    int error;
    PCRE2_SIZE offset;
    pcre2_code* code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                      PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY, &error, &offset, nullptr);
    if (code == nullptr) throw std::runtime_error("test pattern " + pattern);
    pcre2_match_data* match = pcre2_match_data_create(32, nullptr);
    const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                   0, match, nullptr);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    return result >= 0;
  }

  Json& target(const Json& reference) {
    const std::string pointer = reference;
    return targets_.emplace_back(root_.at(Json::json_pointer(pointer.substr(1))));
  }

  const Json& root_;
  std::list<Json> targets_;
};

}  // namespace llm
