// What this build is.
#pragma once

#include <string>

namespace llm {

std::string program_version();  // "0.1.0"
std::string program_commit();   // 12 hex digits at configure time, or "unknown"
std::string build_type();       // "Release"

}  // namespace llm
