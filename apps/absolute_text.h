// Paths as they stand in RUN/config.yaml.
#pragma once

#include <string>

namespace llm {

/// The path for every working directory; "" and "-" stay.
std::string absolute_text(const std::string& path);

}  // namespace llm
