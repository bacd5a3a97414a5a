#include "tokenizer/pipeline_tokenizer.h"

#include "base/error.h"
#include "base/sha256.h"

namespace llm {

PipelineTokenizer::PipelineTokenizer(PipelineStages stages, std::vector<TokenizerFile> files)
    : stages_(std::move(stages)),
      files_(std::move(files)),
      sha256_(sha256_hex(std::string_view(files_[0].bytes))),
      special_(stages_.pieces.size()) {
  for (const AddedToken& token : stages_.added)
    special_[static_cast<size_t>(token.id)] = token.special;
  for (const int32_t id :
       {stages_.bos_id, stages_.eos_id, stages_.pad_id, stages_.unk_id, stages_.mask_id}) {
    if (id >= 0) special_[static_cast<size_t>(id)] = true;
  }
  ids_.reserve(stages_.pieces.size());
  for (size_t id = 0; id < stages_.pieces.size(); ++id)
    ids_.emplace(stages_.pieces[id], static_cast<int32_t>(id));
  make_model();
  text_finders_ = make_finders(false);
  all_finders_ = make_finders(true);
  decode_pieces();
}

void PipelineTokenizer::make_model() {
  // Special tokens are never made from text.
  std::vector<std::string> pieces(stages_.pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (special_[id]) continue;
    if (!stages_.byte_level)
      pieces[id] = stages_.pieces[id];
    else if (!from_byte_alphabet(stages_.pieces[id], pieces[id]))
      pieces[id].clear();  // spelled with other characters: an added token
  }
  std::vector<PieceMerge> merges;
  for (const PieceMerge& merge : stages_.merges) {
    if (!special_[static_cast<size_t>(merge.piece)]) merges.push_back(merge);
  }
  if (stages_.kind == ModelKind::bpe)
    model_ = make_bpe_model(pieces, merges, stages_.bpe);
  else
    model_ = make_unigram_model(pieces, stages_.scores, stages_.unigram);
}

PipelineTokenizer::Finders PipelineTokenizer::make_finders(bool all) const {
  std::vector<AddedToken> raw, normalized;
  std::vector<std::string> raw_texts, normalized_texts;
  for (const AddedToken& token : stages_.added) {
    if (!all && (token.special || looks_like_markup(token.text))) continue;
    if (token.normalized) {
      normalized.push_back(token);
      std::string text;
      if (stages_.rewriter)
        stages_.rewriter->rewrite(token.text, text);
      else
        text = token.text;
      normalized_texts.push_back(std::move(text));
    } else {
      raw.push_back(token);
      raw_texts.push_back(token.text);
    }
  }
  return {AddedTokenFinder(std::move(raw), raw_texts),
          AddedTokenFinder(std::move(normalized), normalized_texts)};
}

void PipelineTokenizer::decode_pieces() {
  for (size_t id = 0; id < stages_.pieces.size(); ++id) {
    decoded_begin_.push_back(decoded_.size());
    if (!special_[id]) decoded_ += stages_.decoder.decode(stages_.pieces[id], false);
  }
  decoded_begin_.push_back(decoded_.size());
}

void PipelineTokenizer::encode_rewritten(std::string_view text, bool at_start,
                                         std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  if (!stages_.pre_tokenizer) return model_->append(text, ids);
  stages_.pre_tokenizer->split(text, at_start,
                               [&](std::string_view piece, bool) { model_->append(piece, ids); });
}

std::vector<int32_t> PipelineTokenizer::encode_with(std::string_view text,
                                                    const Finders& finders) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  std::string rewritten;
  finders.raw.split(text, [&](std::string_view part, int32_t token) {
    if (token >= 0) return ids.push_back(token);
    const bool at_start = part.data() == text.data();
    if (stages_.rewriter && !stages_.rewriter->keeps(part)) {
      rewritten.clear();
      stages_.rewriter->rewrite(part, rewritten);
      part = rewritten;
    }
    finders.normalized.split(part, [&](std::string_view inner, int32_t inner_token) {
      if (inner_token >= 0) return ids.push_back(inner_token);
      encode_rewritten(inner, at_start && inner.data() == part.data(), ids);
    });
  });
  return ids;
}

std::vector<int32_t> PipelineTokenizer::encode(std::string_view text) const {
  return encode_with(text, text_finders_);
}
std::vector<int32_t> PipelineTokenizer::encode_with_special(std::string_view text) const {
  return encode_with(text, all_finders_);
}

std::vector<int32_t> PipelineTokenizer::with_template(std::vector<int32_t> ids) const {
  ids.insert(ids.begin(), stages_.before.begin(), stages_.before.end());
  ids.insert(ids.end(), stages_.after.begin(), stages_.after.end());
  return ids;
}

void PipelineTokenizer::check_id(int32_t id) const {
  check(id >= 0 && id < vocab_size(), "token id {} is outside the vocabulary (0 to {})", id,
        vocab_size() - 1);
}

std::string PipelineTokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  bool first = stages_.decoder.first_differs();
  for (const int32_t id : ids) {
    const std::string_view bytes = token_bytes(id);
    if (special_[static_cast<size_t>(id)]) continue;
    if (first)
      out += stages_.decoder.decode(stages_.pieces[static_cast<size_t>(id)], true);
    else
      out += bytes;
    first = false;
  }
  stages_.decoder.finish(out);
  return out;
}

std::string_view PipelineTokenizer::token_bytes(int32_t id) const {
  check_id(id);
  const auto at = static_cast<size_t>(id);
  return std::string_view(decoded_).substr(decoded_begin_[at],
                                           decoded_begin_[at + 1] - decoded_begin_[at]);
}

std::string_view PipelineTokenizer::token_text(int32_t id) const {
  check_id(id);
  return stages_.pieces[static_cast<size_t>(id)];
}

std::optional<int32_t> PipelineTokenizer::find_token(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? std::nullopt : std::optional<int32_t>(found->second);
}

bool PipelineTokenizer::is_special(int32_t id) const {
  check_id(id);
  return special_[static_cast<size_t>(id)];
}

}  // namespace llm
