// GBNF: what the notation means, and where its errors are.
#include "serving/constraint/gbnf.h"

#include <gtest/gtest.h>

#include "tests/constraint/grammar_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

struct Case {
  const char* grammar;
  std::vector<const char*> accepted;
  std::vector<const char*> refused;
};

const Case kCases[] = {
    {R"(root ::= "yes" | "no")", {"yes", "no"}, {"", "ye", "yesno", "Yes"}},
    {R"(root ::= [a-c]+ [^a-c\n]?)", {"a", "abcx", "bé"}, {"", "x", "a\n", "axx"}},
    {R"(root ::= "a"*)", {"", "aaaa"}, {"b", "aab"}},
    {R"(root ::= "ab"{2})", {"abab"}, {"ab", "ababab"}},
    {R"(root ::= "a"{2,})", {"aa", "aaaaaa"}, {"a", ""}},
    {R"(root ::= "a"{1,3} "b"{0} "c"{ 0 , 2 })", {"a", "aaacc"}, {"aaaa", "abc", "accc"}},
    {R"(root ::= ("x" | "y" "z")+ "!")", {"x!", "yzx!"}, {"y!", "!"}},
    {"root ::= (\n  \"a\" # one\n  | \"b\"\n) \"c\"\n", {"ac", "bc"}, {"abc", "c"}},
    {"root ::= \"a\" |\n  \"b\"\n", {"a", "b"}, {"ab"}},
    {"# first\n\nroot ::=\n  greeting name\ngreeting ::= \"hi \"\nname ::= [A-Z] [a-z]*\r\n",
     {"hi Bob", "hi B"},
     {"hi bob", "hi "}},
    {R"(root ::= "\"\\\n\t\r\x41\u00e9\U0001F600\[\]")", {"\"\\\n\t\rAé😀[]"}, {"é"}},
    {R"(root ::= [\]\[x-] [^\x00-\x7F])", {"]é", "[😀", "xé"}, {"]a", "é]"}},
    {R"(root ::= [-a] [a-])", {"-a", "a-", "--"}, {"b-"}},
    {R"(root ::= .)", {"a", "é", "😀", "\n"}, {"", "ab", "\xff", "\xc3"}},
    {R"(root ::= [à-ü]{2})", {"àü"}, {"aü", "à"}},
    {R"(root ::= "é" [é])", {"éé"}, {"\xe9\xe9"}},
    {R"(root ::= "" | "x" root)", {"", "xxx"}, {"y"}},
    {"root ::= expr\nexpr ::= term ([-+] term)*\nterm ::= [0-9]+ | \"(\" expr \")\"",
     {"1", "1+2-(3+(4))"},
     {"", "1+", "(1", "1)"}},
    {R"(root ::= ("a"* "b"*)* "c")", {"c", "abbac"}, {"ab"}},
    {R"(root ::= ("a"?){5} "b")", {"b", "aaaaab"}, {"aaaaaab"}},
    {R"(root ::= ("a"{2,3}){2})", {"aaaa", "aaaaa", "aaaaaa"}, {"aaa", "aaaaaaa"}},
    {R"(root ::= ("a"{3}){2,3})", {"aaaaaa", "aaaaaaaaa"}, {"aaaaaaa", "aaa"}},
    {R"(root ::= (("a" | "b" "c"?){2,40}){3})", {"aaaaaa", "bcbcbcbcbcbc"}, {"aaaaa", "c"}},
    {"root ::= a_1 b-2\na_1 ::= \"1\"\nb-2 ::= \"2\"", {"12"}, {"1"}},
};

TEST(Gbnf, AcceptsAndRefuses) {
  for (const Case& example : kCases) {
    const SharedGrammar grammar = parse_gbnf(example.grammar);
    for (const char* text : example.accepted) {
      EXPECT_TRUE(matches(grammar, text)) << example.grammar << "\n" << text;
    }
    for (const char* text : example.refused) {
      EXPECT_FALSE(matches(grammar, text)) << example.grammar << "\n" << text;
    }
  }
}

