// What masks cost: constraint_bench TOKENIZER
//
// Follows answers token by token (the longest allowed prefix of what is left, as a greedy tokenizer
// would) and times every mask three times: the first time a place is met by a new TokenGrammar,
// with the masks of places forgotten but the tokens of rules known, and found again. One line per
// grammar, microseconds.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "benchmarks/guarded_main.h"
#include "serving/constraint/constraint.h"
#include "serving/constraint/gbnf.h"
#include "serving/constraint/json_schema.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace llm;

struct Subject {
  const char* name;
  std::shared_ptr<const Grammar> grammar;
  std::string answer;
};

double microseconds_of(const auto& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

std::string summary(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return fmt::format("{:7.1f} {:7.1f} {:7.1f}", times[times.size() / 2],
                     times[times.size() * 95 / 100], times.back());
}

int32_t longest_allowed(const TokenVocabulary& vocabulary, const TokenMask& mask,
                        std::string_view rest) {
  int32_t best = -1;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const std::string_view bytes = vocabulary.bytes(id);
    if (bytes.empty() || !mask.allows(id) || !rest.starts_with(bytes)) continue;
    if (best < 0 || bytes.size() > vocabulary.bytes(best).size()) best = id;
  }
  check(best >= 0, "no token goes on with '{}'", rest.substr(0, 20));
  return best;
}

void measure(const Subject& subject, const std::shared_ptr<const TokenVocabulary>& vocabulary) {
  const auto fresh = std::make_shared<const TokenGrammar>(subject.grammar, vocabulary, 0);
  const auto keeping = std::make_shared<const TokenGrammar>(subject.grammar, vocabulary, 4096);
  std::vector<double> first, again, found, accepted;
  Constraint a(fresh), b(keeping);
  for (std::string_view rest = subject.answer; !rest.empty();) {
    std::shared_ptr<const TokenMask> mask;
    first.push_back(microseconds_of([&] { mask = a.mask(); }));
    again.push_back(microseconds_of([&] { mask = a.mask(); }));
    b.mask();
    found.push_back(microseconds_of([&] { b.mask(); }));
    const int32_t id = longest_allowed(*vocabulary, *mask, rest);
    accepted.push_back(microseconds_of([&] { a.accept(id); }));
    b.accept(id);
    rest.remove_prefix(vocabulary->bytes(id).size());
  }
  check(a.may_end(), "{}: the answer is not complete", subject.name);
  fmt::print("{:12} {:6} {} {} {} {}\n", subject.name, first.size(), summary(first), summary(again),
             summary(found), summary(accepted));
}

std::vector<Subject> subjects() {
  const auto schema = nlohmann::ordered_json::parse(R"({"type":"object","properties":{
      "title":{"type":"string"},"summary":{"type":"string","maxLength":400},
      "year":{"type":"integer","minimum":1900,"maximum":2100},"price":{"type":"number"},
      "kind":{"enum":["book","film","record"]},"date":{"type":"string","format":"date"},
      "authors":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},
        "born":{"type":["integer","null"]}},"required":["name","born"],
        "additionalProperties":false}},
      "code":{"type":"string","pattern":"^[A-Z]{2}-\\d{4,8}$"}},
      "required":["title","summary","year","price","kind","date","authors","code"],
      "additionalProperties":false})");
  const std::string answer =
      R"({"title":"The \"Long\" Way Home","summary":"A traveller, tired of cities, walks across )"
      R"(the country and writes home about people he meets; naïve, but warm.","year":1987,)"
      R"("price":12.95,"kind":"book","date":"1987-03-31","authors":[{"name":"Jane Doe","born":1950},)"
      R"({"name":"José García","born":null}],"code":"AB-123456"})";
  return {
      {"schema", schema_grammar(schema), answer},
      {"json_object", json_object_grammar(JsonSpacing::either), answer},
      {"gbnf", parse_gbnf("root ::= (\"- \" [^\\n]{1,200} \"\\n\"){3}"),
       "- first things first\n- then a rather longer line of text, with numbers 1 2 3\n- done\n"}};
}

int run(int argc, char** argv) {
  check(argc == 2, "usage: constraint_bench TOKENIZER");
  const auto tokenizer = load_tokenizer(argv[1]);
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    tokens.emplace_back(tokenizer->is_special(id) ? "" : tokenizer->token_bytes(id));
  }
  const int32_t end = tokenizer->eos_id();
  std::shared_ptr<const TokenVocabulary> vocabulary;
  const double built = microseconds_of(
      [&] { vocabulary = std::make_shared<const TokenVocabulary>(tokens, std::span(&end, 1)); });
  fmt::print("{} tokens, {} branches, built in {:.1f} ms; microseconds: median, 95 %, greatest\n",
             tokens.size(), vocabulary->tree().size(), built / 1000);
  fmt::print("{:12} {:>6} {:>23} {:>23} {:>23} {:>23}\n", "grammar", "masks", "first time",
             "forgotten", "kept", "accept");
  for (const Subject& subject : subjects()) measure(subject, vocabulary);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("constraint_bench", [&] { return run(argc, argv); });
}
