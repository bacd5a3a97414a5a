// Did-you-mean: the known name closest to a mistyped one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace llm {

/// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate with the fewest edits, if that is at most a third of the word (and at least one
/// edit is always allowed). The first of equals.
/// `-` and `_` count as the same letter.
std::optional<std::string> nearest_name(std::string_view word,
                                        std::span<const std::string> candidates);

/// "did you mean 'train'?" or "" when nothing is near.
std::string nearest_name_hint(std::string_view word, std::span<const std::string> candidates);

}  // namespace llm
