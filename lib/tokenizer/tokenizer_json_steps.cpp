// The parts of tokenizer.json that are chains of steps: normalizer, pre_tokenizer, decoder,
// post_processor.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/base64.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/unicode_differences.h"

namespace llm {
namespace {

constexpr size_t kMaxStepsOfAKind = 256;

/// The steps of a chain, Sequences taken apart. `list_key` is where a Sequence keeps them.
void flatten(const JsonView& view, std::string_view list_key, std::vector<JsonView>& steps,
             std::string_view name) {
  view.expect_object();
  check_input(steps.size() < kMaxStepsOfAKind, "'{}': more than {} steps in {}", name,
              kMaxStepsOfAKind, view.path());
  if (view.get_string("type") != "Sequence") {
    steps.push_back(view);
    return;
  }
  const JsonView list = view.at(list_key);
  list.expect_array();
  for (size_t i = 0; i < list.size(); ++i) flatten(list.element(i), list_key, steps, name);
}

std::vector<JsonView> steps_of(const JsonView& root, std::string_view part,
                               std::string_view list_key, std::string_view name) {
  std::vector<JsonView> steps;
  if (const auto view = root.find(part)) flatten(*view, list_key, steps, name);
  return steps;
}

std::string names_of(const std::vector<JsonView>& steps) {
  std::string names;
  for (const JsonView& step : steps) {
    if (!names.empty()) names += '+';
    names += step.get_string("type");
  }
  return names;
}

Delimiter read_behavior(const JsonView& step) {
  const std::string name = step.get_string("behavior", "Isolated");
  if (name == "Isolated") return Delimiter::isolated;
  if (name == "Removed") return Delimiter::removed;
  if (name == "Contiguous") return Delimiter::contiguous;
  if (name == "MergedWithPrevious") return Delimiter::merged_with_previous;
  if (name == "MergedWithNext") return Delimiter::merged_with_next;
  step.at("behavior")
      .fail(
          "must be Removed, Isolated, MergedWithPrevious, MergedWithNext or "
          "Contiguous");
}

constexpr std::string_view kAsciiSymbols = "$+<=>^`|~";  // punctuation to Rust, though not \p{P}
// \w+|[^\w\s]+ as Rust's regexes mean it, not Oniguruma.
constexpr std::string_view kWhitespacePattern =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}\s]+)";

class PreTokenizerReader {
 public:
  PreTokenizerReader(std::string_view name, PipelineStages& stages)
      : name_(name), subject_(fmt::format("'{}': pre_tokenizer", name)), stages_(stages) {}

  void read(const std::vector<JsonView>& steps) {
    stages_.words_are_patterns = !steps.empty();
    for (size_t i = 0; i < steps.size(); ++i) {
      const std::string type = steps[i].get_string("type");
      if (type == "ByteLevel" && i + 1 == steps.size())
        read_byte_level(steps[i]);
      else if (!read_step(type, steps[i]))
        refuse_step(name_, "pre_tokenizer", names_of(steps));
    }
    stages_.pre_tokenizer = in_sequence(std::move(made_));
  }

 private:
  void read_byte_level(const JsonView& step) {
    stages_.byte_level = true;
    std::unique_ptr<const PreTokenizer> words;
    if (step.get_bool("use_regex", true)) {
      words = split_words(gpt2_word_end);
      stages_.word_patterns.emplace_back(kGpt2Pattern);
    }
    if (step.get_bool("add_prefix_space", true)) {
      words = space_before(std::move(words));
      stages_.puts_space_before = true;
    }
    if (words) made_.push_back(std::move(words));
  }

