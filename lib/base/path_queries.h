// Looks at names on the disk for which only "there is none" counts as absent. std::filesystem's
// calls with an error_code leave it to the caller to tell an absent name from a disk that did not
// answer, and who takes the one for the other removes or overwrites what is there.
//
// (exists(), is_directory(), is_regular_file() and status() without an error_code already do that.)
// Errors: Error(io) that names the path, or std::filesystem_error with it, which is exit 4 too.
#pragma once

#include <filesystem>
#include <vector>

namespace llm {

/// In no order; none where there is no such folder.
std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& folder);
/// With those of all folders below it; links are not followed.
std::vector<std::filesystem::directory_entry> entries_below(const std::filesystem::path& folder);

/// Empty where there is no such link.
std::filesystem::path link_target(const std::filesystem::path& link);

/// Both are there, and they are one file or folder.
bool are_same(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace llm
