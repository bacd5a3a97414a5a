#include "data/story_grammar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace llm {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

double parse_weight(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value > 0, "story grammar: '{}' is not a weight", text);
  return value;
}

void normalize(std::vector<double>& weights) {
  double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) {
    weight /= sum;
  }
}

size_t index_for(double uniform, const std::vector<double>& probabilities) {
  double sum = 0;
  for (size_t i = 0; i + 1 < probabilities.size(); ++i) {
    sum += probabilities[i];
    if (uniform < sum) {
      return i;
    }
  }
  return probabilities.size() - 1;
}

}  // namespace

/// Reads the notation into nodes.
class StoryGrammar::RuleReader {
 public:
  RuleReader(StoryGrammar& grammar, std::string_view rules) : grammar_(grammar), rest_(rules) {}

  Node read() {
    Node root = read_sequence();
    check(rest_.empty(), "story grammar: unexpected '{}'", rest_.substr(0, 20));
    return root;
  }

 private:
  Node read_sequence() {
    Node sequence;
    sequence.kind = Node::Kind::sequence;
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      if (rest_.front() == '(') {
        sequence.parts.push_back(read_choice());
      } else if (rest_.front() == '{') {
        sequence.parts.push_back(read_word());
      } else {
        size_t end = std::min(rest_.find_first_of("({|)"), rest_.size());
        Node literal;
        literal.text = rest_.substr(0, end);
        sequence.parts.push_back(std::move(literal));
        rest_.remove_prefix(end);
      }
    }
    return sequence;
  }

  Node read_choice() {
    Node choice;
    choice.kind = Node::Kind::choice;
    do {
      rest_.remove_prefix(1);  // '(' or '|'
      size_t digits = rest_.find_first_not_of("0123456789");
      bool weighted = digits > 0 && digits != std::string_view::npos && rest_[digits] == ':';
      choice.probabilities.push_back(weighted ? parse_weight(rest_.substr(0, digits)) : 1.0);
      rest_.remove_prefix(weighted ? digits + 1 : 0);
      choice.parts.push_back(read_sequence());
    } while (!rest_.empty() && rest_.front() == '|');
    check(!rest_.empty(), "story grammar: '(' without ')'");
    rest_.remove_prefix(1);
    normalize(choice.probabilities);
    return choice;
  }

  Node read_word() {
    size_t end = rest_.find('}');
    check(end != std::string_view::npos, "story grammar: '{{' without '}}'");
    std::string_view inside = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return inside.find('=') != std::string_view::npos ? pick(inside) : reference(inside);
  }

  Node pick(std::string_view inside) {
    size_t equals = inside.find('=');
    std::vector<std::string_view> slots = split(inside.substr(0, equals), '!');
    auto list = grammar_.list_names_.find(inside.substr(equals + 1));
    check(list != grammar_.list_names_.end(), "story grammar: no list '{}'", inside.substr(equals + 1));
    Node node;
    node.kind = Node::Kind::pick;
    node.list = list->second;
    auto [slot, added] = grammar_.slot_names_.try_emplace(std::string(slots[0]), static_cast<int>(grammar_.slot_names_.size()));
    node.slot = slot->second;
    if (added) {
      grammar_.slot_list_.push_back(node.list);
    }
    if (slots.size() == 2) {
      node.other_slot = slot_named(slots[1]);
      check(grammar_.lists_[static_cast<size_t>(node.list)].uniform, "story grammar: '{}' needs a list without weights", inside);
    }
    return node;
  }

  Node reference(std::string_view inside) {
    std::vector<std::string_view> names = split(inside, '.');
    Node node;
    node.kind = Node::Kind::reference;
    node.slot = slot_named(names[0]);
    if (names.size() == 2) {
      const auto& forms = grammar_.lists_[static_cast<size_t>(grammar_.slot_list_[static_cast<size_t>(node.slot)])].forms;
      auto form = std::find(forms.begin(), forms.end(), names[1]);
      check(form != forms.end(), "story grammar: '{}' has no form '{}'", names[0], names[1]);
      node.form = static_cast<int>(form - forms.begin()) + 1;
    }
    return node;
  }

  int slot_named(std::string_view name) const {
    auto slot = grammar_.slot_names_.find(name);
    check(slot != grammar_.slot_names_.end(), "story grammar: '{}' is used before it is chosen", name);
    return slot->second;
  }

  StoryGrammar& grammar_;
  std::string_view rest_;
};

