// Base64 (RFC 4648), as tokenizer files use it. Stateless; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace llm {

/// The bytes; padding may be there or not. Other characters: Error(Exit::bad_input) "<what> is not
/// base64".
std::string decode_base64(std::string_view text, std::string_view what);
std::string encode_base64(std::string_view bytes);

}  // namespace llm