struct Mistake {
  const char* grammar;
  const char* message;
};

constexpr Mistake kMistakes[] = {
    {"", "grammar: no rule is called 'root'"},
    {"main ::= \"a\"", "grammar: no rule is called 'root'"},
    {"root = \"a\"", "grammar: line 1 column 6: expected '::=' after 'root'"},
    {"root ::= \"a", "grammar: line 1 column 10: this text has no closing '\"'"},
    {"root ::= [a", "grammar: line 1 column 10: this class has no closing ']'"},
    {"root ::= (\"a\"", "grammar: line 1 column 10: this group has no closing ')'"},
    {"root ::= \"a\" )", "grammar: line 1 column 14: expected the end of rule 'root', found ')'"},
    {"root ::= \"é\" ]", "grammar: line 1 column 14: expected the end of rule 'root', found ']'"},
    {"root ::= \"a\"\n\n  = x", "grammar: line 3 column 3: expected the name of a rule, found '='"},
    {"root ::= a\nb ::= \"b\"", "grammar: line 1 column 10: rule 'a' is used but not defined"},
    {"root ::= \"a\"\nroot ::= \"b\"", "grammar: line 2 column 1: rule 'root' is defined twice"},
    {"root ::= \"\\q\"", "grammar: line 1 column 11: unknown escape"},
    {"root ::= \"\\x4\"", "grammar: line 1 column 14: expected 2 hexadecimal digits"},
    {"root ::= \"\\ud800\"", "grammar: line 1 column 13: U+D800 is not a character"},
    {"root ::= [z-a]", "grammar: line 1 column 11: a range that ends before it begins"},
    {"root ::= []", "grammar: line 1 column 10: an empty class matches nothing"},
    {"root ::= \"a\"{x}", "grammar: line 1 column 14: expected a number, found 'x'"},
    {"root ::= \"a\"{3,2}", "grammar: line 1 column 13: at least 3 and at most 2"},
    {"root ::= \"a\"{3", "grammar: line 1 column 15: expected '}', found the end"},
    {"root ::= \"a\"{99999999999}",
     "grammar: line 1 column 14: a repetition of more than 1000000000"},
    {"root ::= <think>", "grammar: line 1 column 10: references to tokens are not supported"},
    {"root ::= \xff", "grammar: invalid UTF-8 at byte 9"},
    {"root ::= root \"a\" | \"b\"", "grammar: rule 'root' is left-recursive (root -> root)"},
    {"root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"b\"",
     "grammar: rule 'a' is left-recursive (a -> a)"},
    {"root ::= a\na ::= (b \"x\"){2,9}\nb ::= \"\" c\nc ::= a | \"z\"",
     "grammar: rule 'a' is left-recursive (a -> b -> c -> a)"},
    {"root ::= \"a\" root", "grammar: nothing can match rule 'root'"},
};

TEST(Gbnf, MistakesHaveALineAndAColumn) {
  for (const Mistake& mistake : kMistakes) {
    expect_error([&] { parse_gbnf(mistake.grammar); }, Exit::usage, mistake.message);
  }
}

TEST(Gbnf, DeepGroupsAreRefused) {
  const std::string open(10'000, '('), close(10'000, ')');
  expect_error([&] { parse_gbnf("root ::= " + open + "\"a\"" + close); }, Exit::usage,
               "grammar: line 1 column 266: nesting deeper than 256");
}

TEST(Gbnf, CountedRepetitionsAreNotWrittenOut) {
  const auto grammar = parse_gbnf("root ::= ([ab] \"c\"){1000000000}");
  EXPECT_LT(grammar->steps.size(), 20u);
  Constraint constraint(with_bytes(grammar));
  EXPECT_TRUE(constraint.accept_bytes("acbc"));
  EXPECT_FALSE(constraint.may_end());
}

}  // namespace
}  // namespace llm