/// Draws one text.
struct StoryGrammar::Teller {
  const StoryGrammar& grammar;
  const std::function<double()>& uniform;
  std::vector<int> slots;
  std::string text;
  double nats = 0;

  void tell(const Node& node) {
    switch (node.kind) {
      case Node::Kind::literal: text += node.text; return;
      case Node::Kind::reference: text += grammar.words_[static_cast<size_t>(slots[static_cast<size_t>(node.slot)])].forms[static_cast<size_t>(node.form)]; return;
      case Node::Kind::sequence:
        for (const Node& part : node.parts) {
          tell(part);
        }
        return;
      case Node::Kind::choice: {
        size_t index = index_for(uniform(), node.probabilities);
        nats -= std::log(node.probabilities[index]);
        tell(node.parts[index]);
        return;
      }
      case Node::Kind::pick: pick(node); return;
    }
  }

  void pick(const Node& node) {
    const List& list = grammar.lists_[static_cast<size_t>(node.list)];
    std::vector<int> words = list.words;
    std::vector<double> probabilities = list.probabilities;
    if (node.other_slot >= 0) {
      std::erase(words, slots[static_cast<size_t>(node.other_slot)]);
      probabilities.assign(words.size(), 1.0 / static_cast<double>(words.size()));
    }
    size_t index = index_for(uniform(), probabilities);
    nats -= std::log(probabilities[index]);
    slots[static_cast<size_t>(node.slot)] = words[index];
    text += grammar.words_[static_cast<size_t>(words[index])].forms[0];
  }
};

/// Follows the one derivation that a text can have. The choice at each place is the option whose beginning is there; ambiguity() vouches that it is one.
struct StoryGrammar::Matcher {
  const StoryGrammar& grammar;
  std::string_view rest;
  std::vector<int> slots;
  double nats = 0;

  const std::string& form_of(int slot, int form) const {
    return grammar.words_[static_cast<size_t>(slots[static_cast<size_t>(slot)])].forms[static_cast<size_t>(form)];
  }

  bool take(std::string_view text) {
    if (!rest.starts_with(text)) {
      return false;
    }
    rest.remove_prefix(text.size());
    return true;
  }

  bool begins(const Node& node) const {
    switch (node.kind) {
      case Node::Kind::literal: return rest.starts_with(node.text);
      case Node::Kind::reference: return rest.starts_with(form_of(node.slot, node.form));
      case Node::Kind::sequence: return node.parts.empty() || begins(node.parts.front());
      case Node::Kind::choice: return std::any_of(node.parts.begin(), node.parts.end(), [this](const Node& part) { return begins(part); });
      case Node::Kind::pick: return picked(node) >= 0;
    }
    return false;
  }

  int picked(const Node& node) const {
    int taken = node.other_slot >= 0 ? slots[static_cast<size_t>(node.other_slot)] : -1;
    const std::vector<int>& words = grammar.lists_[static_cast<size_t>(node.list)].words;
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] != taken && rest.starts_with(grammar.words_[static_cast<size_t>(words[i])].forms[0])) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }

  bool match(const Node& node) {
    switch (node.kind) {
      case Node::Kind::literal: return take(node.text);
      case Node::Kind::reference: return take(form_of(node.slot, node.form));
      case Node::Kind::sequence: return std::all_of(node.parts.begin(), node.parts.end(), [this](const Node& part) { return match(part); });
      case Node::Kind::choice: {
        auto part = std::find_if(node.parts.begin(), node.parts.end(), [this](const Node& option) { return begins(option); });
        if (part == node.parts.end()) {
          return false;
        }
        nats -= std::log(node.probabilities[static_cast<size_t>(part - node.parts.begin())]);
        return match(*part);
      }
      case Node::Kind::pick: {
        int index = picked(node);
        if (index < 0) {
          return false;
        }
        const List& list = grammar.lists_[static_cast<size_t>(node.list)];
        bool excluding = node.other_slot >= 0;
        nats -= std::log(excluding ? 1.0 / static_cast<double>(list.words.size() - 1) : list.probabilities[static_cast<size_t>(index)]);
        slots[static_cast<size_t>(node.slot)] = list.words[static_cast<size_t>(index)];
        return take(grammar.words_[static_cast<size_t>(list.words[static_cast<size_t>(index)])].forms[0]);
      }
    }
    return false;
  }
};

/// Exact expectations by walking the grammar once. Options are drawn independently of everything remembered, so it is enough to carry for each slot the
/// probability of each word; -ln p of a sequence is a sum of independent terms.
struct StoryGrammar::MomentCounter {
  using Distribution = std::map<int, double>;
  const StoryGrammar& grammar;

