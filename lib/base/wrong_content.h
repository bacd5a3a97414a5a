// What a downloaded file often is instead of itself: the pointer that Git LFS leaves, or the page
// on which a server says that it has no such file.
#pragma once

#include <cstdint>
#include <string_view>

namespace llm {

/// Throws Error(bad_input) "'x' is a Git LFS pointer (134 bytes), not the file", with the hint how
/// to get the file, or "'x' looks like an HTML page; the download failed". `start` is how the file
/// begins, `bytes` its size.
void refuse_wrong_content(std::string_view start, uint64_t bytes, std::string_view name);

}  // namespace llm
