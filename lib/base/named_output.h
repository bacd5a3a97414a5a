// Writes a file that a user named as an output: its folders are made, what a killed process left of
// it goes, and it appears whole. What fails leaves nothing behind. Throws Error(io).
#pragma once

#include <filesystem>
#include <string_view>

namespace llm {

void write_named_output(const std::filesystem::path& file, std::string_view content);

}  // namespace llm
