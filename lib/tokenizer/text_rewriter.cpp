#include "tokenizer/text_rewriter.h"

#include "base/utf8.h"
#include "tokenizer/charsmap.h"

namespace llm {
namespace {

/// Calls `one` with every character.
template <typename One>
void for_each_character(std::string_view text, const One& one) {
  while (!text.empty()) {
    const unicode::Character c = unicode::first_character(text);
    one(c, text.substr(0, c.length));
    text.remove_prefix(c.length);
  }
}

class FormRewriter : public TextRewriter {
 public:
  explicit FormRewriter(unicode::Form form) : form_(form) {}
  void rewrite(std::string_view text, std::string& out) const override {
    if (unicode::surely_normal(text, form_))
      out += text;
    else
      unicode::normalize(text, form_, out);
  }
  bool keeps(std::string_view text) const override { return unicode::surely_normal(text, form_); }

 private:
  unicode::Form form_;
};

class LowerRewriter : public TextRewriter {
 public:
  void rewrite(std::string_view text, std::string& out) const override {
    for_each_character(text, [&](const unicode::Character& c, std::string_view bytes) {
      if (c.code_point < 0x80)
        out += c.code_point >= 'A' && c.code_point <= 'Z' ? static_cast<char>(c.code_point + 32)
                                                          : bytes[0];
      else if (c.length == 1)
        out += bytes;
      else
        unicode::append_lower(c.code_point, out);
    });
  }
};

class StripRewriter : public TextRewriter {
 public:
  StripRewriter(bool left, bool right) : left_(left), right_(right) {}
  void rewrite(std::string_view text, std::string& out) const override {
    const auto is_space = [](std::string_view character) {
      return (unicode::first_character(character).classes & unicode::space) != 0;
    };
    while (left_ && !text.empty() && is_space(text))
      text.remove_prefix(unicode::first_character(text).length);
    while (right_ && !text.empty()) {
      const size_t length = unicode::last_length(text);
      if (!is_space(text.substr(text.size() - length))) break;
      text.remove_suffix(length);
    }
    out += text;
  }

 private:
  bool left_, right_;
};

class AccentRewriter : public TextRewriter {
 public:
  void rewrite(std::string_view text, std::string& out) const override {
    for_each_character(text, [&](const unicode::Character& c, std::string_view bytes) {
      const bool was_mark = c.code_point == 0x1CF2 || c.code_point == 0x1CF3;  // up to Unicode 11
      const bool goes = was_mark || ((c.classes & unicode::mark) != 0 &&
                                     !unicode::is_unknown_to_normalizers(c.code_point));
      if (!goes) out += bytes;
    });
  }
};

/// Control characters go, odd spaces become plain ones.
class NmtRewriter : public TextRewriter {
 public:
  void rewrite(std::string_view text, std::string& out) const override {
    for_each_character(text, [&](const unicode::Character& c, std::string_view bytes) {
      const uint32_t p = c.code_point;
      const bool goes = (p >= 1 && p <= 8) || p == 0x0B || (p >= 0x0E && p <= 0x1F) || p == 0x7F ||
                        p == 0x8F || p == 0x9F;
      const bool is_space = p == 9 || p == 0x0A || p == 0x0C || p == 0x0D || p == 0x1680 ||
                            (p >= 0x200B && p <= 0x200F) || p == 0x2028 || p == 0x2029 ||
                            p == 0x2581 || p == 0xFEFF || (p == 0xFFFD && c.length == 3);
      if (goes) return;
      if (is_space)
        out += ' ';
      else
        out += bytes;
    });
  }
};

class PrependRewriter : public TextRewriter {
 public:
  explicit PrependRewriter(std::string text) : text_(std::move(text)) {}
  void rewrite(std::string_view text, std::string& out) const override {
    if (!text.empty()) out.append(text_).append(text);
  }

