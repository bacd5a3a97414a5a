#include "apps/run_rules.h"

#include <algorithm>

#include "apps/run_config.h"

namespace llm {
namespace {

/// What the verbs start from, pretrain first.
const std::vector<FieldTexts>& defaults_of_verbs() {
  static const std::vector<FieldTexts> all = [] {
    std::vector<FieldTexts> texts;
    for (RunConfig config : {pretrain_defaults(), finetune_defaults(), RunConfig()}) {
      Fields fields;
      config.sections(fields);
      texts.push_back(texts_of(fields));
    }
    return texts;
  }();
  return all;
}

/// Whether a value says no more than a file that lists every key.
bool asks_for_nothing(const Field& row, const RunConfig& config, const FieldTexts& defaults) {
  if (!config.for_later && row.text() == defaults.at(row.path())) {  // else a preset's values
    return true;
  }
  const bool listed = row.origin().kind <= FieldOrigin::by_file || config.for_later;
  const std::vector<FieldTexts>& verbs = defaults_of_verbs();
  return listed && std::any_of(verbs.begin(), verbs.end(), [&](const FieldTexts& texts) {
           return texts.at(row.path()) == row.text();
         });
}

std::string no_effect(const RunRule& rule, const Fields& fields) {
  if (!rule.why.empty()) {
    return "has no effect " + rule.why;
  }
  const Field& decider = *fields.find(rule.decided_by.front());
  return fmt::format("has no effect with {} {}", decider.path(), decider.text());
}

}  // namespace

std::vector<std::string> apply_run_rules(Fields& fields, const RunConfig& config,
                                         const FieldTexts& defaults) {
  std::vector<std::string> set_aside;
  for (const RunRule& rule : run_rules()) {
    if (!rule.is_idle(config)) {
      continue;
    }
    int strongest = rule.refused_from;
    for (const std::string& key : rule.decided_by) {
      strongest = std::max<int>(strongest, fields.find(key)->origin().kind);
    }
    for (const std::string& key : rule.keys) {
      const Field& row = *fields.find(key);
      if (IdleKeys(rule).is_harmless(row) || asks_for_nothing(row, config, defaults)) {
        continue;
      }
      const std::string said = fmt::format("{} ({})", key, row.text()),
                        effect = no_effect(rule, fields);
      if (row.origin().kind >= strongest) {
        fields.fail_at(key, said + " " + effect, rule.hint + "; leave it out");
      }
      set_aside.push_back(
          fmt::format("{} of {} {}: it is left out", said, row.origin().text(), effect));
      fields.override_default(key, defaults_of_verbs().front().at(key));
    }
  }
  return set_aside;
}

}  // namespace llm
