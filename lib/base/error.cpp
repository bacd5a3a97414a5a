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

Exit exit_of_failed_open() {
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO:  // a socket
    case ENODEV:
      return Exit::bad_input;
    default:
      return Exit::io;
  }
}

}  // namespace llm
