// Which keys of a run config have no effect beside which values of others.
//
// A key that somebody wrote and that would change nothing is a mistake, and is refused before any
// data is read: "optimizer.nesterov (true) has no effect with optimizer.name adamw". Two things are
// no request: a default (in files that of any verb, because complete config files list every key),
// and a value of a source weaker than what left it without effect (--optimizer-name over the file
// of a preset). The latter is put back to its usual value, so that the config of the run says
// nothing that is not so, and is noted. The keys of section `model` have rules of their own
// (model/model_config.h).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/config.h"

namespace llm {

struct RunConfig;

struct RunRule {
  std::vector<std::string> keys;
  std::vector<std::string> decided_by;            // the keys that leave them without effect
  std::function<bool(const RunConfig&)> is_idle;  // whether they do now
  std::string why;   // behind "has no effect"; empty: "with KEY VALUE" of the first that decides
  std::string hint;  // who would read them
  std::vector<std::string> harmless = {};  // further values that ask for nothing
  // The weakest source that is refused; values of weaker ones are put back.
  FieldOrigin::Kind refused_from = FieldOrigin::by_default;
};

const std::vector<RunRule>& run_rules();

/// Each key's value as a person would type it.
using FieldTexts = std::map<std::string, std::string>;
FieldTexts texts_of(const Fields& fields);

/// To be called once every source is read; `defaults` are the texts before the first. Throws
/// Error(usage) at the first key that is without effect; returns a line for each value that was put
/// back.
std::vector<std::string> apply_run_rules(Fields& fields, const RunConfig& config,
                                         const FieldTexts& defaults);

}  // namespace llm