 private:
  std::string text_;
};

class AppendRewriter : public TextRewriter {
 public:
  explicit AppendRewriter(std::string text) : text_(std::move(text)) {}
  void rewrite(std::string_view text, std::string& out) const override {
    if (!text.empty()) out.append(text).append(text_);
  }

 private:
  std::string text_;
};

class ReplaceRewriter : public TextRewriter {
 public:
  ReplaceRewriter(std::unique_ptr<const DelimiterFinder> finder, std::string replacement)
      : finder_(std::move(finder)), replacement_(std::move(replacement)) {}
  void rewrite(std::string_view text, std::string& out) const override {
    size_t end = 0;
    finder_->find(text, [&](size_t begin, size_t match_end) {
      out.append(text.substr(end, begin - end)).append(replacement_);
      end = match_end;
    });
    out += text.substr(end);
  }

 private:
  std::unique_ptr<const DelimiterFinder> finder_;
  std::string replacement_;
};

/// A short grapheme is looked up whole, and what its beginning becomes stands for all of it; other
/// text goes character by character.
class CharsmapRewriter : public TextRewriter {
 public:
  CharsmapRewriter(std::string bytes, std::string_view file_name)
      : bytes_(std::move(bytes)), rules_(bytes_, file_name) {}

  void rewrite(std::string_view text, std::string& out) const override {
    constexpr size_t kShortGrapheme = 6;
    while (!text.empty()) {
      const std::string_view grapheme = text.substr(0, unicode::first_grapheme(text));
      text.remove_prefix(grapheme.size());
      if (grapheme.size() < kShortGrapheme) {
        if (const auto match = rules_.shortest(grapheme); match.consumed > 0) {
          out += match.result;
          continue;
        }
      }
      for_each_character(grapheme, [&](const unicode::Character&, std::string_view character) {
        const auto match = rules_.shortest(character);
        out += match.consumed > 0 ? match.result : character;
      });
    }
  }

 private:
  std::string bytes_;
  Charsmap rules_;
};

class SequenceRewriter : public TextRewriter {
 public:
  explicit SequenceRewriter(std::vector<TextRewriterPtr> steps) : steps_(std::move(steps)) {}
  void rewrite(std::string_view text, std::string& out) const override {
    std::string from(text), to;
    for (const TextRewriterPtr& step : steps_) {
      to.clear();
      step->rewrite(from, to);
      from.swap(to);
    }
    out += from;
  }
  bool keeps(std::string_view text) const override {
    for (const TextRewriterPtr& step : steps_) {
      if (!step->keeps(text)) return false;
    }
    return true;
  }

 private:
  std::vector<TextRewriterPtr> steps_;
};

}  // namespace

TextRewriterPtr rewrite_form(unicode::Form form) { return std::make_unique<FormRewriter>(form); }
TextRewriterPtr rewrite_lower() { return std::make_unique<LowerRewriter>(); }
TextRewriterPtr rewrite_strip(bool left, bool right) {
  return std::make_unique<StripRewriter>(left, right);
}
TextRewriterPtr rewrite_without_accents() { return std::make_unique<AccentRewriter>(); }
TextRewriterPtr rewrite_nmt() { return std::make_unique<NmtRewriter>(); }
TextRewriterPtr rewrite_prepend(std::string text) {
  return std::make_unique<PrependRewriter>(std::move(text));
}
TextRewriterPtr rewrite_append(std::string text) {
  return std::make_unique<AppendRewriter>(std::move(text));
}
TextRewriterPtr rewrite_replace(std::unique_ptr<const DelimiterFinder> finder,
                                std::string replacement) {
  return std::make_unique<ReplaceRewriter>(std::move(finder), std::move(replacement));
}
TextRewriterPtr rewrite_charsmap(std::string charsmap, std::string_view file_name) {
  return std::make_unique<CharsmapRewriter>(std::move(charsmap), file_name);
}
TextRewriterPtr rewrite_in_sequence(std::vector<TextRewriterPtr> steps) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return std::move(steps[0]);
  return std::make_unique<SequenceRewriter>(std::move(steps));
}

}  // namespace llm