  void add_text(GrammarMoments& sum, const std::string& text, double probability) const {
    sum.bytes += probability * static_cast<double>(text.size());
    sum.words += probability * static_cast<double>(std::count(text.begin(), text.end(), ' '));
  }

  GrammarMoments count(const Node& node, std::vector<Distribution>& slots) const {
    GrammarMoments sum;
    switch (node.kind) {
      case Node::Kind::literal: add_text(sum, node.text, 1); break;
      case Node::Kind::reference: {
        double total = 0;
        for (const auto& [word, probability] : slots[static_cast<size_t>(node.slot)]) {
          add_text(sum, grammar.words_[static_cast<size_t>(word)].forms[static_cast<size_t>(node.form)], probability);
          total += probability;
        }
        check(std::abs(total - 1) < 1e-9, "story grammar: a word is used where it may not have been chosen");
        break;
      }
      case Node::Kind::sequence:
        for (const Node& part : node.parts) {
          GrammarMoments more = count(part, slots);
          sum = {sum.nats + more.nats, sum.nats_variance + more.nats_variance, sum.words + more.words, sum.bytes + more.bytes};
        }
        break;
      case Node::Kind::choice: sum = count_choice(node, slots); break;
      case Node::Kind::pick: sum = count_pick(node, slots); break;
    }
    return sum;
  }

  GrammarMoments count_choice(const Node& node, std::vector<Distribution>& slots) const {
    GrammarMoments sum;
    double square = 0;
    std::vector<Distribution> mixed(slots.size());
    for (size_t i = 0; i < node.parts.size(); ++i) {
      double probability = node.probabilities[i];
      std::vector<Distribution> own = slots;
      GrammarMoments part = count(node.parts[i], own);
      double nats = part.nats - std::log(probability);
      sum.nats += probability * nats;
      square += probability * (nats * nats + part.nats_variance);
      sum.words += probability * part.words;
      sum.bytes += probability * part.bytes;
      for (size_t slot = 0; slot < own.size(); ++slot) {
        for (const auto& [word, p] : own[slot]) {
          mixed[slot][word] += probability * p;
        }
      }
    }
    sum.nats_variance = square - sum.nats * sum.nats;
    slots = std::move(mixed);
    return sum;
  }

  GrammarMoments count_pick(const Node& node, std::vector<Distribution>& slots) const {
    const List& list = grammar.lists_[static_cast<size_t>(node.list)];
    Distribution chosen;
    GrammarMoments sum;
    if (node.other_slot >= 0) {
      const Distribution& taken = slots[static_cast<size_t>(node.other_slot)];
      double rest = static_cast<double>(list.words.size() - 1);
      for (int word : list.words) {
        auto own = taken.find(word);
        chosen[word] = (1 - (own == taken.end() ? 0 : own->second)) / rest;
      }
      sum.nats = std::log(rest);
    } else {
      double square = 0;
      for (size_t i = 0; i < list.words.size(); ++i) {
        double p = list.probabilities[i];
        chosen[list.words[i]] += p;
        sum.nats -= p * std::log(p);
        square += p * std::log(p) * std::log(p);
      }
      sum.nats_variance = square - sum.nats * sum.nats;
    }
    for (const auto& [word, probability] : chosen) {
      add_text(sum, grammar.words_[static_cast<size_t>(word)].forms[0], probability);
    }
    slots[static_cast<size_t>(node.slot)] = std::move(chosen);
    return sum;
  }
};

StoryGrammar::StoryGrammar(std::span<const WordList> lists, std::string_view rules) {
  for (const WordList& list : lists) {
    add_list(list);
  }
  root_ = RuleReader(*this, rules).read();
  std::vector<MomentCounter::Distribution> slots(slot_names_.size());
  moments_ = MomentCounter{*this}.count(root_, slots);
  moments_.words += 1;  // spaces were counted
}

StoryGrammar::~StoryGrammar() = default;

