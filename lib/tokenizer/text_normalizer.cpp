#include "tokenizer/text_normalizer.h"

#include "base/utf8.h"

namespace llm {

TextNormalizer::TextNormalizer(const SentencePieceModel& model, std::string_view file_name)
    : rules_(model.charsmap, file_name), squeeze_spaces_(model.remove_extra_whitespaces) {
  std::vector<ByteTrie::Entry> kept;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::user_defined)
      kept.emplace_back(model.pieces[id].text, static_cast<int32_t>(id));
  }
  kept_ = ByteTrie(std::move(kept));
}

TextNormalizer::Step TextNormalizer::next(std::string_view text) const {
  if (const auto match = kept_.longest_prefix(text); match.length > 0)
    return {text.substr(0, match.length), match.length};
  if (const Charsmap::Match match = rules_.longest(text); match.consumed > 0)
    return {match.result, match.consumed};
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
