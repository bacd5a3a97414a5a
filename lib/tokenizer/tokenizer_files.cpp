// Writes tokenizer parts as files: a SentencePiece model, tokenizer.json and what stands beside it.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "base/protobuf_writer.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/base64.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/word_patterns.h"

namespace llm {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kSpaceSign = "\xE2\x96\x81";

// --- SentencePiece: a ModelProto by hand ---------------------------------------------------------

bool has_byte_pieces(const TokenizerParts& parts) {
  return std::count_if(parts.pieces.begin(), parts.pieces.end(), [](const TokenizerPiece& piece) {
           return piece.type == PieceType::byte;
         }) == 256;
}

// --- tokenizer.json ------------------------------------------------------------------------------

const std::string& text_of(const TokenizerParts& parts, int32_t id) {
  return parts.pieces[static_cast<size_t>(id)].text;
}

bool is_added(const TokenizerPiece& piece, TokenizerKind kind) {
  return piece.type == PieceType::control || piece.type == PieceType::user_defined ||
         piece.type == PieceType::unknown ||
         (piece.type == PieceType::unused && kind == TokenizerKind::byte_bpe);
}

OrderedJson added_tokens(const TokenizerParts& parts) {
  OrderedJson list = OrderedJson::array();
  for (size_t id = 0; id < parts.pieces.size(); ++id) {
    const TokenizerPiece& piece = parts.pieces[id];
    if (!is_added(piece, parts.kind)) continue;
    list.push_back(
        {{"id", id},
         {"content", piece.text},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", piece.type != PieceType::user_defined || looks_like_markup(piece.text)}});
  }
  return list;
}

OrderedJson isolated(std::string_view pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

OrderedJson byte_level(bool space_before, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", space_before},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

OrderedJson words_of(const TokenizerParts& parts) {
  const NamedWords* words = find_named_words(parts.pre);
  check_input(words != nullptr, "pre-tokenizer '{}' is not known; result would differ", parts.pre);
  if (words->patterns.size() == 1 && words->patterns[0] == kGpt2Pattern)
    return byte_level(parts.add_space_prefix, true);
  OrderedJson steps = OrderedJson::array();
  for (const std::string_view pattern : words->patterns) steps.push_back(isolated(pattern));
  steps.push_back(byte_level(parts.add_space_prefix, false));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

OrderedJson replaced(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

OrderedJson normalizer_of(const TokenizerParts& parts) {
  if (parts.kind == TokenizerKind::byte_bpe) return nullptr;
  OrderedJson steps = OrderedJson::array();
  if (!parts.charsmap.empty())
    steps.push_back(
        {{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(parts.charsmap)}});
  if (parts.remove_extra_whitespaces) {
    steps.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
    steps.push_back({{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}});
  }
  if (parts.add_space_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kSpaceSign}});
  steps.push_back(replaced(" ", kSpaceSign));
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

OrderedJson decoder_of(const TokenizerParts& parts) {
  if (parts.kind == TokenizerKind::byte_bpe) return byte_level(true, true);
  OrderedJson steps = OrderedJson::array(
      {replaced(kSpaceSign, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (parts.add_space_prefix)
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

OrderedJson template_of(const TokenizerParts& parts) {
  const bool bos = parts.add_bos && parts.bos_id >= 0, eos = parts.add_eos && parts.eos_id >= 0;
  if (!bos && !eos) return nullptr;
  OrderedJson single = OrderedJson::array(), pair = OrderedJson::array(),
              tokens = OrderedJson::object();
  const auto put_token = [&](int32_t id, int type_id, OrderedJson& list) {
    const std::string& text = text_of(parts, id);
    list.push_back({{"SpecialToken", {{"id", text}, {"type_id", type_id}}}});
    tokens[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
  };
  const auto put_text = [&](const char* which, int type_id, OrderedJson& list) {
    if (bos) put_token(parts.bos_id, type_id, list);
    list.push_back({{"Sequence", {{"id", which}, {"type_id", type_id}}}});
    if (eos) put_token(parts.eos_id, type_id, list);
  };
  put_text("A", 0, single);
  put_text("A", 0, pair);
  put_text("B", 1, pair);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", tokens}};
}

/// All merges that SentencePiece's rule amounts to: for each piece every way to make it of two, the
/// piece with the highest score first.
std::vector<std::pair<std::string, std::string>> merges_by_score(const TokenizerParts& parts) {
  std::unordered_map<std::string_view, int32_t> ids;
  const auto is_text = [&](int32_t id) {
    const PieceType type = parts.pieces[static_cast<size_t>(id)].type;
    return type == PieceType::normal;
  };
  for (size_t id = 0; id < parts.pieces.size(); ++id)
    ids.emplace(parts.pieces[id].text, static_cast<int32_t>(id));
  struct Found {
    float score;
    int32_t piece, left, right;
  };
  std::vector<Found> found;
  for (size_t id = 0; id < parts.pieces.size(); ++id) {
    if (!is_text(static_cast<int32_t>(id))) continue;
    const std::string_view text = parts.pieces[id].text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      if (is_text(left->second) && is_text(right->second))
        found.push_back(
            {parts.pieces[id].score, static_cast<int32_t>(id), left->second, right->second});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.score != b.score ? a.score > b.score : a.piece < b.piece;
  });
  std::vector<std::pair<std::string, std::string>> merges;
  for (const Found& merge : found)
    merges.emplace_back(text_of(parts, merge.left), text_of(parts, merge.right));
  return merges;
}

std::string quoted(const std::string& text) {
  return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

/// The vocabulary and the merges are lists of many thousands: written line by line.
std::string vocabulary_text(const TokenizerParts& parts) {
  const bool scored = parts.kind == TokenizerKind::unigram;
  std::string out = scored ? "[" : "{";
  for (size_t id = 0; id < parts.pieces.size(); ++id) {
    const TokenizerPiece& piece = parts.pieces[id];
    out += id > 0 ? ",\n      " : "\n      ";
    if (scored)
      out += fmt::format("[{}, {}]", quoted(piece.text), OrderedJson(double{piece.score}).dump());
    else
      out += fmt::format("{}: {}", quoted(piece.text), id);
  }
  return out + (scored ? "\n    ]" : "\n    }");
}

std::string merges_text(const std::vector<std::pair<std::string, std::string>>& merges) {
  std::string out = "[";
  for (size_t i = 0; i < merges.size(); ++i)
    out += fmt::format("{}\n      [{}, {}]", i > 0 ? "," : "", quoted(merges[i].first),
                       quoted(merges[i].second));
  return out + "\n    ]";
}

std::string model_text(const TokenizerParts& parts) {
  const char* bytes = has_byte_pieces(parts) ? "true" : "false";
  if (parts.kind == TokenizerKind::unigram)
    return fmt::format(
        "{{\n    \"type\": \"Unigram\",\n    \"unk_id\": {},\n    \"vocab\": {},\n    "
        "\"byte_fallback\": {}\n  }}",
        parts.unk_id, vocabulary_text(parts), bytes);
  const bool is_bytes = parts.kind == TokenizerKind::byte_bpe;
  const bool has_unk = !is_bytes && parts.unk_id >= 0;
  return fmt::format(
      "{{\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": {},\n    "
      "\"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": "
      "{},\n    \"byte_fallback\": {},\n    \"ignore_merges\": {},\n    \"vocab\": {},\n    "
      "\"merges\": {}\n  }}",
      has_unk ? quoted(text_of(parts, parts.unk_id)) : "null", !is_bytes,
      is_bytes ? "false" : bytes, parts.ignore_merges, vocabulary_text(parts),
      merges_text(is_bytes ? parts.merges : merges_by_score(parts)));
}

void put_special(const TokenizerParts& parts, OrderedJson& out) {
  const std::pair<const char*, int32_t> specials[] = {{"bos_token", parts.bos_id},
                                                      {"eos_token", parts.eos_id},
                                                      {"unk_token", parts.unk_id},
                                                      {"pad_token", parts.pad_id},
                                                      {"mask_token", parts.mask_id}};
  for (const auto& [key, id] : specials) {
    if (id >= 0) out[key] = text_of(parts, id);
  }
}

std::string text_of(const OrderedJson& document) {
  return document.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string write_sentencepiece_model(const TokenizerParts& parts) {
  ProtobufWriter file;
  for (const TokenizerPiece& piece : parts.pieces) {
    ProtobufWriter one;
    one.put_bytes(1, piece.text);
    one.put_float(2, piece.score);
    if (piece.type != PieceType::normal) one.put_varint(3, static_cast<uint64_t>(piece.type));
    file.put_bytes(1, one.message());
  }
  ProtobufWriter trainer, normalizer;
  trainer.put_varint(3, parts.kind == TokenizerKind::bpe ? 2 : 1);
  trainer.put_varint(4, parts.pieces.size());
  trainer.put_varint(35, has_byte_pieces(parts) ? 1 : 0);
  const std::pair<uint32_t, int32_t> specials[] = {
      {40, parts.unk_id}, {41, parts.bos_id}, {42, parts.eos_id}, {43, parts.pad_id}};
  for (const auto& [field, id] : specials)
    trainer.put_varint(field, static_cast<uint64_t>(static_cast<int64_t>(id)));
  for (const auto& [field, id] : specials) {
    if (id >= 0) trainer.put_bytes(field + 5, text_of(parts, id));
  }
  normalizer.put_bytes(1, parts.charsmap.empty() ? "identity" : "user_defined");
  if (!parts.charsmap.empty()) normalizer.put_bytes(2, parts.charsmap);
  normalizer.put_varint(3, parts.add_space_prefix ? 1 : 0);
  normalizer.put_varint(4, parts.remove_extra_whitespaces ? 1 : 0);
  normalizer.put_varint(5, 1);
  file.put_bytes(2, trainer.message());
  file.put_bytes(3, normalizer.message());
  return file.message();
}

std::string write_tokenizer_json(const TokenizerParts& parts) {
  const bool is_bytes = parts.kind == TokenizerKind::byte_bpe;
  const OrderedJson document = {{"version", "1.0"},
                                {"truncation", nullptr},
                                {"padding", nullptr},
                                {"added_tokens", added_tokens(parts)},
                                {"normalizer", normalizer_of(parts)},
                                {"pre_tokenizer", is_bytes ? words_of(parts) : OrderedJson()},
                                {"post_processor", template_of(parts)},
                                {"decoder", decoder_of(parts)}};
  std::string text = text_of(document);
  text.resize(text.size() - 3);  // "\n}\n"
  return fmt::format("{},\n  \"model\": {}\n}}\n", text, model_text(parts));
}

std::string write_tokenizer_config(const TokenizerParts& parts, std::string_view chat_template) {
  OrderedJson document = {{"add_bos_token", parts.add_bos}, {"add_eos_token", parts.add_eos}};
  put_special(parts, document);
  if (!chat_template.empty()) document["chat_template"] = chat_template;
  document["clean_up_tokenization_spaces"] = false;
  document["model_max_length"] = 1'000'000'000;
  document["tokenizer_class"] = "PreTrainedTokenizerFast";
  return text_of(document);
}

std::string write_special_tokens_map(const TokenizerParts& parts) {
  OrderedJson document = OrderedJson::object();
  put_special(parts, document);
  return text_of(document);
}

}  // namespace llm
