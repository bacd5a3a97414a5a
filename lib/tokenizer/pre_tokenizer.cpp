#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "tokenizer/unicode_text.h"

namespace llm {
namespace {

class RegexFinder : public DelimiterFinder {
 public:
  RegexFinder(std::string_view pattern, std::string_view subject) : regex_(pattern, subject) {}
  void find(std::string_view text, FunctionRef<void(size_t, size_t)> found) const override {
    regex_.for_each_match(text, found);
  }

 private:
  Regex regex_;
};

class LiteralFinder : public DelimiterFinder {
 public:
  explicit LiteralFinder(std::string_view text) : text_(text) {}
  void find(std::string_view text, FunctionRef<void(size_t, size_t)> found) const override {
    if (text_.empty()) return;
    for (size_t at = 0; (at = text.find(text_, at)) != std::string_view::npos; at += text_.size())
      found(at, at + text_.size());
  }

 private:
  std::string text_;
};

class ClassFinder : public DelimiterFinder {
 public:
  ClassFinder(uint8_t classes, std::string_view also, std::span<const unicode::Range> inverted)
      : classes_(classes), also_(also), inverted_(inverted) {}
  void find(std::string_view text, FunctionRef<void(size_t, size_t)> found) const override {
    for (size_t at = 0; at < text.size();) {
      const unicode::Character c = unicode::first_character(text.substr(at));
      const bool is_also =
          c.code_point < 0x80 && also_.find(static_cast<char>(c.code_point)) != std::string::npos;
      const bool is_inverted =
          c.code_point >= 0x80 && unicode::find_range(inverted_, c.code_point) != nullptr;
      if ((((c.classes & classes_) != 0) != is_inverted) || is_also) found(at, at + c.length);
      at += c.length;
    }
  }

 private:
  uint8_t classes_;
  std::string also_;
  std::span<const unicode::Range> inverted_;
};

class DelimiterSplit : public PreTokenizer {
 public:
  DelimiterSplit(std::unique_ptr<const DelimiterFinder> finder, Delimiter behavior, bool invert)
      : finder_(std::move(finder)), behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, bool at_start, PieceSink sink) const override {
    Cutter cutter{text, at_start, sink, behavior_};
    size_t end = 0;
    finder_->find(text, [&](size_t begin, size_t match_end) {
      if (begin > end) cutter.add(end, begin, invert_);
      cutter.add(begin, match_end, !invert_);
      end = match_end;
    });
    if (end < text.size()) cutter.add(end, text.size(), invert_);
    cutter.finish();
  }

 private:
  /// Gets delimiters and what is between them, and gives pieces. One piece is held back, since the
  /// next may join it.
  struct Cutter {
    std::string_view text;
    bool at_start;
    PieceSink sink;
    Delimiter behavior;
    size_t begin = 0, end = 0;
    bool holds = false, held_is_delimiter = false;

    void emit() {
      if (holds && end > begin) sink(text.substr(begin, end - begin), at_start && begin == 0);
      holds = false;
    }
    void hold(size_t from, size_t to, bool is_delimiter) {
      emit();
      begin = from;
      end = to;
      holds = true;
      held_is_delimiter = is_delimiter;
    }
    void add(size_t from, size_t to, bool is_delimiter) {
      switch (behavior) {
        case Delimiter::removed:
          if (!is_delimiter) hold(from, to, false);
          return;
        case Delimiter::isolated:
          return hold(from, to, is_delimiter);
        case Delimiter::contiguous:
          if (holds && held_is_delimiter == is_delimiter)
            end = to;
          else
            hold(from, to, is_delimiter);
          return;
        case Delimiter::merged_with_previous:
          if (is_delimiter && holds && !held_is_delimiter) {
            end = to;
            held_is_delimiter = true;
          } else {
            hold(from, to, is_delimiter);
          }
          return;
        case Delimiter::merged_with_next:
          if (holds && held_is_delimiter && !is_delimiter) {
            end = to;
            held_is_delimiter = false;
          } else {
            hold(from, to, is_delimiter);
          }
          return;
      }
    }
    void finish() { emit(); }
  };

