#include "tokenizer/training_lines.h"

#include <algorithm>

#include "base/utf8.h"

namespace llm {
namespace {

constexpr uint64_t kSampleSeed = 20240229;

/// Bytes at the start of `text` that SentencePiece must not see; 0 if it may.
size_t reserved_bytes(std::string_view text) {
  if (text[0] == '\0' || text[0] == '\t') return 1;
  if (text.starts_with("\xE2\x96\x81") || text.starts_with("\xE2\x96\x85")) return 3;
  if (static_cast<uint8_t>(text[0]) < 0x80) return 0;
  return utf8::first_character(text).valid ? 0 : 1;
}

bool continues_character(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

}  // namespace

TrainingLines::TrainingLines(int64_t max_lines, bool keep_newlines)
    : max_lines_(max_lines > 0 ? static_cast<size_t>(max_lines) : SIZE_MAX),
      keep_newlines_(keep_newlines),
      random_(kSampleSeed) {}

void TrainingLines::add(std::string_view text) {
  text_bytes_ += static_cast<int64_t>(text.size());
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const bool found = newline != std::string_view::npos;
    ++text_lines_;
    add_line(text.substr(0, found && keep_newlines_ ? newline + 1 : newline));
    text.remove_prefix(found ? newline + 1 : text.size());
  }
}

void TrainingLines::add_line(std::string_view line) {
  size_t begin = 0, at = 0;
  while (at < line.size()) {
    const size_t reserved = reserved_bytes(line.substr(at));
    if (reserved == 0) {
      at +=
          static_cast<uint8_t>(line[at]) < 0x80 ? 1 : utf8::first_character(line.substr(at)).length;
      continue;
    }
    has_tab_ |= line[at] == '\t';
    add_clean(line.substr(begin, at - begin));
    begin = at += reserved;
  }
  add_clean(line.substr(begin));
}

void TrainingLines::add_clean(std::string_view line) {
  while (line.size() > kMaxLineBytes) {
    size_t cut = line.rfind(' ', kMaxLineBytes);
    if (cut == std::string_view::npos || cut == 0) {
      for (cut = kMaxLineBytes; continues_character(line[cut]);) --cut;
    }
    keep(line.substr(0, cut));
    line.remove_prefix(cut);
  }
  if (!line.empty()) keep(line);
}

// Reservoir sampling: after n lines each of them is in the sample with the same probability.
void TrainingLines::keep(std::string_view line) {
  ++seen_;
  if (lines_.size() < max_lines_) {
    lines_.emplace_back(line);
    origins_.push_back(text_lines_);
  } else if (const uint64_t place = random_.below(static_cast<uint64_t>(seen_));
             place < max_lines_) {
    lines_[place] = line;
    origins_[place] = text_lines_;
  }
}

int64_t TrainingLines::lines_used() const {
  std::vector<int64_t> origins = origins_;
  std::sort(origins.begin(), origins.end());
  return std::unique(origins.begin(), origins.end()) - origins.begin();
}

}  // namespace llm
