// Where a JSON object ends in a text that is still growing, and where its members stand in it.
//
// Only brackets and strings are looked at; whether the text is JSON is for a parser to say. Not
// thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace llm::constraint {

/// Fed the text of an object from its '{' on, in pieces of any size.
class JsonObjectEnd {
 public:
  /// Bytes of `text` up to and with the closing '}'; nothing while it is still open. Not to be
  /// called again after the end.
  std::optional<size_t> find(std::string_view text);

 private:
  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

/// The value of a member of a valid JSON object, exactly as it is written there, without the space
/// around it. Keys with escapes are not recognised.
std::optional<std::string_view> member_text(std::string_view object, std::string_view key);

}  // namespace llm::constraint
