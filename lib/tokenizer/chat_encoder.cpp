#include "tokenizer/chat_encoder.h"

#include <algorithm>
#include <utility>

#include "tokenizer/added_tokens.h"

namespace llm {
namespace {

ByteTrie control_tokens(const Tokenizer& tokenizer) {
  std::vector<ByteTrie::Entry> entries;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view text = tokenizer.token_text(id);
    if (text.empty()) continue;
    const std::vector<int32_t> alone = {id};
    // An added token that is not special, such as <tool_call>: plain text does not give it.
    const bool added = looks_like_markup(text) && tokenizer.encode_with_special(text) == alone &&
                       tokenizer.encode(text) != alone;
    if (tokenizer.is_special(id) || added) entries.emplace_back(text, id);
  }
  return ByteTrie(std::move(entries));
}

/// Moves on to the first span that ends behind `at`.
bool touches_user(const std::vector<TextSpan>& user, size_t& next, size_t begin, size_t end) {
  while (next < user.size() && user[next].end <= begin) ++next;
  return next < user.size() && user[next].begin < end;
}

/// The edge itself, or the beginning of what it would cut.
size_t whole_edge(std::string_view text, const std::vector<TextSpan>& own, size_t edge) {
  const auto after = std::upper_bound(
      own.begin(), own.end(), edge, [](size_t at, const TextSpan& span) { return at < span.end; });
  if (after != own.end() && after->begin < edge) return after->begin;
  while (edge > 0 && edge < text.size() && (static_cast<unsigned char>(text[edge]) & 0xC0) == 0x80)
    --edge;
  return edge;
}

}  // namespace

ChatEncoder::ChatEncoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      control_(control_tokens(tokenizer)),
      newline_ids_(tokenizer.encode("\n")) {}

/// Every control token that is spelled with at least one byte of the user's, without what belongs
/// to a token of the template's own.
ChatEncoder::Spellings ChatEncoder::control_spellings(const RenderedChat& chat) const {
  std::vector<TextSpan> own, forged;
  size_t next = 0;
  for (size_t at = 0; at < chat.text.size(); ++at) {
    // The template's tokens stand in the order of the text and do not overlap; forged ones may
    // begin anywhere.
    const ByteTrie::Match match = control_.longest_prefix(std::string_view(chat.text).substr(at));
    if (match.length == 0) continue;
    const TextSpan span{at, at + match.length};
    if (!touches_user(chat.user, next, span.begin, span.end)) {
      if (own.empty() || own.back().end <= at) own.push_back(span);
    } else if (forged.empty() || forged.back().end <= at) {
      forged.push_back(span);
    }
  }
  std::vector<TextSpan> result;
  size_t other = 0;
  for (TextSpan span : forged) {
    while (other < own.size() && own[other].end <= span.begin) ++other;
    if (other < own.size() && own[other].begin < span.end) {
      if (own[other].begin <= span.begin) span.begin = own[other].end;
      span.end = std::max(span.begin, std::min(span.end, own[other].begin));
    }
    if (span.begin < span.end) result.push_back(span);
  }
  return {std::move(own), std::move(result)};
}

/// Behind the first piece, a tokenizer that puts a space before every text must not do so: it sees
/// the piece behind a newline, whose ids are taken off again.
std::vector<int32_t> ChatEncoder::piece(std::string_view text, bool first, bool special) const {
  const auto encode = [&](std::string_view bytes) {
    return special ? tokenizer_.encode_with_special(bytes) : tokenizer_.encode(bytes);
  };
  if (text.empty()) return {};
  if (first) return encode(text);
  std::vector<int32_t> ids = encode("\n" + std::string(text));
  if (ids.size() < newline_ids_.size() ||
      !std::equal(newline_ids_.begin(), newline_ids_.end(), ids.begin())) {
    return encode(text);
  }
  ids.erase(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(newline_ids_.size()));
  return ids;
}

/// The ids of one part of the text, forged spellings each by themselves.
void ChatEncoder::append(const RenderedChat& chat, const std::vector<TextSpan>& forged,
                         TextSpan part, std::vector<int32_t>& ids) const {
  const auto add = [&](size_t begin, size_t end, bool special) {
    const std::string_view text = std::string_view(chat.text).substr(begin, end - begin);
    const std::vector<int32_t> more = piece(text, begin == 0, special);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  size_t at = part.begin;
  for (const TextSpan& span : forged) {
    const TextSpan inside{std::max(span.begin, at), std::min(span.end, part.end)};
    if (inside.begin >= inside.end) continue;
    add(at, inside.begin, true);
    add(inside.begin, inside.end, false);
    at = inside.end;
  }
  add(at, part.end, true);
}

std::vector<int32_t> ChatEncoder::encode(const RenderedChat& chat) const {
  std::vector<int32_t> ids;
  append(chat, control_spellings(chat).forged, {0, chat.text.size()}, ids);
  return ids;
}

MarkedIds ChatEncoder::encode_marked(const RenderedChat& chat,
                                     std::span<const TextSpan> learnt) const {
  const Spellings spellings = control_spellings(chat);
  MarkedIds marked;
  size_t at = 0;
  const auto add = [&](size_t edge, bool learn) {
    const size_t end = std::max(at, whole_edge(chat.text, spellings.own, edge));
    append(chat, spellings.forged, {at, end}, marked.ids);
    marked.learnt.resize(marked.ids.size(), learn);
    at = end;
  };
  for (const TextSpan& span : learnt) {
    add(span.begin, false);
    add(span.end, true);
  }
  add(chat.text.size(), false);
  return marked;
}

}  // namespace llm
