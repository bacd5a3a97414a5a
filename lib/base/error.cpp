#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace llm {

Error::Error(Exit code, std::string message, std::string hint)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

void fail(Exit code, std::string message, std::string hint) {
  throw Error(code, std::move(message), std::move(hint));
}

void fail_errno(std::string_view subject, Exit code) {
  const int number = errno;
  fail(code, fmt::format("{}: {}", subject, std::generic_category().message(number)));
}

}  // namespace llm
