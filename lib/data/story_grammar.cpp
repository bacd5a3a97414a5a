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
  check(error == std::errc() && end == text.data() + text.size() && value > 0,
        "story grammar: '{}' is not a weight", text);
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
    check(list != grammar_.list_names_.end(), "story grammar: no list '{}'",
          inside.substr(equals + 1));
    Node node;
    node.kind = Node::Kind::pick;
    node.list = list->second;
    auto [slot, added] = grammar_.slot_names_.try_emplace(
        std::string(slots[0]), static_cast<int>(grammar_.slot_names_.size()));
    node.slot = slot->second;
    if (added) {
      grammar_.slot_list_.push_back(node.list);
    }
    if (slots.size() == 2) {
      node.other_slot = slot_named(slots[1]);
      check(grammar_.lists_[static_cast<size_t>(node.list)].uniform,
            "story grammar: '{}' needs a list without weights", inside);
    }
    return node;
  }

  Node reference(std::string_view inside) {
    std::vector<std::string_view> names = split(inside, '.');
    Node node;
    node.kind = Node::Kind::reference;
    node.slot = slot_named(names[0]);
    if (names.size() == 2) {
      const auto& forms =
          grammar_.lists_[static_cast<size_t>(grammar_.slot_list_[static_cast<size_t>(node.slot)])]
              .forms;
      auto form = std::find(forms.begin(), forms.end(), names[1]);
      check(form != forms.end(), "story grammar: '{}' has no form '{}'", names[0], names[1]);
      node.form = static_cast<int>(form - forms.begin()) + 1;
    }
    return node;
  }

  int slot_named(std::string_view name) const {
    auto slot = grammar_.slot_names_.find(name);
    check(slot != grammar_.slot_names_.end(), "story grammar: '{}' is used before it is chosen",
          name);
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
      case Node::Kind::literal:
        text += node.text;
        return;
      case Node::Kind::reference:
        text += grammar.words_[static_cast<size_t>(slots[static_cast<size_t>(node.slot)])]
                    .forms[static_cast<size_t>(node.form)];
        return;
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
      case Node::Kind::pick:
        pick(node);
        return;
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

StoryGrammar::StoryGrammar(std::span<const WordList> lists, std::string_view rules) {
  for (const WordList& list : lists) {
    add_list(list);
  }
  root_ = RuleReader(*this, rules).read();
  count_moments();
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
    check(forms.size() == source.forms.size() + 1, "story grammar: '{}' needs {} forms", item,
          source.forms.size() + 1);
    auto known = std::find_if(words_.begin(), words_.end(),
                              [&](const Word& word) { return word.forms == forms; });
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

}  // namespace llm
