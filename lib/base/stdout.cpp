#include "base/stdout.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string>

#include "base/error.h"

namespace llm {
namespace {

constexpr size_t kBufferBytes = 64 << 10;

std::mutex stdout_mutex;
std::string pending;

void push_out() {
  std::string_view rest = pending;
  while (!rest.empty()) {
    const ssize_t done = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (done >= 0) {
      rest.remove_prefix(static_cast<size_t>(done));
    } else if (errno == EAGAIN) {
      pollfd writable{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      const int error = errno;
      pending.clear();  // said once; the same bytes must not fail again on the way out
      if (error == EPIPE) {
        fail(Exit::io, "");
      }
      errno = error;
      fail_errno("cannot write to stdout");
    }
  }
  pending.clear();
}

}  // namespace

void write_stdout(std::string_view text) {
  const std::lock_guard lock(stdout_mutex);
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  pending += text;
  if (pending.size() >= kBufferBytes || (terminal && text.find('\n') != std::string_view::npos)) {
    push_out();
  }
}

void flush_stdout() {
  const std::lock_guard lock(stdout_mutex);
  push_out();
}

void reserve_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      // The lowest free number is this one. Read-only, so that writing to it fails as a closed
      // descriptor would.
      [[maybe_unused]] const int same = ::open("/dev/null", O_RDONLY);
    }
  }
}

}  // namespace llm
