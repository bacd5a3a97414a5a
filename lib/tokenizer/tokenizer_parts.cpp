#include "tokenizer/tokenizer_parts.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/pipeline_tokenizer.h"
#include "tokenizer/sentencepiece_tokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/word_patterns.h"

namespace llm {
namespace {

/// Refuses to take apart what parts cannot say.
[[noreturn]] void refuse(std::string_view what) {
  fail(Exit::bad_input,
       fmt::format("this tokenizer cannot be written in another format: {}", what));
}

void check_ids(const TokenizerParts& parts, std::string_view name) {
  const auto most = static_cast<int32_t>(parts.pieces.size());
  for (const auto& [key, id] : {std::pair{"bos", parts.bos_id},
                                {"eos", parts.eos_id},
                                {"unk", parts.unk_id},
                                {"pad", parts.pad_id},
                                {"mask", parts.mask_id}}) {
    check_input(id >= -1 && id < most, "'{}': the {} token has id {}, but there are {} pieces",
                name, key, id, most);
  }
  check_input(!parts.pieces.empty(), "'{}': the tokenizer has no pieces", name);
  check_input(parts.pieces.size() <= kMaxPieces, "'{}' declares more than {} pieces", name,
              kMaxPieces);
  PieceIndex seen(parts.pieces.size());
  for (size_t id = 0; id < parts.pieces.size(); ++id) {
    const int32_t first = seen.insert(parts.pieces[id].text, static_cast<int32_t>(id));
    check_input(first < 0, "'{}': piece '{}' appears twice (ids {}, {})", name,
                parts.pieces[id].text.substr(0, 64), first, id);
  }
}

TokenizerParts sentencepiece_parts(const SentencePieceTokenizer& tokenizer) {
  const SentencePieceModel& model = tokenizer.model();
  if (model.segmentation != SegmentationType::bpe &&
      model.segmentation != SegmentationType::unigram)
    refuse("a SentencePiece model of type word or char");
  TokenizerParts parts;
  parts.kind =
      model.segmentation == SegmentationType::bpe ? TokenizerKind::bpe : TokenizerKind::unigram;
  parts.pre.clear();
  for (const SentencePiece& piece : model.pieces)
    parts.pieces.push_back({std::string(piece.text), piece.score, piece.type});
  parts.add_space_prefix = model.add_dummy_prefix;
  parts.remove_extra_whitespaces = model.remove_extra_whitespaces;
  parts.charsmap = model.charsmap;
  parts.add_bos = tokenizer.adds_bos();
  parts.add_eos = tokenizer.adds_eos();
  return parts;
}

/// Scores in the order in which BPE joins: a piece's is minus the rank of its first merge. Pieces
/// of equal rank order are what SentencePiece would make of them; other files are refused.
void score_by_merges(const PipelineStages& stages, TokenizerParts& parts) {
  std::vector<int32_t> last_rank(parts.pieces.size(), -1);
  for (size_t rank = 0; rank < stages.merges.size(); ++rank) {
    const auto piece = static_cast<size_t>(stages.merges[rank].piece);
    const bool goes_on = last_rank[piece] < 0 || last_rank[piece] + 1 == static_cast<int32_t>(rank);
    if (!goes_on) refuse("its merges are not ordered by the pieces they make");
    if (last_rank[piece] < 0) parts.pieces[piece].score = -static_cast<float>(rank + 1);
    last_rank[piece] = static_cast<int32_t>(rank);
  }
}

void add_types(const PipelineStages& stages, TokenizerParts& parts) {
  for (const AddedToken& token : stages.added) {
    TokenizerPiece& piece = parts.pieces[static_cast<size_t>(token.id)];
    piece.type = token.special ? PieceType::control : PieceType::user_defined;
  }
  if (parts.kind == TokenizerKind::byte_bpe) return;
  const auto bytes = find_byte_pieces(stages.pieces);
  for (const int32_t id : bytes) {
    if (id >= 0) parts.pieces[static_cast<size_t>(id)].type = PieceType::byte;
  }
  if (stages.unk_id >= 0)
    parts.pieces[static_cast<size_t>(stages.unk_id)].type = PieceType::unknown;
}

TokenizerParts pipeline_parts(const PipelineTokenizer& tokenizer) {
  const PipelineStages& stages = tokenizer.stages();
  TokenizerParts parts;
  for (const std::string& piece : stages.pieces) parts.pieces.push_back({piece});
  const bool plain_bpe = stages.bpe.continuing_prefix.empty() && stages.bpe.word_suffix.empty();
  if (stages.byte_level && stages.kind == ModelKind::bpe && plain_bpe) {
    if (stages.rewriter && !stages.keeps_text) refuse("it rewrites text before cutting it");
    parts.kind = TokenizerKind::byte_bpe;
    std::vector<std::string_view> patterns(stages.word_patterns.begin(),
                                           stages.word_patterns.end());
    parts.pre = stages.words_are_patterns ? name_of_patterns(patterns) : "";
    parts.ignore_merges = stages.bpe.ignore_merges;
    for (const PieceMerge& merge : stages.merges)
      parts.merges.emplace_back(stages.pieces[static_cast<size_t>(merge.left)],
                                stages.pieces[static_cast<size_t>(merge.right)]);
  } else if (stages.is_sentencepiece_style && stages.kind == ModelKind::unigram) {
    parts.kind = TokenizerKind::unigram;
    for (size_t id = 0; id < stages.scores.size(); ++id)
      parts.pieces[id].score = static_cast<float>(stages.scores[id]);
  } else if (stages.is_sentencepiece_style && plain_bpe && stages.bpe.byte_fallback) {
    parts.kind = TokenizerKind::bpe;
    score_by_merges(stages, parts);
  } else {
    refuse("it is neither byte-level BPE nor in the style of SentencePiece");
  }
  if (parts.kind != TokenizerKind::byte_bpe) parts.pre.clear();
  add_types(stages, parts);
  parts.add_space_prefix = stages.puts_space_before;
  parts.add_bos = !stages.before.empty() && stages.before.front() == stages.bos_id;
  parts.add_eos = !stages.after.empty() && stages.after.back() == stages.eos_id;
  return parts;
}

}  // namespace

TokenizerParts tokenizer_parts(const Tokenizer& tokenizer) {
  TokenizerParts parts;
  if (const auto* model = dynamic_cast<const SentencePieceTokenizer*>(&tokenizer))
    parts = sentencepiece_parts(*model);
  else if (const auto* pipeline = dynamic_cast<const PipelineTokenizer*>(&tokenizer))
    parts = pipeline_parts(*pipeline);
  else
    refuse("it is of no kind that has parts");
  parts.bos_id = tokenizer.bos_id();
  parts.eos_id = tokenizer.eos_id();
  parts.unk_id = tokenizer.unk_id();
  parts.pad_id = tokenizer.pad_id();
  parts.mask_id = tokenizer.mask_id();
  return parts;
}

std::unique_ptr<const Tokenizer> make_tokenizer(const TokenizerParts& parts,
                                                std::string_view name) {
  check_ids(parts, name);
  std::vector<TokenizerFile> companions{
      {"tokenizer_config.json", write_tokenizer_config(parts, "")}};
  if (parts.kind != TokenizerKind::byte_bpe)
    return std::make_unique<SentencePieceTokenizer>(write_sentencepiece_model(parts), name,
                                                    std::move(companions));
  if (find_named_words(parts.pre) == nullptr) {
    fail(Exit::bad_input,
         fmt::format("'{}': pre-tokenizer '{}' is not known; result would differ", name, parts.pre),
         fmt::format("known are {}", fmt::join(known_pre_tokenizers(), ", ")));
  }
  std::string file = write_tokenizer_json(parts);
  PipelineStages stages = read_tokenizer_json(file, name);
  find_special_tokens(stages, companions, name);
  companions.insert(companions.begin(), {"tokenizer.json", std::move(file)});
  return std::make_unique<PipelineTokenizer>(std::move(stages), std::move(companions));
}

std::vector<std::string_view> known_pre_tokenizers() {
  std::vector<std::string_view> names;
  for (const NamedWords& words : named_words()) names.push_back(words.name);
  return names;
}

}  // namespace llm
