#include "data/story_grammar.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace llm {

/// Follows the one derivation that a text can have. The choice at each place is the option whose
/// beginning is there; ambiguity() vouches that it is one.
struct StoryGrammar::Matcher {
  const StoryGrammar& grammar;
  std::string_view rest;
  std::vector<int> slots;
  double nats = 0;

  const std::string& form_of(int slot, int form) const {
    return grammar.words_[static_cast<size_t>(slots[static_cast<size_t>(slot)])]
        .forms[static_cast<size_t>(form)];
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
      case Node::Kind::literal:
        return rest.starts_with(node.text);
      case Node::Kind::reference:
        return rest.starts_with(form_of(node.slot, node.form));
      case Node::Kind::sequence:
        return node.parts.empty() || begins(node.parts.front());
      case Node::Kind::choice:
        return std::any_of(node.parts.begin(), node.parts.end(),
                           [this](const Node& part) { return begins(part); });
      case Node::Kind::pick:
        return picked(node) >= 0;
    }
    return false;
  }

  int picked(const Node& node) const {
    int taken = node.other_slot >= 0 ? slots[static_cast<size_t>(node.other_slot)] : -1;
    const std::vector<int>& words = grammar.lists_[static_cast<size_t>(node.list)].words;
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] != taken &&
          rest.starts_with(grammar.words_[static_cast<size_t>(words[i])].forms[0])) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }

  bool match(const Node& node) {
    switch (node.kind) {
      case Node::Kind::literal:
        return take(node.text);
      case Node::Kind::reference:
        return take(form_of(node.slot, node.form));
      case Node::Kind::sequence:
        return std::all_of(node.parts.begin(), node.parts.end(),
                           [this](const Node& part) { return match(part); });
      case Node::Kind::choice: {
        auto part = std::find_if(node.parts.begin(), node.parts.end(),
                                 [this](const Node& option) { return begins(option); });
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
        nats -= std::log(excluding ? 1.0 / static_cast<double>(list.words.size() - 1)
                                   : list.probabilities[static_cast<size_t>(index)]);
        slots[static_cast<size_t>(node.slot)] = list.words[static_cast<size_t>(index)];
        return take(
            grammar.words_[static_cast<size_t>(list.words[static_cast<size_t>(index)])].forms[0]);
      }
    }
    return false;
  }
};
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
  std::map<int, std::vector<int>> fillers;     // slot -> words it can hold
  std::vector<std::pair<int, int>> different;  // slots that never hold the same word
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
      case Node::Kind::literal:
        return {{node.text, -1}};
      case Node::Kind::sequence:
        return node.parts.empty() ? std::vector<Piece>{{"", -1}} : pieces(node.parts.front());
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
        const auto& words = reference ? fillers.at(node.slot)
                                      : grammar.lists_[static_cast<size_t>(node.list)].words;
        for (int word : words) {
          found.push_back(
              {grammar.words_[static_cast<size_t>(word)].forms[static_cast<size_t>(node.form)],
               reference && node.form == 0 ? node.slot : -1});
        }
        return found;
      }
    }
    return found;
  }

  bool never_equal(const Piece& a, const Piece& b) const {
    return a.text == b.text && a.slot >= 0 && b.slot >= 0 &&
           std::any_of(different.begin(), different.end(), [&](auto pair) {
             return pair == std::pair(a.slot, b.slot) || pair == std::pair(b.slot, a.slot);
           });
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
