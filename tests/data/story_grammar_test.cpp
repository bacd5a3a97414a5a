#include "data/story_grammar.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

/// Every text of a small grammar with its probability, by trying all random numbers on a grid that
/// the weights divide.
std::map<std::string, double> enumerate(const StoryGrammar& grammar, int choices, int grid) {
  std::map<std::string, double> texts;
  std::vector<int> digits(static_cast<size_t>(choices), 0);
  double weight = std::pow(1.0 / grid, choices);
  while (true) {
    size_t next = 0;
    texts[grammar.tell([&] { return (digits[next++] + 0.5) / grid; }).first] += weight;
    size_t place = 0;
    while (place < digits.size() && ++digits[place] == grid) {
      digits[place++] = 0;
    }
    if (place == digits.size()) {
      return texts;
    }
  }
}

const std::vector<WordList> kLists = {{"name", {"he"}, "Mia/she Tom/he Max/he"},
                                      {"sky", {}, "sunny*2 rainy"}};

TEST(StoryGrammar, MomentsAreThoseOfTheEnumeratedTexts) {
  StoryGrammar grammar(kLists,
                       "A {sky=sky} day. (2:{hero=name} met {friend!hero=name} and {hero.he} "
                       "sang|1:and then {hero=name} slept).");
  auto texts = enumerate(grammar, 4, 6);
  double total = 0, nats = 0, square = 0, bytes = 0, words = 0;
  for (const auto& [text, p] : texts) {
    total += p;
    nats -= p * std::log(p);
    square += p * std::log(p) * std::log(p);
    bytes += p * static_cast<double>(text.size());
    words += p * static_cast<double>(1 + std::count(text.begin(), text.end(), ' '));
    ASSERT_TRUE(grammar.nats_of(text));
    EXPECT_NEAR(*grammar.nats_of(text), -std::log(p), 1e-12) << text;
  }
  EXPECT_EQ(texts.size(), 2u * (3 * 2 + 3));
  EXPECT_NEAR(total, 1, 1e-12);
  EXPECT_NEAR(grammar.moments().nats, nats, 1e-12);
  EXPECT_NEAR(grammar.moments().nats_variance, square - nats * nats, 1e-12);
  EXPECT_NEAR(grammar.moments().bytes, bytes, 1e-12);
  EXPECT_NEAR(grammar.moments().words, words, 1e-12);
}

TEST(StoryGrammar, AmbiguousRulesAreFound) {
  const std::vector<std::pair<const char*, bool>> kTable = {
      {"(a|b)", false},
      {"(a|ab)", true},
      {"(a|a)", true},
      {"({hero=name}|Mia)", true},
      {"({hero=name}|Zoe)", false},
      {"{hero=name} and {friend!hero=name}: ({hero}|{friend})", false},
      {"{hero=name} and {friend=name}: ({hero}|{friend})", true},
      {"{hero=name} and {friend!hero=name}: ({hero.he}|{friend.he})", true},
      {"((a|b)c|(b|d)e)", true},
  };
  for (const auto& [rules, ambiguous] : kTable) {
    EXPECT_EQ(StoryGrammar(kLists, rules).ambiguity().has_value(), ambiguous) << rules;
  }
  const std::vector<WordList> prefixes = {{"word", {}, "Ann Anna"}};
  EXPECT_TRUE(StoryGrammar(prefixes, "{x=word}").ambiguity());
}

TEST(StoryGrammar, FaultyRulesAreRefused) {
  for (const auto& [rules, message] : std::vector<std::pair<const char*, const char*>>{
           {"(a|b", "'(' without ')'"},
           {"{hero", "'{' without '}'"},
           {"{hero}", "'hero' is used before it is chosen"},
           {"{hero=nobody}", "no list 'nobody'"},
           {"{hero=name} {hero.his}", "'hero' has no form 'his'"},
           {"{a=sky} {b!a=sky}", "needs a list without weights"},
           {"(a{hero=name}|b) {hero}", "used where it may not have been chosen"},
           {"a)b", "unexpected ')b'"},
       }) {
    expect_error(Exit::usage, message, [&] { StoryGrammar(kLists, rules); });
  }
}

}  // namespace
}  // namespace llm
