#include "serving/constraint/tool_call_parser.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

constexpr std::string_view kCallBegin = "<tool_call>";
constexpr std::string_view kCallEnd = "</tool_call>";
constexpr std::string_view kPythonTag = "<|python_tag|>";
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kSeparators = " \t\r\n;";

/// Length of the longest end of `text` that `marker` begins with, short of all of it.
size_t begun_marker(std::string_view text, std::string_view marker) {
  for (size_t length = std::min(text.size(), marker.size() - 1); length > 0; --length) {
    if (text.ends_with(marker.substr(0, length))) return length;
  }
  return 0;
}

size_t skip_any(std::string_view text, size_t at, std::string_view characters) {
  return std::min(text.find_first_not_of(characters, at), text.size());
}

/// The call that a JSON object is.
std::optional<ToolCall> call_in(std::string_view object, const std::vector<std::string>& names) {
  nlohmann::json value;
  try {
    value = parse_json(object, "tool call");
  } catch (const Error&) {
    return std::nullopt;
  }
  const auto name = value.find("name");
  if (name == value.end() || !name->is_string()) return std::nullopt;
  ToolCall call{name->get<std::string>(), "{}"};
  const bool known =
      names.empty() || std::find(names.begin(), names.end(), call.name) != names.end();
  if (!known) return std::nullopt;
  for (const char* key : {"arguments", "parameters"}) {
    if (!value.contains(key)) continue;
    const auto text = constraint::member_text(object, key);
    if (!value[key].is_object() || !text) return std::nullopt;
    call.arguments = *text;
    return call;
  }
  return call;
}

}  // namespace

ToolCallParser::ToolCallParser(ToolCallShape shape, std::vector<std::string> names, bool parallel)
    : shape_(shape), names_(std::move(names)), parallel_(parallel) {}

ToolCallDelta ToolCallParser::feed(std::string_view text) {
  held_ += text;
  return advance(false);
}

/// Nothing that comes now belongs to the answer.
bool ToolCallParser::over() const { return called_ && !parallel_; }

ToolCallDelta ToolCallParser::finish() { return advance(true); }

ToolCallDelta ToolCallParser::advance(bool last) {
  ToolCallDelta delta;
  while (!over() && step(last, delta)) {
  }
  if (over()) held_.clear();
  return delta;
}

/// One move; false where more text is needed.
bool ToolCallParser::step(bool last, ToolCallDelta& delta) {
  switch (place_) {
    case Place::outside:
      return look_for_call(last, delta);
    case Place::before_object:
      return open_object(last, delta);
    case Place::in_object:
      return close_object(last, delta);
    case Place::after_object:
      return finish_call(last, delta);
  }
  return false;
}

/// Gives out the first bytes of held_.
void ToolCallParser::add_content(std::string_view text, ToolCallDelta& delta) {
  delta.content += text;
  if (!text.empty()) after_call_ = false;
  held_.erase(0, text.size());
}

bool ToolCallParser::look_for_call(bool last, ToolCallDelta& delta) {
  if (after_call_) {
    const bool llama = shape_ == ToolCallShape::llama3;
    held_.erase(0, skip_any(held_, 0, llama ? kSeparators : kSpace));
    if (held_.empty()) return false;
  }
  if (only_content_) {
    add_content(std::string(held_), delta);
    return false;
  }
  if (shape_ == ToolCallShape::llama3) {
    call_begin_ = 0;
    object_begin_ = 0;
    place_ = Place::before_object;
    return true;
  }
  const size_t marker = held_.find(kCallBegin);
  if (marker == std::string::npos) {
    size_t keep = last ? 0 : begun_marker(held_, kCallBegin);
    const size_t end = held_.find_last_not_of(kSpace, held_.size() - keep - 1);
    if (!last)
      keep = held_.size() - (held_.size() == keep || end == std::string::npos ? 0 : end + 1);
    add_content(held_.substr(0, held_.size() - keep), delta);
    return false;
  }
  const size_t text_end = marker == 0 ? 0 : held_.find_last_not_of(kSpace, marker - 1) + 1;
  add_content(held_.substr(0, text_end), delta);
  call_begin_ = marker - text_end;  // the space before stays with the call until it is one
  object_begin_ = call_begin_ + kCallBegin.size();
  place_ = Place::before_object;
  return true;
}

bool ToolCallParser::open_object(bool last, ToolCallDelta& delta) {
  const bool llama = shape_ == ToolCallShape::llama3;
  object_begin_ = skip_any(held_, object_begin_, llama ? kSeparators : kSpace);
  if (llama && std::string_view(held_).substr(object_begin_).starts_with(kPythonTag)) {
    object_begin_ = skip_any(held_, object_begin_ + kPythonTag.size(), kSpace);
  }
  const std::string_view rest = std::string_view(held_).substr(object_begin_);
  if (rest.empty() || (llama && kPythonTag.starts_with(rest))) return last && give_up(delta);
  if (rest[0] != '{') return give_up(delta);
  object_ = {};
  scanned_ = object_begin_;
  place_ = Place::in_object;
  return true;
}

bool ToolCallParser::close_object(bool last, ToolCallDelta& delta) {
  const auto end = object_.find(std::string_view(held_).substr(scanned_));
  if (!end) {
    scanned_ = held_.size();
    return last && give_up(delta);
  }
  object_end_ = scanned_ + *end;
  place_ = Place::after_object;
  return true;
}

bool ToolCallParser::finish_call(bool last, ToolCallDelta& delta) {
  size_t end = object_end_;
  if (shape_ == ToolCallShape::hermes) {
    const size_t tag = skip_any(held_, object_end_, kSpace);
    const std::string_view rest = std::string_view(held_).substr(tag);
    if (rest.starts_with(kCallEnd)) {
      end = tag + kCallEnd.size();
    } else if (!kCallEnd.starts_with(rest)) {
      return give_up(delta);
    } else if (!last) {
      return false;
    } else {
      end = held_.size();
    }
  }
  const auto call =
      call_in(std::string_view(held_).substr(object_begin_, object_end_ - object_begin_), names_);
  if (!call) return give_up(delta);
  delta.calls.push_back(*call);
  called_ = true;
  after_call_ = true;
  held_.erase(0, end);
  place_ = Place::outside;
  return !held_.empty();
}

/// What was held back is no call: its marker becomes content, and what follows is looked at anew.
bool ToolCallParser::give_up(ToolCallDelta& delta) {
  place_ = Place::outside;
  if (shape_ == ToolCallShape::llama3) {
    only_content_ = true;
    return true;
  }
  add_content(held_.substr(0, call_begin_ + kCallBegin.size()), delta);
  return !held_.empty();
}

}  // namespace llm
