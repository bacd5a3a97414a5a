// Number formats of eight bits and less, in which weights (weight_codes.h) or keys and values
// (kv_blocks.h) are held besides a scale that some of them share.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace llm {

enum class Codes : uint8_t {
  none,  // the model's own format, bfloat16 or float32
  int8,
  fp8,   // e4m3
  int4,  // weights only
};

/// "none", "int8", "fp8", "int4".
std::optional<Codes> parse_codes(std::string_view name);
std::string_view codes_name(Codes codes);

}  // namespace llm
