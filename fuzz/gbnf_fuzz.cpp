// Any bytes as a GBNF grammar: refused with an Error, or a grammar whose masks tell the truth.
#include "serving/constraint/gbnf.h"

#include <string_view>

#include "fuzz/constraint_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    walk_grammar(llm::parse_gbnf(text, fuzz_limits()), size);
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::usage || !error.message().starts_with("grammar: ")) std::abort();
  }
  return 0;
}
