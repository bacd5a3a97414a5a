#include "tokenizer/charsmap.h"

#include "base/error.h"

namespace llm {
namespace {

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// The fields of one unit of darts-clone.
uint32_t label(uint32_t unit) { return unit & 0x800000FFu; }
uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200u) >> 6); }
bool has_leaf(uint32_t unit) { return unit >> 8 & 1u; }
uint32_t leaf_value(uint32_t unit) { return unit & 0x7FFFFFFFu; }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view file_name) {
  if (bytes.empty()) return;
  const bool sizes_fit = bytes.size() > 8 && little_endian(bytes) <= bytes.size() - 5 &&
                         little_endian(bytes) % 4 == 0 && little_endian(bytes) > 0;
  check_input(sizes_fit && bytes.back() == '\0',
              "'{}' is damaged: its normalisation rules are not complete", file_name);
  units_ = bytes.substr(4, little_endian(bytes));
  results_ = bytes.substr(4 + units_.size());
}

uint32_t Charsmap::unit(size_t index) const {
  return index < units_.size() / 4 ? little_endian(units_.substr(4 * index))
                                   : 0x80000000u;  // outside: matches no byte, has no leaf
}

Charsmap::Match Charsmap::find(std::string_view text, bool first) const {
  Match match;
  size_t node = offset(unit(0));
  for (size_t i = 0; !units_.empty() && i < text.size(); ++i) {
    node ^= static_cast<uint8_t>(text[i]);
    const uint32_t reached = unit(node);
    if (label(reached) != static_cast<uint8_t>(text[i])) break;
    node ^= offset(reached);
    if (!has_leaf(reached)) continue;
    const size_t begin = leaf_value(unit(node));
    if (begin < results_.size())
      match = {results_.substr(begin, results_.find('\0', begin) - begin), i + 1};
    if (first && match.consumed > 0) break;
  }
  return match;
}

}  // namespace llm