/// The same spelling in several lists is one word, so that "other than" works across lists.
void StoryGrammar::add_list(const WordList& source) {
  List list;
  list.forms = source.forms;
  for (std::string_view item : split(source.words, ' ')) {
    std::vector<std::string_view> weighted = split(item, '*');
    std::vector<std::string> forms;
    for (std::string_view form : split(weighted[0], '/')) {
      forms.emplace_back(form);
    }
    check(forms.size() == source.forms.size() + 1, "story grammar: '{}' needs {} forms", item, source.forms.size() + 1);
    auto known = std::find_if(words_.begin(), words_.end(), [&](const Word& word) { return word.forms == forms; });
    list.words.push_back(static_cast<int>(known - words_.begin()));
    if (known == words_.end()) {
      words_.push_back({std::move(forms)});
    }
    list.probabilities.push_back(weighted.size() == 2 ? parse_weight(weighted[1]) : 1.0);
    list.uniform = list.uniform && list.probabilities.back() == list.probabilities.front();
  }
  normalize(list.probabilities);
  list_names_[source.name] = static_cast<int>(lists_.size());
  lists_.push_back(std::move(list));
}

std::pair<std::string, double> StoryGrammar::tell(const std::function<double()>& uniform) const {
  Teller teller{*this, uniform, std::vector<int>(slot_names_.size(), -1), {}, 0};
  teller.tell(root_);
  return {std::move(teller.text), teller.nats};
}

std::optional<double> StoryGrammar::nats_of(std::string_view text) const {
  Matcher matcher{*this, text, std::vector<int>(slot_names_.size(), 0), 0};
  if (!matcher.match(root_) || !matcher.rest.empty()) {
    return std::nullopt;
  }
  return matcher.nats;
}

/// The pieces of text that a part can begin with, and where they come from.
struct StoryGrammar::FirstTexts {
  struct Piece {
    std::string text;
    int slot = -1;  // of a plain reference
  };
  const StoryGrammar& grammar;
  std::map<int, std::vector<int>> fillers;                // slot -> words it can hold
  std::vector<std::pair<int, int>> different;             // slots that never hold the same word
  std::optional<std::string> problem;

  void visit(const Node& node) {
    if (node.kind == Node::Kind::pick) {
      const auto& words = grammar.lists_[static_cast<size_t>(node.list)].words;
      auto& known = fillers[node.slot];
      known.insert(known.end(), words.begin(), words.end());
      different.push_back({node.slot, node.other_slot});
    }
    for (const Node& part : node.parts) {
      visit(part);
    }
  }

  std::vector<Piece> pieces(const Node& node) const {
    std::vector<Piece> found;
    switch (node.kind) {
      case Node::Kind::literal: return {{node.text, -1}};
      case Node::Kind::sequence: return node.parts.empty() ? std::vector<Piece>{{"", -1}} : pieces(node.parts.front());
      case Node::Kind::choice:
        for (const Node& part : node.parts) {
          for (Piece& piece : pieces(part)) {
            found.push_back(std::move(piece));
          }
        }
        return found;
      case Node::Kind::pick:
      case Node::Kind::reference: {
        bool reference = node.kind == Node::Kind::reference;
        const auto& words = reference ? fillers.at(node.slot) : grammar.lists_[static_cast<size_t>(node.list)].words;
        for (int word : words) {
          found.push_back({grammar.words_[static_cast<size_t>(word)].forms[static_cast<size_t>(node.form)], reference && node.form == 0 ? node.slot : -1});
        }
        return found;
      }
    }
    return found;
  }

  bool never_equal(const Piece& a, const Piece& b) const {
    return a.text == b.text && a.slot >= 0 && b.slot >= 0 &&
           std::any_of(different.begin(), different.end(), [&](auto pair) { return pair == std::pair(a.slot, b.slot) || pair == std::pair(b.slot, a.slot); });
  }

  void compare(const std::vector<Piece>& left, const std::vector<Piece>& right) {
    for (const Piece& a : left) {
      for (const Piece& b : right) {
        bool alike = a.text.starts_with(b.text) || b.text.starts_with(a.text);
        if (alike && !never_equal(a, b) && !problem) {
          problem = fmt::format("'{}' and '{}'", a.text, b.text);
        }
      }
    }
  }

  void compare_options(const Node& node) {
    if (node.kind == Node::Kind::choice) {
      for (size_t i = 0; i < node.parts.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          compare(pieces(node.parts[i]), pieces(node.parts[j]));
        }
      }
    }
    if (node.kind == Node::Kind::pick) {
      std::vector<Piece> words = pieces(node);
      for (size_t i = 0; i < words.size(); ++i) {
        compare({words[i]}, {words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i)});
      }
    }
    for (const Node& part : node.parts) {
      compare_options(part);
    }
  }
};

std::optional<std::string> StoryGrammar::ambiguity() const {
  FirstTexts texts{*this, {}, {}, {}};
  texts.visit(root_);
  texts.compare_options(root_);
  return texts.problem;
}

}  // namespace llm
