// Finds the calls of functions in what a model writes, while it writes.
//
// Fed pieces of text of any size (whole UTF-8 characters); what it gives back, one after another,
// is the content for the user and the calls, each as soon as it is complete. Text that may still
// become a call is held back; text that turns out to be none (no JSON, no name, a name that is not
// among the tools, arguments that are no object) stays content, as it is. White space between
// content and calls, and between calls, belongs to neither. `arguments` is the text of the model,
// byte by byte.
//
//   hermes   a call may stand anywhere; a last </tool_call> may be missing
//   llama3   calls are the whole answer, after <|python_tag|> or not; several are separated by ';'
//            or space
// The result does not depend on how the text was cut. Not thread-safe; one parser per answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serving/constraint/json_scan.h"
#include "serving/constraint/tool_call_format.h"

namespace llm {

struct ToolCall {
  std::string name;
  std::string arguments;  // a JSON object as text
  bool operator==(const ToolCall&) const = default;
};

/// What became certain with one piece; content and calls each in their order.
struct ToolCallDelta {
  std::string content;
  std::vector<ToolCall> calls;
  bool operator==(const ToolCallDelta&) const = default;
};

class ToolCallParser {
 public:
  /// `names` of the functions that may be called; empty: any. Not `parallel`: the answer ends with
  /// its first call, and what follows it is left out.
  ToolCallParser(ToolCallShape shape, std::vector<std::string> names, bool parallel = true);

  ToolCallDelta feed(std::string_view text);
  /// The rest, when the text is over.
  ToolCallDelta finish();

 private:
  enum class Place { outside, before_object, in_object, after_object };

  bool over() const;
  ToolCallDelta advance(bool last);
  bool step(bool last, ToolCallDelta& delta);
  bool look_for_call(bool last, ToolCallDelta& delta);
  bool open_object(bool last, ToolCallDelta& delta);
  bool close_object(bool last, ToolCallDelta& delta);
  bool finish_call(bool last, ToolCallDelta& delta);
  bool give_up(ToolCallDelta& delta);
  void add_content(std::string_view text, ToolCallDelta& delta);

  ToolCallShape shape_;
  std::vector<std::string> names_;
  bool parallel_, called_ = false;
  std::string held_;       // not given out yet
  size_t call_begin_ = 0;  // in held_: the marker, or '{'
  size_t object_begin_ = 0;
  size_t object_end_ = 0;
  size_t scanned_ = 0;
  constraint::JsonObjectEnd object_;
  Place place_ = Place::outside;
  bool after_call_ = false;    // nothing but space since a call
  bool only_content_ = false;  // llama3: the answer is no call
};

}  // namespace llm
