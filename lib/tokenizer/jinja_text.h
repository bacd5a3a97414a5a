// A string of a template that knows which of its bytes came from the user.
//
// What a template writes itself may spell special tokens; what it copies out of messages, tools and
// other inputs may not. So every string carries a mark per byte (or no marks at all, where
// everything is the template's own), and every operation on strings carries the marks along.
// Contents are UTF-8; positions that templates see count characters, as in Python. Pure functions,
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llm::jinja {

inline constexpr char kTemplateByte = '\0';
inline constexpr char kUserByte = '\1';

struct Text {
  std::string bytes;
  std::string marks;  // empty: all from the template; else as long as bytes

  Text() = default;
  explicit Text(std::string content, bool user = false);

  size_t size() const { return bytes.size(); }
  bool user_at(size_t index) const { return !marks.empty() && marks[index] == kUserByte; }
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, size_t begin, size_t end);
  void append(std::string_view own, bool user = false);
  Text part(size_t begin, size_t end) const;
  Text part(std::string_view inside) const;  // a view into bytes
};

/// Python's white space.
bool is_space(uint32_t code_point);
/// Number of characters.
size_t character_count(std::string_view text);
/// Byte offset of the character with this index (the end, if there are fewer).
size_t byte_offset(std::string_view text, size_t character);

/// str.strip, lstrip, rstrip; without `characters`: Unicode white space.
std::string_view strip(std::string_view text, std::optional<std::string_view> characters, bool left,
                       bool right);
/// str.split() and str.split(separator, limit); limit -1 = all. A separator must not be empty.
std::vector<std::string_view> split_words(std::string_view text, int64_t limit);
std::vector<std::string_view> split(std::string_view text, std::string_view separator,
                                    int64_t limit);
std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator,
                                               int64_t limit);
/// str.splitlines(): at \n, \r\n, \r, \v, \f, \x1c-\x1e, \x85, U+2028, U+2029.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);
/// First occurrence in linear time; npos if there is none.
size_t find(std::string_view text, std::string_view part, size_t from = 0);
Text replace(const Text& text, std::string_view old, const Text& by, int64_t limit);

enum class LetterCase { upper, lower, title, capitalized, words };
/// title: str.title(); capitalized: str.capitalize(); words: the filter `title`, which only looks
/// at white space and brackets.
Text with_case(const Text& text, LetterCase wanted);

enum class CharacterClass { space, digit, letter, letter_or_digit, upper, lower };
/// str.isspace and its like: not empty, and every character is one (upper, lower: every cased one).
bool all_are(std::string_view text, CharacterClass wanted);

}  // namespace llm::jinja
