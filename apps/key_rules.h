// Keys that have no effect beside others: the rows of a table of them, and how one is refused.
//
// A key that somebody wrote and that would change nothing is a mistake, and is refused before any
// work is done. The table of a training run is run_rules.h; what those of the other verbs say is:
// "--top-k (5) has no effect with --do-sample false". Of them only flags are refused, and variables
// beside what is no flag: a file may be meant for other flags, a model's generation_config.json for
// other settings.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/config.h"

namespace llm {

template <typename Config>
struct KeyRule {
  std::vector<std::string> keys;
  std::vector<std::string> decided_by;         // the keys that leave them without effect
  std::function<bool(const Config&)> is_idle;  // whether they do now
  std::string why;   // behind "has no effect"; empty: "with KEY VALUE" of the first that decides
  std::string hint;  // who would read them
  std::vector<std::string> harmless = {};  // further values that ask for nothing
  // The weakest source that is refused; values of weaker ones are put back (run_rules.h).
  FieldOrigin::Kind refused_from = FieldOrigin::by_default;
};

/// Of a config that has a tokenizer trained: what a byte-level BPE has no use for.
template <typename Config>
KeyRule<Config> byte_bpe_rule() {
  return {{"tokenizer.byte_fallback", "tokenizer.character_coverage", "tokenizer.max_sentences"},
          {"tokenizer.model_type"},
          [](const Config& c) { return c.tokenizer.model_type == "byte-bpe"; },
          "",
          "byte-bpe has every byte and reads all of the text"};
}

/// Each key's value as a person would type it.
using FieldTexts = std::map<std::string, std::string>;
FieldTexts texts_of(const Fields& fields);

/// What stands in a rule of any config; refers to that rule.
struct IdleKeys {
  template <typename Config>
  explicit IdleKeys(const KeyRule<Config>& rule)
      : keys(rule.keys),
        decided_by(rule.decided_by),
        why(rule.why),
        hint(rule.hint),
        harmless(rule.harmless) {}
  bool is_harmless(const Field& row) const;
  /// Those of the keys to which a flag or a variable gave another value than their default, and no
  /// stronger source took the effect away.
  std::vector<const Field*> asked_for(const Fields& fields, const FieldTexts& defaults) const;

  const std::vector<std::string>& keys;
  const std::vector<std::string>& decided_by;
  const std::string& why;
  const std::string& hint;
  const std::vector<std::string>& harmless;
};

/// Throws Error(usage) at the first of the keys that is asked for.
void refuse_idle_keys(const Fields& fields, const IdleKeys& idle, const FieldTexts& defaults);

/// The same for each rule of a verb's table that holds; to be called once every source is read.
template <typename Config>
void refuse_idle_keys(const Fields& fields, const std::vector<KeyRule<Config>>& rules,
                      const Config& config, const FieldTexts& defaults) {
  for (const KeyRule<Config>& rule : rules) {
    if (rule.is_idle(config)) {
      refuse_idle_keys(fields, IdleKeys(rule), defaults);
    }
  }
}

}  // namespace llm
