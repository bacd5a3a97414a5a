#include "tokenizer/tiktoken_file.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "tokenizer/base64.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/sentencepiece_model.h"  // limits of pieces

namespace llm {
namespace {

constexpr int kSpecialTokens = 256;
constexpr uint64_t kTiktokenPreparationBytes = uint64_t{1} << 30;

std::string_view next_line(std::string_view file, size_t& at) {
  const size_t end = std::min(file.find('\n', at), file.size());
  std::string_view line = file.substr(at, end - at);
  if (line.ends_with('\r')) line.remove_suffix(1);
  at = end + 1;
  return line;
}

bool is_base64_and_rank(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space % 4 != 0 || space + 1 == line.size())
    return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_base64 = [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
  };
  std::string_view token = line.substr(0, space), rank = line.substr(space + 1);
  for (int i = 0; i < 2 && token.ends_with('='); ++i) token.remove_suffix(1);
  return std::all_of(token.begin(), token.end(), is_base64) && rank.size() <= 10 &&
         std::all_of(rank.begin(), rank.end(), is_digit);
}

std::vector<std::string> llama3_special_tokens() {
  std::vector<std::string> names{"<|begin_of_text|>",
                                 "<|end_of_text|>",
                                 "<|reserved_special_token_0|>",
                                 "<|reserved_special_token_1|>",
                                 "<|finetune_right_pad_id|>",
                                 "<|reserved_special_token_2|>",
                                 "<|start_header_id|>",
                                 "<|end_header_id|>",
                                 "<|eom_id|>",
                                 "<|eot_id|>",
                                 "<|python_tag|>"};
  for (int i = 3; static_cast<int>(names.size()) < kSpecialTokens; ++i)
    names.push_back(fmt::format("<|reserved_special_token_{}|>", i));
  return names;
}

std::vector<std::string> read_tokens(std::string_view file, std::string_view name) {
  std::vector<std::string> tokens;
  size_t line_number = 0;
  for (size_t at = 0; at < file.size();) {
    const std::string_view line = next_line(file, at);
    ++line_number;
    if (line.empty() && at >= file.size()) break;
    check_input(is_base64_and_rank(line), "'{}' line {}: not a base64 token and a rank", name,
                line_number);
    const size_t space = line.find(' ');
    uint64_t rank = 0;
    std::from_chars(line.data() + space + 1, line.data() + line.size(), rank);
    check_input(rank == tokens.size(), "'{}' line {}: rank {} where {} is due", name, line_number,
                rank, tokens.size());
    check_input(rank < kMaxPieces, "'{}' declares more than {} pieces", name, kMaxPieces);
    tokens.push_back(decode_base64(line.substr(0, space), name));
    check_input(!tokens.back().empty() && tokens.back().size() <= kMaxPieceBytes,
                "'{}': piece {} is {} bytes long (limit {})", name, rank, tokens.back().size(),
                kMaxPieceBytes);
  }
  return tokens;
}

/// Every way to make a token of two others.
std::vector<PieceMerge> find_merges(const std::vector<std::string>& tokens, const PieceIndex& index,
                                    std::string_view name) {
  std::vector<PieceMerge> merges;
  uint64_t compared = 0;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string_view token = tokens[id];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      compared += token.size();
      const int32_t left = index.find(token.substr(0, cut));
      const int32_t right = left < 0 ? -1 : index.find(token.substr(cut));
      if (right >= 0) merges.push_back({left, right, static_cast<int32_t>(id)});
    }
    check_input(compared <= kTiktokenPreparationBytes,
                "'{}': too many long pieces that are made of each other", name);
  }
  return merges;
}

}  // namespace

bool looks_like_tiktoken(std::string_view file) {
  constexpr int kLinesToJudge = 16;
  int lines = 0, good = 0;
  for (size_t at = 0; at < file.size() && lines < kLinesToJudge; ++lines)
    good += is_base64_and_rank(next_line(file, at)) ? 1 : 0;
  return good > 0 && 2 * good > lines;
}

PipelineStages read_tiktoken(std::string_view file, std::string_view name) {
  const std::vector<std::string> tokens = read_tokens(file, name);
  PieceIndex index(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    const int32_t first = index.insert(tokens[id], static_cast<int32_t>(id));
    check_input(first < 0, "'{}': piece '{}' appears twice (ids {}, {})", name,
                to_byte_alphabet(tokens[id]).substr(0, 64), first, id);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    check_input(index.find({&text, 1}) >= 0, "'{}': no token for the byte 0x{:02X}", name, byte);
  }
  PipelineStages stages;
  stages.byte_level = stages.bpe.byte_level = stages.bpe.ignore_merges = true;
  stages.merges = find_merges(tokens, index, name);
  for (const std::string& token : tokens) stages.pieces.push_back(to_byte_alphabet(token));
  for (const std::string& special : llama3_special_tokens()) {
    stages.added.push_back(
        {.text = special, .id = static_cast<int32_t>(stages.pieces.size()), .special = true});
    stages.pieces.push_back(special);
  }
  stages.pre_tokenizer = split_words(llama3_word_end);
  stages.word_patterns.emplace_back(kLlama3Pattern);
  stages.words_are_patterns = true;
  stages.decoder.add_byte_level();
  const auto base = static_cast<int32_t>(tokens.size());
  stages.before = {base};
  stages.bos_id = base;
  stages.eos_id = base + 1;
  stages.pad_id = base + 4;
  return stages;
}

}  // namespace llm
