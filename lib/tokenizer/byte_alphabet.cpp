// GPT-2's spelling of bytes: printable ones stand for themselves, the others for U+0100 and on.
#include <charconv>

#include "base/utf8.h"
#include "tokenizer/word_model.h"

namespace llm {
namespace {

constexpr uint32_t kHighest = 0x143;

bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct ByteAlphabet {
  std::array<std::string, 256> spelling;
  std::array<int16_t, kHighest + 1> byte_of;  // by code point; -1 = none

  ByteAlphabet() {
    byte_of.fill(-1);
    uint32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const uint32_t code_point = is_printable(byte) ? static_cast<uint32_t>(byte) : next++;
      utf8::append(spelling[static_cast<size_t>(byte)], code_point);
      byte_of[code_point] = static_cast<int16_t>(byte);
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet the;
  return the;
}

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += alphabet().spelling[static_cast<uint8_t>(byte)];
  return out;
}

bool from_byte_alphabet(std::string_view text, std::string& bytes) {
  bytes.clear();
  while (!text.empty()) {
    const utf8::Character c = utf8::first_character(text);
    if (!c.valid || c.code_point > kHighest || alphabet().byte_of[c.code_point] < 0) return false;
    bytes += static_cast<char>(alphabet().byte_of[c.code_point]);
    text.remove_prefix(c.length);
  }
  return true;
}

std::array<int32_t, 256> find_byte_pieces(const std::vector<std::string>& pieces) {
  std::array<int32_t, 256> ids;
  ids.fill(-1);
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string& text = pieces[id];
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') continue;
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
    if (!is_digit(text[3]) || !is_digit(text[4])) continue;
    uint8_t byte = 0;
    std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
    ids[byte] = static_cast<int32_t>(id);
  }
  return ids;
}

}  // namespace llm
