#include "base/version.h"

#include "build_facts.h"

namespace llm {

std::string program_version() { return LLM_VERSION; }
std::string program_commit() { return LLM_COMMIT; }
std::string build_type() { return LLM_BUILD_TYPE; }

}  // namespace llm
