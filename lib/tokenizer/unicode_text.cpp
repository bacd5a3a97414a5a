#include "tokenizer/unicode_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/utf8.h"
#include "tokenizer/unicode_differences.h"

namespace llm::unicode {
namespace {

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// Alphabetic characters that are neither letters, marks nor numbers, and the two joiners.
bool is_odd_word_character(uint32_t c) {
  return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
         (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

int options_of(Form form) {
  switch (form) {
    case Form::nfc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case Form::nfd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case Form::nfkc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case Form::nfkd:
      break;
  }
  return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
}

/// Classes of a character that is not ASCII.
uint8_t look_up_classes(uint32_t c) {
  if (const auto* later = find_range(later_characters(), c))
    return later->classes | (later->is_word ? word : no_class);
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  uint8_t bits = is_space(c) ? space : 0;
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) {
    bits |= letter | word;
  } else if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) {
    bits |= mark | word;
  } else if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) {
    bits |= number;
    if (category != UTF8PROC_CATEGORY_NO) bits |= word;
  } else if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO) {
    bits |= punctuation;
    if (category == UTF8PROC_CATEGORY_PC) bits |= word;
  } else if (category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_CC) {
    bits |= control;
  }
  if (is_odd_word_character(c)) bits |= word;
  return bits;
}

/// Classes of the characters of up to three bytes, where most text lives.
using NearClasses = std::array<uint8_t, 0x10000>;
const NearClasses& near_classes() {
  static const std::unique_ptr<const NearClasses> classes = [] {
    auto made = std::make_unique<NearClasses>();
    for (uint32_t c = 0x80; c < made->size(); ++c) (*made)[c] = look_up_classes(c);
    return made;
  }();
  return *classes;
}

/// Text of known, valid characters.
void normalize_known(std::string_view text, Form form, std::string& out) {
  if (text.empty()) return;
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &made,
                   static_cast<utf8proc_option_t>(options_of(form)));
  if (length < 0) throw std::bad_alloc();  // valid text fails for no other reason
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(made, std::free);
  out.append(reinterpret_cast<const char*>(made), static_cast<size_t>(length));
}

/// Valid text; a character that the normalisers do not know parts it in two.
void normalize_valid(std::string_view text, Form form, std::string& out) {
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const utf8::Character found = utf8::first_character(text.substr(at));
    if (is_unknown_to_normalizers(found.code_point)) {
      normalize_known(text.substr(begin, at - begin), form, out);
      begin = at + found.length;
      out += text.substr(at, found.length);
    }
    at += found.length;
  }
  normalize_known(text.substr(begin), form, out);
}

constexpr detail::AsciiClasses ascii_classes() {
  detail::AsciiClasses classes{};
  for (int c = 0; c < 128; ++c) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    const bool is_symbol = c == '$' || c == '+' || c == '<' || c == '=' || c == '>' || c == '^' ||
                           c == '`' || c == '|' || c == '~';
    uint8_t bits = 0;
    if (is_letter) bits |= letter;
    if (is_digit) bits |= number;
    if (is_letter || is_digit || c == '_') bits |= word;
    if ((c >= 9 && c <= 13) || c == ' ') bits |= space;
    if (c < 0x20 || c == 0x7F) bits |= control;
    if (c > ' ' && c < 0x7F && !is_letter && !is_digit && !is_symbol) bits |= punctuation;
    classes.of[c] = bits;
  }
  return classes;
}

}  // namespace

const detail::AsciiClasses detail::kAscii = ascii_classes();

uint8_t classes_of(uint32_t c) {
  if (c < 128) return detail::kAscii.of[c];
  return c < std::tuple_size_v<NearClasses> ? near_classes()[c] : look_up_classes(c);
}

bool is_unknown_to_normalizers(uint32_t code_point) {
  constexpr uint32_t kFirstUnknown = 0x7FD;
  return code_point >= kFirstUnknown && find_range(unknown_to_normalizers(), code_point) != nullptr;
}

Character detail::far_character(std::string_view text) {
  const utf8::Character found = utf8::first_character(text);
  if (!found.valid) return {0xFFFD, 1, 0};
  return {found.code_point, static_cast<uint8_t>(found.length), classes_of(found.code_point)};
}

size_t last_length(std::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(4, text.size()); ++length) {
    const std::string_view end = text.substr(text.size() - length);
    if ((static_cast<uint8_t>(end[0]) & 0xC0) == 0x80) continue;
    const utf8::Character found = utf8::first_character(end);
    return found.valid && found.length == length ? length : 1;
  }
  return 1;
}

void normalize(std::string_view text, Form form, std::string& out) {
  while (!text.empty()) {
    const size_t valid = utf8::valid_prefix(text);
    if (valid > 0) normalize_valid(text.substr(0, valid), form, out);
    text.remove_prefix(valid);
    if (!text.empty()) {
      out += text[0];
      text.remove_prefix(1);
    }
  }
}

bool surely_normal(std::string_view text, Form form) {
  constexpr uint32_t kFirstCombining = 0x300;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80) {
      ++at;
      continue;
    }
    if (form != Form::nfc) return false;
    const utf8::Character found = utf8::first_character(text.substr(at));
    at += found.valid ? found.length : 1;
    if (!found.valid || found.code_point < kFirstCombining) continue;
    const bool joins_syllable = found.code_point >= 0x1160 && found.code_point <= 0x11FF;
    const bool is_syllable = found.code_point >= 0xAC00 && found.code_point <= 0xD7A3;
    const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(found.code_point));
    const bool is_second = property->comb_index != UINT16_MAX && property->comb_index >= 0x8000;
    if (joins_syllable || is_second || property->combining_class != 0) return false;
    if (property->decomp_seqindex != UINT16_MAX && !is_syllable && property->decomp_type == 0)
      return false;
  }
  return true;
}

void append_lower(uint32_t code_point, std::string& out) {
  if (code_point == 0x130) {  // the only one that becomes two characters
    out += "i\xCC\x87";
    return;
  }
  if (const auto* other = find_range(other_lower_case(), code_point)) {
    utf8::append(out, code_point + static_cast<uint32_t>(other->difference));
    return;
  }
  utf8::append(out,
               static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point))));
}

size_t first_grapheme(std::string_view text) {
  utf8proc_int32_t state = 0;
  Character before = first_character(text);
  size_t at = before.length;
  while (at < text.size()) {
    const Character next = first_character(text.substr(at));
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before.code_point),
                                         static_cast<utf8proc_int32_t>(next.code_point), &state))
      break;
    at += next.length;
    before = next;
  }
  return at;
}

}  // namespace llm::unicode