  std::unique_ptr<const DelimiterFinder> finder_;
  Delimiter behavior_;
  bool invert_;
};

class WordSplit : public PreTokenizer {
 public:
  explicit WordSplit(WordEnd word_end) : word_end_(word_end) {}
  void split(std::string_view text, bool at_start, PieceSink sink) const override {
    for (size_t at = 0; at < text.size();) {
      const size_t end = word_end_(text, at);
      sink(text.substr(at, end - at), at_start && at == 0);
      at = end;
    }
  }

 private:
  WordEnd word_end_;
};

class SpaceBefore : public PreTokenizer {
 public:
  explicit SpaceBefore(std::unique_ptr<const PreTokenizer> then) : then_(std::move(then)) {}
  void split(std::string_view text, bool at_start, PieceSink sink) const override {
    std::string changed;
    if (!text.empty() && text[0] != ' ') {
      changed.reserve(text.size() + 1);
      changed += ' ';
      text = changed.append(text);
    }
    if (then_)
      then_->split(text, at_start, sink);
    else if (!text.empty())
      sink(text, at_start);
  }

 private:
  std::unique_ptr<const PreTokenizer> then_;
};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(std::string mark, Prepend prepend, bool split)
      : mark_(std::move(mark)), prepend_(prepend), split_(split) {}

  void split(std::string_view text, bool at_start, PieceSink sink) const override {
    if (text.empty()) return;
    std::string marked;
    marked.reserve(text.size() + text.size() / 2 + mark_.size());
    const bool has_mark = text[0] == ' ' || text.starts_with(mark_);
    if (!has_mark && (prepend_ == Prepend::always || (prepend_ == Prepend::first && at_start)))
      marked += mark_;
    for (const char c : text) {
      if (c == ' ')
        marked += mark_;
      else
        marked += c;
    }
    if (!split_) return sink(marked, at_start);
    const std::string_view all = marked;
    for (size_t at = 0; at < all.size();) {
      const size_t end = std::min(all.find(mark_, at + 1), all.size());
      sink(all.substr(at, end - at), at_start && at == 0);
      at = end;
    }
  }

 private:
  std::string mark_;
  Prepend prepend_;
  bool split_;
};

class SequenceSplit : public PreTokenizer {
 public:
  explicit SequenceSplit(std::vector<std::unique_ptr<const PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  void split(std::string_view text, bool at_start, PieceSink sink) const override {
    from_step(0, text, at_start, sink);
  }

 private:
  void from_step(size_t step, std::string_view text, bool at_start, PieceSink sink) const {
    if (step == steps_.size()) return sink(text, at_start);
    steps_[step]->split(text, at_start, [&](std::string_view piece, bool piece_at_start) {
      from_step(step + 1, piece, piece_at_start, sink);
    });
  }
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

}  // namespace

std::unique_ptr<const DelimiterFinder> find_regex(std::string_view pattern,
                                                  std::string_view subject) {
  return std::make_unique<RegexFinder>(pattern, subject);
}
std::unique_ptr<const DelimiterFinder> find_literal(std::string_view text) {
  return std::make_unique<LiteralFinder>(text);
}
std::unique_ptr<const DelimiterFinder> find_classes(uint8_t classes, std::string_view also,
                                                    std::span<const unicode::Range> inverted) {
  return std::make_unique<ClassFinder>(classes, also, inverted);
}
std::unique_ptr<const PreTokenizer> split_at(std::unique_ptr<const DelimiterFinder> finder,
                                             Delimiter behavior, bool invert) {
  return std::make_unique<DelimiterSplit>(std::move(finder), behavior, invert);
}
std::unique_ptr<const PreTokenizer> split_words(WordEnd word_end) {
  return std::make_unique<WordSplit>(word_end);
}
std::unique_ptr<const PreTokenizer> space_before(std::unique_ptr<const PreTokenizer> then) {
  return std::make_unique<SpaceBefore>(std::move(then));
}
std::unique_ptr<const PreTokenizer> metaspace(std::string mark, Prepend prepend, bool split) {
  return std::make_unique<Metaspace>(std::move(mark), prepend, split);
}
std::unique_ptr<const PreTokenizer> in_sequence(
    std::vector<std::unique_ptr<const PreTokenizer>> steps) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return std::move(steps[0]);
  return std::make_unique<SequenceSplit>(std::move(steps));
}

}  // namespace llm