  bool read_step(const std::string& type, const JsonView& step) {
    if (type == "Split") {
      read_split(step);
    } else if (type == "Digits") {
      const bool single = step.get_bool("individual_digits", false);
      add_split(find_classes(unicode::number, "", unicode::odd_digits()),
                single ? Delimiter::isolated : Delimiter::contiguous);
      note_pattern(single ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Punctuation") {
      const Delimiter behavior = read_behavior(step);
      add_split(find_classes(unicode::punctuation, kAsciiSymbols, unicode::odd_punctuation()),
                behavior);
      stages_.words_are_patterns = false;
    } else if (type == "Metaspace") {
      read_metaspace(step);
    } else if (type == "Whitespace") {
      made_.push_back(split_at(find_regex(kWhitespacePattern, subject_), Delimiter::removed, true));
      stages_.words_are_patterns = false;
    } else if (type == "WhitespaceSplit" || type == "BertPreTokenizer") {
      add_split(find_classes(unicode::space, ""), Delimiter::removed);
      if (type == "BertPreTokenizer")
        add_split(find_classes(unicode::punctuation, kAsciiSymbols, unicode::odd_punctuation()),
                  Delimiter::isolated);
      stages_.words_are_patterns = false;
    } else if (type == "CharDelimiterSplit") {
      add_split(find_literal(step.get_string("delimiter")), Delimiter::removed);
      stages_.words_are_patterns = false;
    } else {
      return false;
    }
    return true;
  }

  void read_split(const JsonView& step) {
    const Delimiter behavior = read_behavior(step);
    const bool invert = step.get_bool("invert", false);
    const JsonView pattern = step.at("pattern");
    const bool keeps_matches =
        (behavior == Delimiter::isolated && !invert) || (behavior == Delimiter::removed && invert);
    if (keeps_matches && pattern.value().is_object() && pattern.has("Regex")) {
      const std::string regex = pattern.get_string("Regex");
      note_pattern(regex);
      if (const WordEnd word_end = find_word_matcher(regex)) {
        made_.push_back(split_words(word_end));
        return;
      }
    } else {
      stages_.words_are_patterns = false;
    }
    made_.push_back(split_at(read_pattern(pattern, subject_), behavior, invert));
  }

  void read_metaspace(const JsonView& step) {
    stages_.words_are_patterns = false;
    const std::string mark = step.get_string("replacement", "\xE2\x96\x81");
    check_input(!mark.empty(), "'{}': a Metaspace without replacement", name_);
    std::string scheme = step.get_bool("add_prefix_space", true) ? "always" : "never";
    scheme = step.get_string("prepend_scheme", scheme);
    if (scheme != "always" && scheme != "first" && scheme != "never")
      step.at("prepend_scheme").fail("must be always, first or never");
    const Prepend prepend = scheme == "always"  ? Prepend::always
                            : scheme == "first" ? Prepend::first
                                                : Prepend::never;
    stages_.puts_space_before |= prepend != Prepend::never;
    stages_.is_sentencepiece_style = made_.empty();
    made_.push_back(metaspace(mark, prepend, step.get_bool("split", true)));
  }

  void add_split(std::unique_ptr<const DelimiterFinder> finder, Delimiter behavior) {
    made_.push_back(split_at(std::move(finder), behavior, false));
  }
  void note_pattern(std::string_view pattern) { stages_.word_patterns.emplace_back(pattern); }

  std::string_view name_;
  std::string subject_;
  PipelineStages& stages_;
  std::vector<std::unique_ptr<const PreTokenizer>> made_;
};

TextRewriterPtr read_rewriter(const JsonView& step, std::string_view name) {
  const std::string type = step.get_string("type");
  if (type == "NFC") return rewrite_form(unicode::Form::nfc);
  if (type == "NFD") return rewrite_form(unicode::Form::nfd);
  if (type == "NFKC") return rewrite_form(unicode::Form::nfkc);
  if (type == "NFKD") return rewrite_form(unicode::Form::nfkd);
  if (type == "Lowercase") return rewrite_lower();
  if (type == "StripAccents") return rewrite_without_accents();
  if (type == "Nmt") return rewrite_nmt();
  if (type == "Strip")
    return rewrite_strip(step.get_bool("strip_left", true), step.get_bool("strip_right", true));
  if (type == "Prepend") return rewrite_prepend(step.get_string("prepend"));
  if (type == "Append") return rewrite_append(step.get_string("append"));
  if (type == "Replace")
    return rewrite_replace(read_pattern(step.at("pattern"), fmt::format("'{}': normalizer", name)),
                           step.get_string("content"));
  if (type == "Precompiled") {
    if (!step.has("precompiled_charsmap")) return nullptr;
    const std::string text = step.get_string("precompiled_charsmap");
    if (text.empty()) return nullptr;
    return rewrite_charsmap(decode_base64(text, fmt::format("'{}': precompiled_charsmap", name)),
                            name);
  }
  return nullptr;
}

/// Spaces become U+2581, with or without one put before the text: what SentencePiece does.
bool is_sentencepiece_style(const std::vector<JsonView>& steps, bool& puts_space) {
  puts_space = false;
  bool replaces = false;
  for (const JsonView& step : steps) {
    const std::string type = step.get_string("type");
    if (type == "Prepend" && step.get_string("prepend") == "\xE2\x96\x81" && !replaces) {
      puts_space = true;
    } else if (type == "Replace" && step.get_string("content") == "\xE2\x96\x81" &&
               step.at("pattern").value() == nlohmann::json{{"String", " "}}) {
      replaces = true;
    } else {
      return false;
    }
  }
  return replaces;
}

}  // namespace

std::unique_ptr<const DelimiterFinder> read_pattern(const JsonView& pattern,
                                                    std::string_view subject) {
  if (pattern.value().is_string()) return find_literal(pattern.as_string());
  pattern.expect_object();
  if (pattern.has("String")) return find_literal(pattern.get_string("String"));
  return find_regex(pattern.get_string("Regex"), subject);
}

