// Any bytes as JSON: refused with an Error, or a document that can be copied, dumped and read again
// with the same result.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nlohmann::json document;
  try {
    document = llm::parse_json(text, "fuzz.json");
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::bad_input || !error.message().starts_with("fuzz.json: "))
      std::abort();
    return 0;
  }
  const std::string dumped = llm::dump_json(document);
  if (llm::parse_json(dumped, "again") != document) std::abort();
  // Getters answer or throw; they never convert.
  const llm::JsonView view(document, "fuzz.json");
  try {
    for (const std::string& key : view.keys()) {
      const int64_t number = view.get_int(key, -5, 5);
      if (!document[key].is_number_integer() || number < -5 || number > 5) std::abort();
    }
  } catch (const llm::Error&) {
  }
  return 0;
}
