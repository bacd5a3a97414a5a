#include "serving/constraint/json_scan.h"

#include <algorithm>

namespace llm::constraint {
namespace {

constexpr std::string_view kJsonSpace = " \t\r\n";

size_t skip_json_space(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(kJsonSpace, at), text.size());
}

/// Past a string, object, list or plain value that begins at `at`.
size_t value_end(std::string_view text, size_t at) {
  size_t depth = 0;
  bool in_string = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      at += c == '\\';
      in_string = c != '"';
      if (!in_string && depth == 0) return at + 1;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (depth == 0 &&
               (c == ',' || c == ':' || kJsonSpace.find(c) != std::string_view::npos)) {
      return at;
    }
  }
  return text.size();
}

}  // namespace

std::optional<size_t> JsonObjectEnd::find(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (escaped_) {
      escaped_ = false;
    } else if (in_string_) {
      escaped_ = c == '\\';
      in_string_ = c != '"';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      return i + 1;
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> member_text(std::string_view object, std::string_view key) {
  size_t at = skip_json_space(object, object.find('{') + 1);
  while (at < object.size() && object[at] == '"') {
    const size_t key_end = value_end(object, at);
    const std::string_view name = object.substr(at + 1, key_end - at - 2);
    at = skip_json_space(object, skip_json_space(object, key_end) + 1);  // past the colon
    const size_t end = value_end(object, at);
    if (name == key) return object.substr(at, end - at);
    at = skip_json_space(object, skip_json_space(object, end) + 1);  // past the comma
  }
  return std::nullopt;
}

}  // namespace llm::constraint
