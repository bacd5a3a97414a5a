#include "tokenizer/sentencepiece_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/sha256.h"

namespace llm {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";    // U+2581
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Bytes of the character at `at`, 0 if they are not valid UTF-8 (RFC 3629).
size_t valid_character(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : uint8_t{0};
  };
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if ((first & 0xF0) == 0xE0) {
    const bool in_range = !(first == 0xE0 && second < 0xA0) && !(first == 0xED && second > 0x9F);
    return follows(1) && in_range && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool in_range = !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second > 0x8F);
    return follows(1) && in_range && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

/// What SentencePiece reads where it has no byte pieces: spaces for space marks, U+FFFD for broken
/// bytes.
std::string without_lost_bytes(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = valid_character(text, at);
    if (bytes == 0)
      out += kReplacement;
    else if (text.substr(at, bytes) == kSpaceMark)
      out += ' ';
    else
      out += text.substr(at, bytes);
    at += std::max<size_t>(bytes, 1);
  }
  return out;
}

std::unique_ptr<const Segmenter> make_segmenter(const SentencePieceModel& model,
                                                const Vocabulary& vocabulary,
                                                std::string_view name) {
  switch (model.segmentation) {
    case SegmentationType::unigram:
      return make_unigram_segmenter(vocabulary);
    case SegmentationType::bpe:
      return make_bpe_segmenter(vocabulary, name);
    case SegmentationType::word:
      return make_word_segmenter(vocabulary);
    case SegmentationType::character:
      break;
  }
  return make_character_segmenter(vocabulary);
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(std::string file, std::string_view name,
                                               std::vector<TokenizerFile> companions)
    : file_(std::move(file)),
      companions_(std::move(companions)),
      sha256_(sha256_hex(std::string_view(file_))),
      model_(read_sentencepiece_model(file_, name)),
      vocabulary_(model_),
      normalizer_(model_, name),
      names_(model_.pieces.size()),
      segmenter_(make_segmenter(model_, vocabulary_, name)) {
  for (size_t id = 0; id < model_.pieces.size(); ++id)
    names_.insert(model_.pieces[id].text, static_cast<int32_t>(id));
  pad_id_ = special_id(model_.pad_piece);
  bos_id_ = special_id(model_.bos_piece);
  eos_id_ = special_id(model_.eos_piece);
  mask_id_ = special_id("<mask>") >= 0 ? special_id("<mask>") : special_id("[MASK]");
  if (eos_id_ < 0) {
    fail(Exit::bad_input,
         fmt::format("'{}' has no end-of-text token (no piece is called '{}')", name,
                     model_.eos_piece),
         "documents cannot be separated without one: take another tokenizer, or make one with: llm "
         "train-tokenizer --input FILE");
  }
  find_cuts();
  index_whole_pieces();
  find_special_texts();
  read_template();
}

void SentencePieceTokenizer::find_special_texts() {
  std::vector<ByteTrie::Entry> entries;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary_.size()); ++id) {
    if (vocabulary_.type(id) == PieceType::control || vocabulary_.is_marker(id))
      entries.emplace_back(model_.pieces[static_cast<size_t>(id)].text, id);
  }
  special_texts_ = ByteTrie(std::move(entries));
}

void SentencePieceTokenizer::read_template() {
  for (const TokenizerFile& file : companions_) {
    if (file.name != "tokenizer_config.json") continue;
    const nlohmann::json document = parse_json(file.bytes, fmt::format("'{}'", file.name));
    const JsonView root(document, file.name);
    root.expect_object();
    adds_bos_ = root.get_bool("add_bos_token", false) && bos_id_ >= 0;
    adds_eos_ = root.get_bool("add_eos_token", false);
  }
}

std::vector<TokenizerFile> SentencePieceTokenizer::files() const {
  std::vector<TokenizerFile> all{{std::string(file_name()), file_}};
  all.insert(all.end(), companions_.begin(), companions_.end());
  return all;
}

int32_t SentencePieceTokenizer::special_id(std::string_view piece) const {
  const int32_t id = names_.find(piece);
  return id == model_.unk_id ? -1 : id;
}

void SentencePieceTokenizer::find_cuts() {
  cut_before_spaces_ = cut_at_newline_ = true;
  // In BPE and character models SentencePiece takes user-defined pieces out first; in unigram
  // models they compete with the others.
  const bool freezes = model_.segmentation == SegmentationType::bpe ||
                       model_.segmentation == SegmentationType::character;
  std::vector<ByteTrie::Entry> frozen;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary_.size()); ++id) {
    const std::string_view text = vocabulary_.text(id);
    if (vocabulary_.is_frozen(id) && freezes) {
      frozen.emplace_back(text, id);
      may_freeze_[static_cast<uint8_t>(text[0])] = true;
    } else if (vocabulary_.is_frozen(id) || vocabulary_.is_text(id)) {
      const size_t word = text.find_first_not_of(' ');
      if (word != std::string_view::npos && text.find(' ', word) != std::string_view::npos)
        cut_before_spaces_ = false;
      if (text.size() > 1 && text.find('\n') != std::string_view::npos) cut_at_newline_ = false;
    }
  }
  if (model_.segmentation == SegmentationType::word) cut_before_spaces_ = cut_at_newline_ = true;
  frozen_ = ByteTrie(std::move(frozen));
}

