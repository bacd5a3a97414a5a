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

#include <initializer_list>
#include <string>
#include <vector>

#include "apps/key_rules.h"

namespace llm {

struct RunConfig;

using RunRule = KeyRule<RunConfig>;

const std::vector<RunRule>& run_rules();

/// The rules of several tables, in their order.
std::vector<RunRule> joined(std::initializer_list<std::vector<RunRule>> tables);

/// To be called once every source is read; `defaults` are the texts before the first. Throws
/// Error(usage) at the first key that is without effect; returns a line for each value that was put
/// back.
std::vector<std::string> apply_run_rules(Fields& fields, const RunConfig& config,
                                         const FieldTexts& defaults);

}  // namespace llm
