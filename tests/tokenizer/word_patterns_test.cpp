// PCRE2 is the reference for the matchers written by hand.
#include "tokenizer/word_patterns.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode_text.h"

namespace llm {
namespace {

std::vector<std::string> by_hand(WordEnd word_end, std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(text, at);
    EXPECT_GT(end, at);
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

std::vector<std::string> by_regex(const Regex& regex, std::string_view text) {
  std::vector<std::string> words;
  regex.for_each_match(
      text, [&](size_t begin, size_t end) { words.emplace_back(text.substr(begin, end - begin)); });
  return words;
}

std::string random_text(Random& random) {
  static constexpr const char* kParts[] = {
      "'s", "'T",     "'RE",    "'ll",    "'Ve",    "'",      " ",       "  ",
      "\n", "\r\n",   "\t",     "a",      "Word",   "é",      "12",      "7",
      "½",  "٣",      "!",      "...",    "$",      "_",      "\u00A0",  "\u3000",
      "東", "\u0301", "🙂",   "\u180E", "ſ",      "\u2028", "'\u017F", "\u200B",
      "Ⅳ",  "\u0903", "\u0085", "x'd",    "\u1680 "};
  std::string text;
  for (uint64_t parts = random.below(14); parts > 0; --parts) {
    if (random.below(8) == 0) {
      const auto code_point = static_cast<uint32_t>(random.below(0x20000));
      utf8::append(text, code_point >= 0xD800 && code_point < 0xE000 ? 0x41 : code_point);
    } else {
      text += kParts[random.below(std::size(kParts))];
    }
  }
  return text;
}

TEST(WordPatterns, MatchersByHandEqualThePatterns) {
  const std::pair<std::string_view, WordEnd> pairs[] = {{kGpt2Pattern, gpt2_word_end},
                                                        {kLlama3Pattern, llama3_word_end},
                                                        {kQwen2Pattern, qwen2_word_end}};
  for (const auto& [pattern, word_end] : pairs) {
    ASSERT_EQ(find_word_matcher(pattern), word_end);
    const Regex regex(pattern, "test");
    Random random(31);
    for (int i = 0; i < 20'000; ++i) {
      const std::string text = random_text(random);
      ASSERT_EQ(by_hand(word_end, text), by_regex(regex, text)) << "'" << text << "'";
    }
  }
}

TEST(WordPatterns, CharactersLaterThanTheInstalledTablesAreWhatTheyAre) {
  // Unicode 15 and 16: a letter of Nag Mundari and its digit, an ideograph, a Garay digit and mark.
  const std::string text = "\U0001E4D0\U0001E4F1\U00031350\U00010D40\U00010D69";
  const std::vector<std::string> words = {"\U0001E4D0", "\U0001E4F1", "\U00031350", "\U00010D40",
                                          "\U00010D69"};
  EXPECT_EQ(by_hand(gpt2_word_end, text), words);
  EXPECT_EQ(by_regex(Regex(kGpt2Pattern, "test"), text), words);
  EXPECT_EQ(by_regex(Regex(R"(\p{Han}+)", "test"), "\U0001E4D0\U00031350\U0002EBF0"),
            std::vector<std::string>{"\U00031350\U0002EBF0"});
}

TEST(WordPatterns, BrokenBytesAreWordsToo) {
  for (const WordEnd word_end : {gpt2_word_end, llama3_word_end, qwen2_word_end}) {
    std::string joined;
    for (const std::string& word : by_hand(word_end, "a\xFF\xFE b\xC3 \xE6\x9D")) joined += word;
    EXPECT_EQ(joined, "a\xFF\xFE b\xC3 \xE6\x9D");
  }
}

TEST(WordPatterns, EveryNameHasPatternsThatCompile) {
  for (const NamedWords& words : named_words()) {
    for (const std::string_view pattern : words.patterns) Regex(pattern, words.name);
    EXPECT_EQ(find_named_words(words.name)->name, words.name);
  }
  EXPECT_EQ(find_named_words("nothing"), nullptr);
  EXPECT_EQ(name_of_patterns({kLlama3Pattern}), "llama-bpe");
  EXPECT_EQ(name_of_patterns({R"(\p{N})", kGpt2Pattern}), "starcoder");
  EXPECT_EQ(name_of_patterns({"a"}), "");
}

TEST(RegexSyntax, OnigurumaMeansWhatItMeans) {
  const auto rewritten = [](std::string_view pattern) { return oniguruma_to_pcre2(pattern, "t"); };
  EXPECT_EQ(rewritten(R"(\p{N}{1,3}+)"), R"((?:\p{N}{1,3})+)");
  EXPECT_EQ(rewritten(R"([^\s\p{L}])"), R"([^\t-\r\x{85}\p{Z}\p{L}])");
  EXPECT_EQ(rewritten(R"(\p{Han}+)"), R"(\p{sc:Han}+)");
  EXPECT_EQ(rewritten("(?m:.)"), "(?s:.)");
  EXPECT_EQ(rewritten(R"(a{,3}b{x\+)"), R"(a{0,3}b{x\+)");
  EXPECT_EQ(by_regex(Regex(R"(\s)", "t"), "a\u180Eb c"), std::vector<std::string>{" "});
  EXPECT_EQ(by_regex(Regex(R"(\w+)", "t"), "ae\u0301-b"),
            (std::vector<std::string>{"ae\u0301", "b"}));
}

TEST(UnicodeText, NormalFormsOfValidStretches) {
  using unicode::Form;
  const auto form = [](std::string_view text, Form form) {
    std::string out;
    unicode::normalize(text, form, out);
    return out;
  };
  EXPECT_EQ(form("e\u0301", Form::nfc), "\u00E9");
  EXPECT_EQ(form("\u00E9", Form::nfd), "e\u0301");
  EXPECT_EQ(form("\uFB01\u2460", Form::nfkc), "fi1");
  EXPECT_EQ(form("\xFF"
                 "e\u0301\xFE",
                 Form::nfc),
            "\xFF\u00E9\xFE");
  EXPECT_TRUE(unicode::surely_normal("plain é 東京 \uAC00", Form::nfc));
  EXPECT_EQ(form("\u32FF", Form::nfkc), "\u32FF");  // Unicode 12: normalisers leave it
  EXPECT_EQ(form("\u08D3e\u0301", Form::nfc), "\u08D3\u00E9");
  EXPECT_FALSE(unicode::surely_normal("e\u0301", Form::nfc));
  EXPECT_FALSE(unicode::surely_normal("\u1112\u1161", Form::nfc));
}

}  // namespace
}  // namespace llm
