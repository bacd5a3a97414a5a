// A tokenizer out of a GGUF file and into one.
#include "tokenizer/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tokenizer/word_patterns.h"

namespace llm {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

std::string key(std::string_view name) { return std::string(kPrefix) + std::string(name); }

struct KindName {
  TokenizerKind kind;
  std::string_view name;
};
constexpr KindName kKinds[] = {{TokenizerKind::byte_bpe, "gpt2"},
                               {TokenizerKind::bpe, "llama"},
                               {TokenizerKind::unigram, "t5"}};

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

TokenizerKind kind_of(const Gguf& file) {
  const std::string_view model = file.text(key("model"));
  for (const KindName& known : kKinds) {
    if (model == known.name) {
      return known.kind;
    }
  }
  file.refuse(fmt::format("tokenizer.ggml.model '{}' is not supported (llama, gpt2, t5 are)",
                          shown_name(model)));
}

std::vector<TokenizerPiece> pieces_of(const Gguf& file, TokenizerKind kind) {
  const std::vector<std::string_view> texts = file.texts(key("tokens"));
  if (texts.size() > kMaxPieces) {
    file.refuse(fmt::format("declares more than {} pieces", kMaxPieces));
  }
  const bool scored = kind != TokenizerKind::byte_bpe;
  const std::vector<float> scores =
      scored ? file.numbers(key("scores")) : std::vector<float>(texts.size());
  std::vector<int64_t> types(texts.size(), static_cast<int64_t>(PieceType::normal));
  if (file.has(key("token_type"))) {
    types = file.integers(key("token_type"));
  }
  if (scores.size() != texts.size() || types.size() != texts.size()) {
    file.refuse(fmt::format("{} tokens, {} scores and {} token types do not go together",
                            texts.size(), scores.size(), types.size()));
  }
  std::vector<TokenizerPiece> pieces;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (types[i] < 1 || types[i] > 6) {
      file.refuse(fmt::format("token {} has type {}, which is unknown", i, types[i]));
    }
    const auto type = static_cast<PieceType>(types[i]);
    std::string text(texts[i]);
    if (scored && type == PieceType::user_defined) {
      text = replaced(std::move(text), " ", kSpace);
    }
    pieces.push_back({std::move(text), scores[i], type});
  }
  return pieces;
}

std::vector<std::pair<std::string, std::string>> merges_of(const Gguf& file) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const std::string_view merge : file.texts(key("merges"))) {
    const size_t space = merge.find(' ', 1);  // a piece may begin with one
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      file.refuse(fmt::format("merge {} is not two pieces", merges.size()));
    }
    merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return merges;
}

std::string charsmap_of(const Gguf& file) {
  const GgufValue* value = file.find(key("precompiled_charsmap"));
  if (value == nullptr) {
    return "";
  }
  if (value->type != GgufType::array ||
      (value->element != GgufType::uint8 && value->element != GgufType::int8)) {
    file.refuse(fmt::format("key '{}' must be an array of bytes", key("precompiled_charsmap")));
  }
  return {reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size()};
}

void read_ids(const Gguf& file, TokenizerParts& parts) {
  const auto most = static_cast<int64_t>(parts.pieces.size()) - 1;
  // What llama.cpp assumes for files that do not say.
  const bool sentencepiece = parts.kind == TokenizerKind::bpe;
  const auto id = [&](const char* name, int32_t absent) {
    const int64_t value =
        file.integer_or(key(name), -1, std::numeric_limits<uint32_t>::max(), absent);
    if (value > most && value != std::numeric_limits<uint32_t>::max()) {
      file.refuse(fmt::format("key '{}' is {}, there are {} tokens", key(name), value, most + 1));
    }
    return value > most ? -1 : static_cast<int32_t>(value);
  };
  parts.bos_id = id("bos_token_id", sentencepiece ? 1 : -1);
  parts.eos_id = id("eos_token_id", sentencepiece ? 2 : -1);
  parts.unk_id = id("unknown_token_id", sentencepiece ? 0 : -1);
  parts.pad_id = id("padding_token_id", -1);
  parts.mask_id = id("mask_token_id", -1);
}

// The names by which llama.cpp sets these where the file does not say.
bool adds_bos(const TokenizerParts& parts) {
  const NamedWords* words = find_named_words(parts.pre);
  const NamedWords* llama3 = find_named_words("llama-bpe");
  return parts.kind == TokenizerKind::bpe ||
         (parts.kind == TokenizerKind::byte_bpe && words != nullptr && words->ignore_merges &&
          words->patterns.data() == llama3->patterns.data());
}

std::string_view gguf_kind_name(TokenizerKind kind) {
  for (const KindName& known : kKinds) {
    if (kind == known.kind) {
      return known.name;
    }
  }
  return "";
}

void put_id(GgufMetadata& metadata, const char* name, int32_t id) {
  if (id >= 0) {
    metadata.uint32(key(name), static_cast<uint32_t>(id));
  }
}