void SentencePieceTokenizer::index_whole_pieces() {
  whole_ = PieceIndex(vocabulary_.size());
  constexpr size_t kLongestIndexed = 256;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary_.size()); ++id) {
    const std::string_view text = vocabulary_.text(id);
    if (!vocabulary_.is_text(id) || text.size() > kLongestIndexed) continue;
    ids.clear();
    segmenter_->segment(text, ids);
    if (ids.size() == 1 && ids[0] == id) whole_.insert(text, id);
  }
}

void SentencePieceTokenizer::encode_stretch(std::string_view text,
                                            std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  const int32_t id = whole_.find(text);
  if (id >= 0)
    ids.push_back(id);
  else
    segmenter_->segment(text, ids);
}

void SentencePieceTokenizer::encode_normalized(std::string_view text,
                                               std::vector<int32_t>& ids) const {
  size_t begin = 0, at = 0;
  const auto cut_out =
      [&](size_t bytes) {  // ends the stretch before `at` and begins the next one after these bytes
        encode_stretch(text.substr(begin, at - begin), ids);
        at += bytes;
        begin = at;
      };
  while (at < text.size()) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (may_freeze_[byte]) {
      if (const auto match = frozen_.longest_prefix(text.substr(at)); match.length > 0) {
        cut_out(match.length);
        ids.push_back(match.value);
        continue;
      }
    }
    if (byte == ' ' && cut_before_spaces_) {
      if (at > begin && text[at - 1] != ' ') cut_out(0);
      ++at;
    } else if (byte == '\n' && cut_at_newline_) {
      cut_out(1);
      encode_stretch("\n", ids);
    } else if (byte < 0x80) {
      ++at;
    } else if (const size_t bytes = valid_character(text, at);
               bytes == 0 || text.substr(at, bytes) == kSpaceMark) {
      const std::string_view lost = text.substr(at, std::max<size_t>(bytes, 1));
      cut_out(lost.size());
      vocabulary_.append_unknown(lost, ids);
    } else {
      at += bytes;
    }
  }
  encode_stretch(text.substr(begin), ids);
}

std::vector<int32_t> SentencePieceTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  if (text.empty()) return ids;
  ids.reserve(text.size() / 3 + 8);
  if (normalizer_.is_identity() && !model_.add_dummy_prefix && vocabulary_.has_bytes()) {
    encode_normalized(text, ids);
    return ids;
  }
  std::string changed = normalizer_.is_identity() ? std::string(text) : normalizer_.normalize(text);
  if (!vocabulary_.has_bytes()) changed = without_lost_bytes(changed);
  if (model_.add_dummy_prefix && !changed.empty()) changed.insert(0, 1, ' ');
  encode_normalized(changed, ids);
  return ids;
}

std::vector<int32_t> SentencePieceTokenizer::encode_with_special(std::string_view text) const {
  std::vector<int32_t> ids;
  size_t begin = 0;
  const auto encode_part = [&](size_t end) {
    const std::vector<int32_t> part = encode(text.substr(begin, end - begin));
    ids.insert(ids.end(), part.begin(), part.end());
  };
  for (size_t at = 0; at < text.size();) {
    const auto match = special_texts_.longest_prefix(text.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    encode_part(at);
    ids.push_back(match.value);
    begin = at += match.length;
  }
  encode_part(text.size());
  return ids;
}

std::vector<int32_t> SentencePieceTokenizer::with_template(std::vector<int32_t> ids) const {
  if (adds_bos_) ids.insert(ids.begin(), bos_id_);
  if (adds_eos_) ids.push_back(eos_id_);
  return ids;
}

void SentencePieceTokenizer::check_id(int32_t id) const {
  check(id >= 0 && id < vocab_size(), "token id {} is outside the vocabulary (0 to {})", id,
        vocab_size() - 1);
}

std::string SentencePieceTokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  bool strip_space = model_.add_dummy_prefix || model_.remove_extra_whitespaces;
  for (const int32_t id : ids) {
    std::string_view bytes = token_bytes(id);
    const PieceType type = vocabulary_.type(id);
    const bool has_spelling = type != PieceType::byte && type != PieceType::unknown;
    if (strip_space && out.empty() && has_spelling && bytes.starts_with(' ')) {
      bytes.remove_prefix(1);
      strip_space = model_.remove_extra_whitespaces;  // which removes all that lead
    }
    out += bytes;
  }
  return out;
}

std::string_view SentencePieceTokenizer::token_bytes(int32_t id) const {
  check_id(id);
  switch (vocabulary_.type(id)) {
    case PieceType::control:
      return {};
    case PieceType::unknown:
      return model_.unk_surface;
    case PieceType::byte: {
      static constexpr std::array<char, 256> kBytes = [] {
        std::array<char, 256> bytes{};
        for (int i = 0; i < 256; ++i) bytes[i] = static_cast<char>(i);
        return bytes;
      }();
      const std::string_view name = model_.pieces[id].text;  // <0xNN>
      const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
      return {&kBytes[digit(name[3]) * 16 + digit(name[4])], 1};
    }
    default:
      return vocabulary_.text(id);
  }
}

std::string_view SentencePieceTokenizer::token_text(int32_t id) const {
  check_id(id);
  return model_.pieces[id].text;
}

std::optional<int32_t> SentencePieceTokenizer::find_token(std::string_view text) const {
  const int32_t id = names_.find(text);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

bool SentencePieceTokenizer::is_special(int32_t id) const {
  check_id(id);
  const PieceType type = vocabulary_.type(id);
  return type == PieceType::control || type == PieceType::unknown || vocabulary_.is_marker(id);
}

}  // namespace llm
