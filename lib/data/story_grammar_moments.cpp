#include "data/story_grammar.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace llm {

/// Exact expectations by walking the grammar once. Options are drawn independently of everything
/// remembered, so it is enough to carry for each slot the probability of each word; -ln p of a
/// sequence is a sum of independent terms.
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
      case Node::Kind::literal:
        add_text(sum, node.text, 1);
        break;
      case Node::Kind::reference: {
        double total = 0;
        for (const auto& [word, probability] : slots[static_cast<size_t>(node.slot)]) {
          add_text(sum,
                   grammar.words_[static_cast<size_t>(word)].forms[static_cast<size_t>(node.form)],
                   probability);
          total += probability;
        }
        check(std::abs(total - 1) < 1e-9,
              "story grammar: a word is used where it may not have been chosen");
        break;
      }
      case Node::Kind::sequence:
        for (const Node& part : node.parts) {
          GrammarMoments more = count(part, slots);
          sum = {sum.nats + more.nats, sum.nats_variance + more.nats_variance,
                 sum.words + more.words, sum.bytes + more.bytes};
        }
        break;
      case Node::Kind::choice:
        sum = count_choice(node, slots);
        break;
      case Node::Kind::pick:
        sum = count_pick(node, slots);
        break;
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
void StoryGrammar::count_moments() {
  std::vector<MomentCounter::Distribution> slots(slot_names_.size());
  moments_ = MomentCounter{*this}.count(root_, slots);
  moments_.words += 1;  // spaces were counted
}

}  // namespace llm
