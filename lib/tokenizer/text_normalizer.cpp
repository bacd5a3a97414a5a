#include "tokenizer/text_normalizer.h"

#include <optional>

#include "base/error.h"
#include "base/utf8.h"

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

TextNormalizer::TextNormalizer(const SentencePieceModel& model, std::string_view file_name)
    : squeeze_spaces_(model.remove_extra_whitespaces) {
  const std::string_view map = model.charsmap;
  if (!map.empty()) {
    const bool sizes_fit = map.size() > 8 && little_endian(map) <= map.size() - 5 &&
                           little_endian(map) % 4 == 0 && little_endian(map) > 0;
    check_input(sizes_fit && map.back() == '\0',
                "'{}' is damaged: its normalisation rules are not complete", file_name);
    units_ = map.substr(4, little_endian(map));
    results_ = map.substr(4 + units_.size());
  }
  std::vector<ByteTrie::Entry> kept;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::user_defined)
      kept.emplace_back(model.pieces[id].text, static_cast<int32_t>(id));
  }
  kept_ = ByteTrie(std::move(kept));
}

uint32_t TextNormalizer::unit(size_t index) const {
  return index < units_.size() / 4 ? little_endian(units_.substr(4 * index))
                                   : 0x80000000u;  // outside: matches no byte, has no leaf
}

TextNormalizer::Step TextNormalizer::next(std::string_view text) const {
  if (const auto match = kept_.longest_prefix(text); match.length > 0)
    return {text.substr(0, match.length), match.length};
  Step step;
  size_t node = offset(unit(0));
  for (size_t i = 0; !units_.empty() && i < text.size(); ++i) {
    node ^= static_cast<uint8_t>(text[i]);
    const uint32_t reached = unit(node);
    if (label(reached) != static_cast<uint8_t>(text[i])) break;
    node ^= offset(reached);
    if (!has_leaf(reached)) continue;
    const size_t begin = leaf_value(unit(node));
    if (begin < results_.size())
      step = {results_.substr(begin, results_.find('\0', begin) - begin), i + 1};
  }
  if (step.consumed > 0) return step;
  const utf8::Character character = utf8::first_character(text);
  if (!character.valid) return {"\xEF\xBF\xBD", 1};
  return {text.substr(0, character.length), character.length};
}

std::string TextNormalizer::normalize(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  bool after_space = squeeze_spaces_;  // also removes what leads
  while (!text.empty()) {
    Step step = next(text);
    text.remove_prefix(step.consumed);
    while (after_space && step.result.starts_with(' ')) step.result.remove_prefix(1);
    if (step.result.empty()) continue;
    out += step.result;
    after_space = squeeze_spaces_ && step.result.ends_with(' ');
  }
  while (squeeze_spaces_ && out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace llm
