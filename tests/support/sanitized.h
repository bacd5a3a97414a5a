// Whether this build is slowed down by AddressSanitizer or ThreadSanitizer: what claims speed or
// size cannot be asked of it.
#pragma once

namespace llm::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace llm::test
