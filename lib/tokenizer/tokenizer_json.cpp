#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/sentencepiece_model.h"  // limits of pieces

namespace llm {
namespace {

using nlohmann::json;

class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const json& document, std::string_view name)
      : root_(document, fmt::format("'{}'", name)), name_(name) {}

  PipelineStages read() {
    root_.expect_object();
    const JsonView model = root_.at("model");
    model.expect_object();
    const std::string type = model_type(model);
    if (type == "BPE") {
      read_vocabulary(model.at("vocab").value());
    } else if (type == "Unigram") {
      stages_.kind = ModelKind::unigram;
      read_scored_vocabulary(model.at("vocab"));
    } else {
      fail(Exit::bad_input, fmt::format("'{}': tokenizer.json model type '{}' is not supported "
                                        "(BPE, Unigram are)",
                                        name_, type));
    }
    model_pieces_ = stages_.pieces.size();
    make_room_for_added();  // the index points into the pieces: they must not move
    index_ = PieceIndex(model_pieces_);
    for (size_t id = 0; id < model_pieces_; ++id) {
      if (filled_[id]) index_.insert(stages_.pieces[id], static_cast<int32_t>(id));
    }
    read_added();
    check_dense();
    read_pre_tokenizer(root_, name_, stages_);
    read_normalizer(root_, name_, stages_);
    if (type == "BPE")
      read_bpe(model);
    else
      read_unigram(model);
    read_decoder(root_, name_, stages_);
    read_post_processor(root_, name_, stages_);
    return std::move(stages_);
  }

