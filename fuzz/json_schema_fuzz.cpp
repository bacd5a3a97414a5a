// Any JSON as a schema: refused with an Error, or a grammar whose masks tell the truth.
#include "serving/constraint/json_schema.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json_reader.h"
#include "fuzz/constraint_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nlohmann::ordered_json schema;
  try {
    schema = llm::parse_ordered_json(text, "schema.json");
  } catch (const llm::Error&) {
    return 0;
  }
  try {
    walk_grammar(llm::schema_grammar(schema, llm::JsonSpacing::either, fuzz_limits()), size);
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::usage || error.message().empty()) std::abort();
  }
  return 0;
}
