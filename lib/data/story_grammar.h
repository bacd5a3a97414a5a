// A small language for random texts with known probabilities, and the grammar of the built-in
// stories written in it.
//
//   plain text             itself
//   (a|b|c)  (3:a|1:b)     one of several parts, equally likely or with weights; parts may nest
//   {hero=name}            a word of the list `name`, remembered as `hero`
//   {friend!hero=name}     the same, but never the word that `hero` has (uniform lists only)
//   {hero}  {hero.his}     the remembered word, or another form of it
//
// A text has exactly one derivation if wherever there is a choice, no two options can begin with
// the same characters one of which is all of an option's first piece; ambiguity() looks for a place
// where that fails. Then p(text) is the product of the probabilities of its choices, entropies of
// parts add up, and a text can be parsed back from left to right without search.
//
// Immutable after construction; const methods are thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

struct WordList {
  std::string name;
  std::vector<std::string> forms;  // names of the forms after the first: "he", "his"
  std::string words;               // "Mia/she/her Tom/he/his"; a weight may follow: "sunny*3"
};

/// Expected values over all texts, and the variance of -ln p.
struct GrammarMoments {
  double nats = 0;
  double nats_variance = 0;
  double words = 0;
  double bytes = 0;
};

class StoryGrammar {
 public:
  StoryGrammar(std::span<const WordList> lists, std::string_view rules);
  ~StoryGrammar();
  StoryGrammar(const StoryGrammar&) = delete;
  StoryGrammar& operator=(const StoryGrammar&) = delete;

  /// A text with its -ln p. `uniform` gives the next random number in [0, 1).
  std::pair<std::string, double> tell(const std::function<double()>& uniform) const;
  /// -ln p of a text that the grammar produces.
  std::optional<double> nats_of(std::string_view text) const;
  const GrammarMoments& moments() const { return moments_; }
  /// Where two different derivations might give the same text; nothing if nowhere.
  std::optional<std::string> ambiguity() const;

 private:
  struct Word {
    std::vector<std::string> forms;
  };
  struct List {
    std::vector<int> words;
    std::vector<double> probabilities;
    std::vector<std::string> forms;
    bool uniform = true;
  };
  struct Node {
    enum class Kind { literal, pick, reference, choice, sequence } kind = Kind::literal;
    std::string text;                   // literal
    int slot = -1;                      // pick, reference
    int other_slot = -1;                // pick: must differ from this one
    int list = -1;                      // pick
    int form = 0;                       // reference
    std::vector<double> probabilities;  // choice
    std::vector<Node> parts;            // choice, sequence
  };
  class RuleReader;
  struct Teller;
  struct Matcher;
  struct MomentCounter;
  struct FirstTexts;

  void add_list(const WordList& list);
  void count_moments();

  std::vector<Word> words_;
  std::vector<List> lists_;
  std::map<std::string, int, std::less<>> list_names_;
  std::map<std::string, int, std::less<>> slot_names_;
  std::vector<int> slot_list_;  // a list that fills the slot: its form names hold for all of them
  Node root_;
  GrammarMoments moments_;
};

/// The grammar of the built-in stories.
const StoryGrammar& story_grammar();

}  // namespace llm