 private:
  /// Older files do not name it.
  static std::string model_type(const JsonView& model) {
    if (model.has("type")) return model.get_string("type");
    if (model.has("merges")) return "BPE";
    if (model.has("unk_id")) return "Unigram";
    return model.has("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
  }

  void check_piece(std::string_view text, size_t id) const {
    check_input(text.size() <= kMaxPieceBytes, "'{}': piece {} is {} bytes long (limit {})", name_,
                id, text.size(), kMaxPieceBytes);
  }

  void put(size_t id, std::string text) {
    if (id >= stages_.pieces.size()) {
      stages_.pieces.resize(id + 1);
      filled_.resize(id + 1);
    }
    stages_.pieces[id] = std::move(text);
    filled_[id] = true;
  }

  void read_vocabulary(const json& vocabulary) {
    check_input(vocabulary.is_object(), "'{}': model.vocab is not an object", name_);
    check_input(vocabulary.size() <= kMaxPieces, "'{}' declares more than {} pieces", name_,
                kMaxPieces);
    check_input(!vocabulary.empty(), "'{}': model.vocab is empty", name_);
    stages_.pieces.resize(vocabulary.size());
    filled_.resize(vocabulary.size());
    for (const auto& [text, value] : vocabulary.items()) {
      const bool is_id = value.is_number_unsigned() && value.get<uint64_t>() < kMaxPieces;
      check_input(is_id, "'{}': the id of piece '{}' must be a whole number from 0 to {}", name_,
                  text.substr(0, 64), kMaxPieces - 1);
      const auto id = value.get<size_t>();
      check_piece(text, id);
      check_input(
          id >= filled_.size() || !filled_[id], "'{}': pieces '{}' and '{}' both have id {}", name_,
          id < filled_.size() ? stages_.pieces[id].substr(0, 64) : "", text.substr(0, 64), id);
      put(id, text);
    }
  }

  void read_scored_vocabulary(const JsonView& vocabulary) {
    vocabulary.expect_array();
    const json& entries = vocabulary.value();
    check_input(entries.size() <= kMaxPieces, "'{}' declares more than {} pieces", name_,
                kMaxPieces);
    check_input(!entries.empty(), "'{}': model.vocab is empty", name_);
    PieceIndex seen(entries.size());
    stages_.pieces.reserve(entries.size());
    for (size_t id = 0; id < entries.size(); ++id) {
      const json& entry = entries[id];
      const bool is_pair =
          entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
      check_input(is_pair, "'{}': model.vocab[{}] is not a piece and a score", name_, id);
      const std::string& text = entry[0].get_ref<const std::string&>();
      check_piece(text, id);
      put(id, text);
      const int32_t first = seen.insert(stages_.pieces[id], static_cast<int32_t>(id));
      check_input(first < 0, "'{}': piece '{}' appears twice (ids {}, {})", name_,
                  text.substr(0, 64), first, id);
      stages_.scores.push_back(entry[1].get<double>());
    }
  }

  void make_room_for_added() {
    const auto list = root_.find("added_tokens");
    if (!list) return;
    list->expect_array();
    check_input(list->size() <= kMaxPieces, "'{}' declares more than {} pieces", name_, kMaxPieces);
    int64_t highest = -1;
    for (size_t i = 0; i < list->size(); ++i)
      highest = std::max(highest, list->element(i).get_int("id", 0, kMaxPieces - 1));
    const size_t needed = std::max(model_pieces_, static_cast<size_t>(highest + 1));
    stages_.pieces.resize(needed);
    filled_.resize(needed);
  }

  void read_added() {
    const auto list = root_.find("added_tokens");
    if (!list) return;
    for (size_t i = 0; i < list->size(); ++i) {
      const JsonView entry = list->element(i);
      AddedToken token;
      token.text = entry.get_string("content");
      token.id = static_cast<int32_t>(entry.get_int("id", 0, kMaxPieces - 1));
      token.single_word = entry.get_bool("single_word", false);
      token.lstrip = entry.get_bool("lstrip", false);
      token.rstrip = entry.get_bool("rstrip", false);
      token.special = entry.get_bool("special", false);
      token.normalized = entry.get_bool("normalized", !token.special);
      add(std::move(token));
    }
  }

  void add(AddedToken token) {
    const auto id = static_cast<size_t>(token.id);
    const std::string shown = token.text.substr(0, 64);
    check_input(!token.text.empty(), "'{}': the added token with id {} is empty", name_, id);
    check_piece(token.text, id);
    const bool is_used = id < filled_.size() && filled_[id];
    check_input(!is_used || stages_.pieces[id] == token.text,
                "'{}': added token '{}' has id {}, already used by '{}'", name_, shown, id,
                is_used ? stages_.pieces[id].substr(0, 64) : "");
    const int32_t known = index_.find(token.text);
    check_input(known < 0 || known == token.id,
                "'{}': added token '{}' has id {}, but the vocabulary gives it {}", name_, shown,
                id, known);
    put(id, token.text);
    stages_.added.push_back(std::move(token));
  }

  void check_dense() const {
    for (size_t id = 0; id < filled_.size(); ++id) {
      check_input(filled_[id], "'{}': no token has id {}, though ids go up to {}", name_, id,
                  filled_.size() - 1);
    }
  }

  int32_t find_unk(const JsonView& model) {
    if (!model.has("unk_token")) return -1;
    const std::string unk = model.get_string("unk_token");
    const int32_t id = index_.find(unk);
    check_input(id >= 0, "'{}': the unknown token '{}' is not in the vocabulary", name_,
                unk.substr(0, 64));
    return id;
  }

  void read_bpe(const JsonView& model) {
    const double dropout = model.get_double("dropout", 0, 1, 0);
    check_input(dropout == 0, "'{}': model.dropout {} is not supported; result would differ", name_,
                dropout);
    BpeRules& rules = stages_.bpe;
    rules.byte_level = stages_.byte_level;
    rules.byte_fallback = model.get_bool("byte_fallback", false);
    rules.fuse_unk = model.get_bool("fuse_unk", false);
    rules.ignore_merges = model.get_bool("ignore_merges", false);
    rules.continuing_prefix = model.get_string("continuing_subword_prefix", "");
    rules.word_suffix = model.get_string("end_of_word_suffix", "");
    stages_.unk_id = rules.unk_id = find_unk(model);
    read_merges(model.at("merges"));
  }

  void read_unigram(const JsonView& model) {
    UnigramRules& rules = stages_.unigram;
    rules.byte_level = stages_.byte_level;
    rules.byte_fallback = model.get_bool("byte_fallback", false);
    rules.unk_id = static_cast<int32_t>(
        model.get_int("unk_id", 0, static_cast<int64_t>(model_pieces_) - 1, -1));
    stages_.unk_id = rules.unk_id;
    stages_.scores.resize(stages_.pieces.size());
    for (size_t id = model_pieces_; id < stages_.pieces.size(); ++id) {
      stages_.scores[id] = 0;  // added tokens are no pieces of the model
    }
  }

  int32_t merge_part(std::string_view text, size_t merge) const {
    const int32_t id = index_.find(text);
    check_input(id >= 0, "'{}': merge {} uses '{}', which is not in the vocabulary", name_, merge,
                text.substr(0, 64));
    return id;
  }

  void read_merges(const JsonView& list) {
    list.expect_array();
    const json& merges = list.value();
    check_input(merges.size() <= 4 * kMaxPieces, "'{}' declares more than {} merges", name_,
                4 * kMaxPieces);
    stages_.merges.reserve(merges.size());
    std::string joined;
    for (size_t i = 0; i < merges.size(); ++i) {
      const auto [left, right] = merge_texts(merges[i], i);
      PieceMerge merge{merge_part(left, i), merge_part(right, i), -1};
      const std::string& prefix = stages_.bpe.continuing_prefix;
      joined.assign(left).append(
          right.substr(!prefix.empty() && right.starts_with(prefix) ? prefix.size() : 0));
      merge.piece = index_.find(joined);
      check_input(merge.piece >= 0, "'{}': merge {} makes '{}', which is not in the vocabulary",
                  name_, i, std::string_view(joined).substr(0, 64));
      stages_.merges.push_back(merge);
    }
  }

  std::pair<std::string_view, std::string_view> merge_texts(const json& merge, size_t i) const {
    if (merge.is_string()) {
      const std::string_view text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos)
        return {text.substr(0, space), text.substr(space + 1)};
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
    }
    fail(Exit::bad_input, fmt::format("'{}': merge {} is not two pieces", name_, i));
  }

  JsonView root_;
  std::string_view name_;
  PipelineStages stages_;
  std::vector<bool> filled_;
  size_t model_pieces_ = 0;
  PieceIndex index_;
};

}  // namespace

PipelineStages read_tokenizer_json(std::string_view file, std::string_view name) {
  const json document = parse_json(file, fmt::format("'{}'", name));
  return TokenizerJsonReader(document, name).read();
}

void refuse_step(std::string_view name, std::string_view part, std::string_view type) {
  fail(Exit::bad_input,
       fmt::format("'{}': {} '{}' not supported; result would differ", name, part, type));
}

}  // namespace llm