void put_pieces(GgufMetadata& metadata, const TokenizerParts& parts, int64_t rows) {
  const bool scored = parts.kind != TokenizerKind::byte_bpe;
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const TokenizerPiece& piece : parts.pieces) {
    const bool spaces = scored && piece.type == PieceType::user_defined;
    texts.push_back(spaces ? replaced(piece.text, kSpace, " ") : piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  while (static_cast<int64_t>(texts.size()) < rows) {
    texts.push_back(fmt::format("[PAD{}]", texts.size()));
    scores.push_back(-10000.f);
    types.push_back(static_cast<int32_t>(PieceType::unused));
  }
  metadata.texts(key("tokens"), texts);
  if (scored) {
    metadata.float32s(key("scores"), scores);
  }
  metadata.int32s(key("token_type"), types);
}

}  // namespace

bool gguf_has_tokenizer(const Gguf& file) {
  if (!file.has(key("model"))) {
    return false;
  }
  const std::string_view model = file.text(key("model"));
  return model != "none" && model != "no_vocab";
}

TokenizerParts gguf_tokenizer_parts(const Gguf& file) {
  if (!gguf_has_tokenizer(file)) {
    file.refuse("the file holds no tokenizer");
  }
  TokenizerParts parts;
  parts.kind = kind_of(file);
  parts.pieces = pieces_of(file, parts.kind);
  if (parts.kind == TokenizerKind::byte_bpe) {
    parts.merges = merges_of(file);
    parts.pre = file.text_or(key("pre"), "default");
    const NamedWords* words = find_named_words(parts.pre);
    if (words == nullptr) {
      file.refuse(
          fmt::format("tokenizer.ggml.pre '{}' is not supported; text would be cut "
                      "differently",
                      shown_name(parts.pre)));
    }
    parts.ignore_merges = words->ignore_merges;
  }
  parts.add_space_prefix =
      file.flag_or(key("add_space_prefix"), parts.kind != TokenizerKind::byte_bpe);
  parts.remove_extra_whitespaces =
      parts.kind == TokenizerKind::unigram && file.flag_or(key("remove_extra_whitespaces"), false);
  if (parts.kind == TokenizerKind::unigram) {
    parts.charsmap = charsmap_of(file);
  }
  read_ids(file, parts);
  parts.add_bos = file.flag_or(key("add_bos_token"), adds_bos(parts));
  parts.add_eos = file.flag_or(key("add_eos_token"), parts.kind == TokenizerKind::unigram);
  return parts;
}

std::unique_ptr<const Tokenizer> load_gguf_tokenizer(const std::filesystem::path& path) {
  const auto file = Gguf::open(path);
  return make_tokenizer(gguf_tokenizer_parts(*file), file->name());
}

std::string gguf_chat_template(const Gguf& file) {
  return std::string(file.text_or("tokenizer.chat_template", ""));
}

GgufMetadata gguf_tokenizer_keys(const TokenizerParts& parts, int64_t rows,
                                 const std::string& chat_template) {
  check_input(static_cast<int64_t>(parts.pieces.size()) <= rows,
              "tokenizer has {} pieces, checkpoint embedding has {} rows", parts.pieces.size(),
              rows);
  const bool bytes = parts.kind == TokenizerKind::byte_bpe;
  if (bytes && parts.pre.empty()) {
    fail(Exit::bad_input,
         "GGUF has no name for the tokenizer's pre-tokenizer; llama.cpp would cut text differently",
         "a directory keeps it: --output DIR");
  }
  GgufMetadata metadata;
  metadata.text(key("model"), gguf_kind_name(parts.kind));
  metadata.text(key("pre"), bytes ? parts.pre : "default");
  put_pieces(metadata, parts, rows);
  if (bytes) {
    std::vector<std::string> merges;
    for (const auto& [left, right] : parts.merges) {
      merges.push_back(left + ' ' + right);
    }
    metadata.texts(key("merges"), merges);
  }
  put_id(metadata, "bos_token_id", parts.bos_id);
  put_id(metadata, "eos_token_id", parts.eos_id);
  put_id(metadata, "unknown_token_id", parts.unk_id);
  put_id(metadata, "padding_token_id", parts.pad_id);
  put_id(metadata, "mask_token_id", parts.mask_id);
  metadata.boolean(key("add_bos_token"), parts.add_bos);
  metadata.boolean(key("add_eos_token"), parts.add_eos);
  metadata.boolean(key("add_space_prefix"), parts.add_space_prefix);
  if (parts.kind == TokenizerKind::unigram) {
    metadata.boolean(key("remove_extra_whitespaces"), parts.remove_extra_whitespaces);
    if (!parts.charsmap.empty()) {
      metadata.uint8s(key("precompiled_charsmap"), parts.charsmap);
    }
  }
  if (!chat_template.empty()) {
    metadata.text("tokenizer.chat_template", chat_template);
  }
  return metadata;
}

}  // namespace llm
