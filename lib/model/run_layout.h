// How a run directory names its checkpoints: RUN/step-00001000, the step in eight digits or more.
// Other endings (.damaged, .abandoned) and other widths are not checkpoints. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace llm {

inline constexpr const char* kStepPrefix = "step-";

std::string checkpoint_name(int64_t step);  // step-00001000
/// The step in a directory's name; nothing where it has another form.
std::optional<int64_t> step_of_checkpoint(const std::filesystem::path& checkpoint);

/// Steps that have a directory in RUN, ascending, complete or not; none where RUN cannot be read.
std::vector<int64_t> checkpoint_steps(const std::filesystem::path& run);

/// Name of the newest whose manifest is there (it is written last); empty where none has one.
std::string newest_complete_checkpoint(const std::filesystem::path& run);

/// Whether RUN/latest names an earlier step than that: a process died between saving a checkpoint
/// and moving the link. (What a run that went back left has another name.)
bool latest_is_behind(const std::filesystem::path& run);

}  // namespace llm
