#include "tokenizer/jinja_text.h"

#include <string.h>

#include <algorithm>

#include "base/utf8.h"

namespace llm::jinja {

Text::Text(std::string content, bool user) : bytes(std::move(content)) {
  if (user) marks.assign(bytes.size(), kUserByte);
}

void Text::append(const Text& other, size_t begin, size_t end) {
  if (!other.marks.empty() && marks.empty()) marks.assign(bytes.size(), kTemplateByte);
  bytes.append(other.bytes, begin, end - begin);
  if (!other.marks.empty()) {
    marks.append(other.marks, begin, end - begin);
  } else if (!marks.empty()) {
    marks.append(end - begin, kTemplateByte);
  }
}

void Text::append(std::string_view own, bool user) {
  if (user && marks.empty()) marks.assign(bytes.size(), kTemplateByte);
  bytes.append(own);
  if (user || !marks.empty()) marks.append(own.size(), user ? kUserByte : kTemplateByte);
}

Text Text::part(size_t begin, size_t end) const {
  Text result;
  result.bytes = bytes.substr(begin, end - begin);
  if (!marks.empty()) result.marks = marks.substr(begin, end - begin);
  return result;
}

Text Text::part(std::string_view inside) const {
  const auto begin = static_cast<size_t>(inside.data() - bytes.data());
  return part(begin, begin + inside.size());
}

bool is_space(uint32_t c) {
  if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

bool is_line_end(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

size_t last_character_begin(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && !starts_character(text[at])) --at;
  return at;
}

}  // namespace

size_t character_count(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

size_t byte_offset(std::string_view text, size_t character) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (starts_character(text[at]) && character-- == 0) break;
  }
  return at;
}

std::string_view strip(std::string_view text, std::optional<std::string_view> characters, bool left,
                       bool right) {
  const auto drop = [&](std::string_view character) {
    return characters ? characters->find(character) != std::string_view::npos
                      : is_space(utf8::first_character(character).code_point);
  };
  while (left && !text.empty()) {
    const size_t length = utf8::first_character(text).length;
    if (!drop(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    const size_t begin = last_character_begin(text);
    if (!drop(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::vector<std::string_view> split_words(std::string_view text, int64_t limit) {
  std::vector<std::string_view> words;
  text = strip(text, std::nullopt, true, false);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(words.size()) == limit) {
      words.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      const utf8::Character next = utf8::first_character(text.substr(end));
      if (is_space(next.code_point)) break;
      end += next.length;
    }
    words.push_back(text.substr(0, end));
    text = strip(text.substr(end), std::nullopt, true, false);
  }
  return words;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator,
                                    int64_t limit) {
  std::vector<std::string_view> parts;
  size_t at = 0;
  for (size_t next = find(text, separator);
       next != std::string_view::npos && (limit < 0 || static_cast<int64_t>(parts.size()) < limit);
       next = find(text, separator, at)) {
    parts.push_back(text.substr(at, next - at));
    at = next + separator.size();
  }
  parts.push_back(text.substr(at));
  return parts;
}

std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator,
                                               int64_t limit) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    const utf8::Character next = utf8::first_character(text.substr(at));
    if (!is_line_end(next.code_point)) {
      at += next.length;
      continue;
    }
    size_t after = at + next.length;
    if (text[at] == '\r' && after < text.size() && text[after] == '\n') ++after;
    lines.push_back(text.substr(begin, (keep_ends ? after : at) - begin));
    begin = at = after;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

size_t find(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

Text replace(const Text& text, std::string_view old, const Text& by, int64_t limit) {
  Text result;
  size_t at = 0;
  int64_t count = 0;
  if (old.empty()) {  // before every character and at the end, as Python does
    while (limit < 0 || count++ < limit) {
      result.append(by);
      if (at == text.size()) return result;
      const size_t next =
          at + utf8::first_character(std::string_view(text.bytes).substr(at)).length;
      result.append(text, at, next);
      at = next;
    }
  } else {
    for (; limit < 0 || count < limit; ++count) {
      const size_t next = find(text.bytes, old, at);
      if (next == std::string::npos) break;
      result.append(text, at, next);
      result.append(by);
      at = next + old.size();
    }
  }
  result.append(text, at, text.size());
  return result;
}

}  // namespace llm::jinja
