// The text of one JSON row, whichever of the known shapes it has (data/text_reader.h lists them).
// Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "data/text_reader.h"

namespace llm {

/// `place` stands in front of every message: "a.jsonl:1042".
std::string text_of_json_row(std::string_view row, std::string_view place,
                             const TextReaderOptions& options);

}  // namespace llm
