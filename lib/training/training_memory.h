// What training a model takes of memory, whatever the batch: to refuse at once what a machine
// could never hold, before its system ends the program without a word.
#pragma once

#include <cstdint>
#include <string_view>

namespace llm {

/// Bytes of weights, gradients (as large), the rounded copy of mixed precision and the optimizer's
/// state; activations come on top. precision and optimizer by their names in a config, resolved;
/// an optimizer that is not known counts as one without a state.
int64_t least_training_bytes(int64_t parameters, std::string_view precision,
                             std::string_view optimizer);

}  // namespace llm
