#include "tokenizer/token_decoder.h"

#include "tokenizer/word_model.h"

namespace llm {
namespace {

void strip(std::string& text, std::string_view content, size_t start, size_t stop) {
  size_t at = 0;
  for (; start > 0 && std::string_view(text).substr(at).starts_with(content); --start)
    at += content.size();
  text.erase(0, at);
  for (; stop > 0 && text.ends_with(content); --stop) text.resize(text.size() - content.size());
}

}  // namespace

void TokenDecoder::add_byte_level() { steps_.push_back({.kind = Kind::byte_level}); }
void TokenDecoder::add_byte_fallback() { steps_.push_back({.kind = Kind::byte_fallback}); }

void TokenDecoder::add_replace(std::unique_ptr<const DelimiterFinder> finder,
                               std::string replacement) {
  Step step{.kind = Kind::replace};
  step.rewriter = rewrite_replace(std::move(finder), std::move(replacement));
  (fused_ ? text_steps_ : steps_).push_back(std::move(step));
}

void TokenDecoder::add_metaspace(std::string mark, bool drops_first) {
  first_differs_ |= drops_first;
  steps_.push_back({.kind = Kind::metaspace, .text = std::move(mark), .drops_first = drops_first});
}

void TokenDecoder::add_word_suffix(std::string suffix) {
  word_suffix_ = suffix;
  steps_.push_back({.kind = Kind::suffix, .text = std::move(suffix)});
}

void TokenDecoder::add_strip(std::string content, size_t start, size_t stop) {
  if (content.empty()) return;
  (fused_ ? text_steps_ : steps_)
      .push_back({.kind = Kind::strip, .text = std::move(content), .start = start, .stop = stop});
}

void TokenDecoder::join_with_spaces() {
  first_differs_ = true;
  steps_.push_back({.kind = Kind::join});
}

std::string TokenDecoder::decode(std::string_view piece, bool first) const {
  std::string text(piece), changed;
  for (const Step& step : steps_) {
    changed.clear();
    switch (step.kind) {
      case Kind::byte_level:
        if (from_byte_alphabet(text, changed)) text.swap(changed);
        break;
      case Kind::byte_fallback: {
        const std::array<int32_t, 256> bytes = find_byte_pieces({text});
        for (size_t byte = 0; byte < 256; ++byte) {
          if (bytes[byte] == 0) text.assign(1, static_cast<char>(byte));
        }
        break;
      }
      case Kind::replace:
        step.rewriter->rewrite(text, changed);
        text.swap(changed);
        break;
      case Kind::metaspace:
      case Kind::suffix: {
        const bool drops = step.kind == Kind::metaspace && step.drops_first && first;
        rewrite_replace(find_literal(step.text), drops ? "" : " ")->rewrite(text, changed);
        text.swap(changed);
        break;
      }
      case Kind::strip:
        strip(text, step.text, step.start, step.stop);
        break;
      case Kind::join:
        if (!first) text.insert(0, 1, ' ');
        break;
    }
  }
  return text;
}

void TokenDecoder::finish(std::string& text) const {
  for (const Step& step : text_steps_) {
    if (step.kind == Kind::strip) {
      strip(text, step.text, step.start, step.stop);
    } else {
      std::string changed;
      step.rewriter->rewrite(text, changed);
      text.swap(changed);
    }
  }
  if (!word_suffix_.empty() && text.ends_with(' ')) text.pop_back();
}

}  // namespace llm
