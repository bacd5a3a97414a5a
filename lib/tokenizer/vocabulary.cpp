#include <algorithm>

#include "tokenizer/added_tokens.h"
#include "tokenizer/segmenter.h"

namespace llm {
namespace {

constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581

}  // namespace

Vocabulary::Vocabulary(const SentencePieceModel& model)
    : pieces_(model.pieces),
      uses_(pieces_.size(), Use::none),
      byte_ids_(model.byte_ids),
      byte_fallback_(model.byte_fallback),
      unk_id_(model.unk_id) {
  std::vector<size_t> offsets(pieces_.size());
  for (size_t id = 0; id < pieces_.size(); ++id) {
    offsets[id] = spelled_.size();
    if (type(static_cast<int32_t>(id)) == PieceType::control) continue;
    std::string_view rest = pieces_[id].text;
    while (!rest.empty()) {
      const size_t mark = std::min(rest.find(kWordMark), rest.size());
      spelled_.append(rest.substr(0, mark));
      if (mark < rest.size()) spelled_ += ' ';
      rest.remove_prefix(std::min(rest.size(), mark + kWordMark.size()));
    }
  }
  for (size_t id = 0; id < pieces_.size(); ++id) {
    const size_t end = id + 1 < pieces_.size() ? offsets[id + 1] : spelled_.size();
    // SentencePiece turns every space into a mark before it looks, so it never finds a piece that
    // holds a literal space.
    const bool reachable = pieces_[id].text.find(' ') == std::string_view::npos;
    pieces_[id].text = std::string_view(spelled_).substr(offsets[id], end - offsets[id]);
    if (!reachable) continue;
    const PieceType type = pieces_[id].type;
    if (type == PieceType::normal || type == PieceType::unused) uses_[id] = Use::text;
    if (type == PieceType::user_defined)
      uses_[id] = looks_like_markup(pieces_[id].text) ? Use::marker : Use::frozen;
  }
}

void Vocabulary::append_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  if (byte_fallback_) {
    for (const char byte : text) append_byte(static_cast<uint8_t>(byte), ids);
  } else if (ids.empty() || ids.back() != unk_id_) {
    ids.push_back(unk_id_);
  }
}

}  // namespace llm
