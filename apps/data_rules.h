// The rules of run_rules.h about section `data`.
#pragma once

#include <vector>

#include "apps/run_rules.h"

namespace llm {

std::vector<RunRule> data_rules();

/// The run has data to validate on, as far as its config and the names of files tell.
bool has_validation(const RunConfig& config);

}  // namespace llm
