// Patterns of JSON strings: the same answers as PCRE2 gives, and refusals by name.
#include "serving/constraint/pattern.h"

#include <gtest/gtest.h>

#include "tests/constraint/grammar_support.h"
#include "tests/constraint/schema_validator.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

using nlohmann::ordered_json;

SharedGrammar pattern_of(const std::string& pattern) {
  return schema_grammar({{"type", "string"}, {"pattern", pattern}});
}

TEST(Pattern, AgreesWithPcre2OnRandomTexts) {
  const char* const kPatterns[] = {"^ab*c?$",
                                   "^(a|bc)+$",
                                   "^[a-c]{2,4}$",
                                   "^(?:ab|a)b?$",
                                   "^a{2}b{1,}c{0,2}$",
                                   "^[^ab]$",
                                   "ab",
                                   "^a",
                                   "c$",
                                   "^a|b$",
                                   "(a|b)c",
                                   "^$",
                                   "",
                                   "^(a?b){2}c*$",
                                   "^\\w\\d?\\s?$",
                                   "^\\D\\S$",
                                   "^.{1,3}$",
                                   "^a*?b+?$",
                                   "^(?<x>a)b$",
                                   "^[\\w-]+$",
                                   "^[a\\]b]+$",
                                   "^\\u0061\\x62$",
                                   "^a{,2}$",
                                   "^[a-]+$",
                                   "^\\.\\*$"};
  const std::string letters = "abc .*,2]-{}\n\"";
  Random random(2);
  for (const char* pattern : kPatterns) {
    const ordered_json schema = {{"pattern", pattern}};
    const auto grammar = pattern_of(pattern);
    for (int i = 0; i < 150; ++i) {
      std::string text;
      const size_t length = random.below(5);
      while (text.size() < length) text += letters[random.below(i % 2 == 0 ? 3 : letters.size())];
      const bool expected = SchemaValidator(schema).problem(text).empty();
      EXPECT_EQ(matches(grammar, ordered_json(text).dump()), expected) << pattern << " on " << text;
    }
  }
}

TEST(Pattern, CharactersAreEscapedAsJsonNeedsIt) {
  const auto grammar = pattern_of("^[\\x00-\\x22\\\\]$");
  for (const char* text :
       {R"("\u0000")", R"("\n")", R"("\u001f")", R"(" ")", R"("\"")", R"("\\")"}) {
    EXPECT_TRUE(matches(grammar, text)) << text;
  }
  for (const char* text : {R"("\u000a")", R"("#")", "\"\n\"", R"(""")"}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
  EXPECT_TRUE(matches(pattern_of("^é😀$"), "\"é😀\""));
  EXPECT_TRUE(matches(pattern_of("^\\u{63}\\u{1F600}\\ud83d\\ude00$"), "\"c😀😀\""));
}

TEST(Pattern, LengthsAreKeptWhereTheyCanBe) {
  const auto grammar = [](const char* pattern, int min, int max) {
    return schema_grammar({{"pattern", pattern}, {"minLength", min}, {"maxLength", max}});
  };
  EXPECT_TRUE(matches(grammar("^(ab){2}c?$", 4, 5), "\"ababc\""));
  EXPECT_FALSE(matches(grammar("^[ab]+$", 2, 3), "\"a\""));
  EXPECT_TRUE(matches(grammar("^[ab]+$", 2, 3), "\"aba\""));
  EXPECT_FALSE(matches(grammar("^[ab]+$", 2, 3), "\"abab\""));
  EXPECT_FALSE(matches(grammar("^[ab]{0,9}$", 1, 3), "\"\""));
  expect_error([&] { grammar("^[ab]{5,9}$", 1, 3); }, Exit::usage,
               "pattern: no text of 1 to 3 characters matches (the top level)");
  expect_error(
      [&] { grammar("^(ab)*$", 1, 3); }, Exit::usage,
      "minLength and maxLength beside a pattern that does not imply them are not supported "
      "(the top level)");
}

TEST(Pattern, WhatIsNotRegularIsRefusedByName) {
  const std::pair<const char*, const char*> kRefused[] = {
      {"(a)\\1", "back references are not supported at offset 3"},
      {"\\k<x>", "back references are not supported at offset 0"},
      {"a(?!b)", "look-around is not supported at offset 1"},
      {"(?<=b)a", "look-around is not supported at offset 0"},
      {"\\bword", "word boundaries are not supported at offset 0"},
      {"\\p{L}", "character properties (\\p) are not supported at offset 0"},
      {"a^b", "an anchor inside the pattern is not supported at offset 1"},
      {"a$b", "an anchor inside the pattern is not supported at offset 1"},
      {"(^a)", "an anchor inside the pattern is not supported at offset 1"},
      {"(?i)a", "this kind of group is not supported at offset 0"},
      {"*a", "nothing to repeat at offset 0"},
      {"a**", "nothing to repeat at offset 2"},
      {"(a", "a group without ')' at offset 0"},
      {"a)", "')' without '(' at offset 1"},
      {"[a", "a class without ']' at offset 0"},
      {"[]", "a class that matches nothing at offset 0"},
      {"[b-a]", "a range that is none at offset 1"},
      {"[\\d-z]", "a range that is none at offset 1"},
      {"a{3,2}", "at least 3 and at most 2 at offset 0"},
      {"a{9999999999}", "a repetition of more than 1000000000 at offset 2"},
      {"\\u{110000}", "U+110000 is not a character at offset 0"},
      {"\\ud800", "U+D800 is not a character at offset 0"},
      {"\\q", "the escape \\q is not supported at offset 0"},
      {"\\", "a backslash at the end at offset 0"},
      {"\\01", "octal escapes are not supported at offset 0"},
  };
  for (const auto& [pattern, problem] : kRefused) {
    expect_error([&] { pattern_of(pattern); }, Exit::usage,
                 fmt::format("pattern: {} (the top level)", problem));
  }
}

}  // namespace
}  // namespace llm
