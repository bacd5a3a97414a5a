// Any bytes as model.safetensors.index.json: refused with an Error, or a map to plain file names.
//
// Sources: lib/model/safetensors_write.cpp
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& [tensor, shard] : llm::parse_safetensors_index(
             std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.index.json")) {
      if (shard.empty() || shard == "." || shard == ".." ||
          shard.find_first_of("/\\") != std::string::npos)
        std::abort();
    }
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::bad_input || !error.message().starts_with("fuzz.index.json"))
      std::abort();
  }
  return 0;
}
