#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/unicode_text.h"

namespace llm {
namespace {

bool is_word(std::string_view character) {
  return (unicode::first_character(character).classes & unicode::word) != 0;
}
bool ends_in_word(std::string_view text) {
  return !text.empty() && is_word(text.substr(text.size() - unicode::last_length(text)));
}

size_t spaces_at_end(std::string_view text) {
  size_t spaces = 0;
  while (!text.empty()) {
    const size_t length = unicode::last_length(text);
    if (!(unicode::first_character(text.substr(text.size() - length)).classes & unicode::space))
      break;
    text.remove_suffix(length);
    spaces += length;
  }
  return spaces;
}

size_t spaces_at_start(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const unicode::Character c = unicode::first_character(text.substr(at));
    if (!(c.classes & unicode::space)) break;
    at += c.length;
  }
  return at;
}

}  // namespace

bool looks_like_markup(std::string_view text) {
  if (text.size() < 3 || text.find(' ') != std::string_view::npos) return false;
  return (text.front() == '<' && text.back() == '>') || (text.front() == '[' && text.back() == ']');
}

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens,
                                   const std::vector<std::string>& texts)
    : tokens_(std::move(tokens)) {
  std::vector<ByteTrie::Entry> entries;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) continue;
    entries.emplace_back(texts[i], static_cast<int32_t>(i));
    begins_[static_cast<uint8_t>(texts[i][0])] = true;
  }
  trie_ = ByteTrie(std::move(entries));
}

void AddedTokenFinder::split(std::string_view text,
                             FunctionRef<void(std::string_view, int32_t)> part) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    const ByteTrie::Match match = begins_[static_cast<uint8_t>(text[at])]
                                      ? trie_.longest_prefix(text.substr(at))
                                      : ByteTrie::Match{};
    if (match.length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[match.value];
    size_t begin = at, end = at + match.length;
    at = end;  // the search goes on behind the token, also one that does not count
    if (token.single_word) {
      const bool alone = !ends_in_word(text.substr(0, begin)) &&
                         (end == text.size() || !is_word(text.substr(end)));
      if (!alone) continue;
    }
    if (token.lstrip && begin > done) begin -= spaces_at_end(text.substr(done, begin - done));
    if (token.rstrip) end += spaces_at_start(text.substr(end));
    if (begin > done) part(text.substr(done, begin - done), -1);
    part(text.substr(begin, end - begin), token.id);
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) part(text.substr(done), -1);
}

}  // namespace llm
