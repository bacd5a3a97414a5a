// Whether this build is slowed down by AddressSanitizer: what claims speed or size cannot be asked
// of it.
#pragma once

namespace llm::test {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace llm::test