void read_pre_tokenizer(const JsonView& root, std::string_view name, PipelineStages& stages) {
  const auto steps = steps_of(root, "pre_tokenizer", "pretokenizers", name);
  PreTokenizerReader(name, stages).read(steps);
}

void read_normalizer(const JsonView& root, std::string_view name, PipelineStages& stages) {
  const auto steps = steps_of(root, "normalizer", "normalizers", name);
  std::vector<TextRewriterPtr> made;
  for (const JsonView& step : steps) {
    if (TextRewriterPtr rewriter = read_rewriter(step, name))
      made.push_back(std::move(rewriter));
    else if (step.get_string("type") != "Precompiled")
      refuse_step(name, "normalizer", names_of(steps));
  }
  stages.rewriter = rewrite_in_sequence(std::move(made));
  for (const JsonView& step : steps) stages.keeps_text &= step.get_string("type") == "NFC";
  bool puts_space = false;
  if (is_sentencepiece_style(steps, puts_space) && !stages.pre_tokenizer) {
    stages.is_sentencepiece_style = true;
    stages.puts_space_before = puts_space;
  } else if (stages.rewriter) {
    stages.is_sentencepiece_style = false;
  }
}

void read_decoder(const JsonView& root, std::string_view name, PipelineStages& stages) {
  const auto steps = steps_of(root, "decoder", "decoders", name);
  TokenDecoder& decoder = stages.decoder;
  for (const JsonView& step : steps) {
    const std::string type = step.get_string("type");
    if (type == "ByteLevel") {
      decoder.add_byte_level();
    } else if (type == "ByteFallback") {
      decoder.add_byte_fallback();
    } else if (type == "Fuse") {
      decoder.fuse();
    } else if (type == "Replace") {
      decoder.add_replace(read_pattern(step.at("pattern"), fmt::format("'{}': decoder", name)),
                          step.get_string("content"));
    } else if (type == "Strip") {
      decoder.add_strip(step.get_string("content"),
                        static_cast<size_t>(step.get_int("start", 0, 1 << 20, 0)),
                        static_cast<size_t>(step.get_int("stop", 0, 1 << 20, 0)));
    } else if (type == "Metaspace") {
      const std::string scheme = step.get_string(
          "prepend_scheme", step.get_bool("add_prefix_space", true) ? "always" : "never");
      decoder.add_metaspace(step.get_string("replacement", "\xE2\x96\x81"), scheme != "never");
    } else if (type == "BPEDecoder") {
      decoder.add_word_suffix(step.get_string("suffix", "</w>"));
    } else {
      refuse_step(name, "decoder", names_of(steps));
    }
  }
  if (!steps.empty()) return;
  if (stages.byte_level)
    decoder.add_byte_level();  // the only reading that gives the text back
  else
    decoder.join_with_spaces();
}

namespace {

int32_t known_id(const JsonView& id, const PipelineStages& stages) {
  return static_cast<int32_t>(id.as_int(0, static_cast<int64_t>(stages.pieces.size()) - 1));
}

void read_template(const JsonView& step, PipelineStages& stages) {
  const JsonView single = step.at("single");
  single.expect_array();
  bool seen_text = false;
  std::vector<int32_t> before, after;
  for (size_t i = 0; i < single.size(); ++i) {
    const JsonView item = single.element(i);
    if (item.find("Sequence")) {
      if (seen_text) item.fail("repeats the text");
      seen_text = true;
      continue;
    }
    const std::string token = item.at("SpecialToken").get_string("id");
    const JsonView ids = step.at("special_tokens").at(token).at("ids");
    ids.expect_array();
    for (size_t k = 0; k < ids.size(); ++k)
      (seen_text ? after : before).push_back(known_id(ids.element(k), stages));
  }
  if (!seen_text) single.fail("leaves out the text");
  stages.before.insert(stages.before.begin(), before.begin(), before.end());
  stages.after.insert(stages.after.end(), after.begin(), after.end());
}

}  // namespace

void read_post_processor(const JsonView& root, std::string_view name, PipelineStages& stages) {
  const auto steps = steps_of(root, "post_processor", "processors", name);
  for (const JsonView& step : steps) {
    const std::string type = step.get_string("type");
    if (type == "ByteLevel") continue;  // moves offsets only
    if (type == "TemplateProcessing") {
      read_template(step, stages);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      stages.before.insert(stages.before.begin(), known_id(step.at("cls").element(1), stages));
      stages.after.push_back(known_id(step.at("sep").element(1), stages));
    } else {
      refuse_step(name, "post_processor", names_of(steps));
    }
  }
}

}  // namespace llm
