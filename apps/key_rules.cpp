#include "apps/key_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace llm {

FieldTexts texts_of(const Fields& fields) {
  FieldTexts texts;
  for (const Field& row : fields.rows()) {
    texts[row.path()] = row.text();
  }
  return texts;
}

bool IdleKeys::is_harmless(const Field& row) const {
  return std::find(harmless.begin(), harmless.end(), row.text()) != harmless.end();
}

std::vector<const Field*> IdleKeys::asked_for(const Fields& fields,
                                              const FieldTexts& defaults) const {
  int strongest = FieldOrigin::by_environment;
  for (const std::string& key : decided_by) {
    strongest = std::max<int>(strongest, fields.find(key)->origin().kind);
  }
  std::vector<const Field*> asked;
  for (const std::string& key : keys) {
    const Field& row = *fields.find(key);
    if (row.origin().kind >= strongest && row.text() != defaults.at(key) && !is_harmless(row)) {
      asked.push_back(&row);
    }
  }
  return asked;
}

void refuse_idle_keys(const Fields& fields, const IdleKeys& idle, const FieldTexts& defaults) {
  const std::vector<const Field*> asked = idle.asked_for(fields, defaults);
  if (asked.empty()) {
    return;
  }
  std::string why = idle.why;
  if (why.empty()) {
    const Field& decider = *fields.find(idle.decided_by.front());
    why = fmt::format("with {} {}", decider.flag_name(), decider.text());
    if (decider.origin().kind == FieldOrigin::by_file) {
      why += " of " + decider.origin().text();
    }
  }
  const Field& row = *asked.front();
  fields.fail_at(row.path(),
                 fmt::format("{} ({}) has no effect {}", row.flag_name(), row.text(), why),
                 idle.hint + "; leave it out");
}

}  // namespace llm
