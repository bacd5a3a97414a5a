// Text for a shell to read: commands that are printed to be copied.
#pragma once

#include <string>

namespace llm {

/// A word as a POSIX shell wants it: itself where no character needs quotes, else in single quotes.
std::string shell_word(const std::string& text);

}  // namespace llm
