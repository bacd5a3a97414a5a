// Errors and exit codes.
//
// Every failure that a user can cause or meet is one `Error`: the exit code of the process (the
// contract of docs/reliability.md), one line that names the subject, the rule and the value, and
// optionally a hint. Errors are thrown where they are found and caught in main, at thread ends and
// at the HTTP edge only. Thread-safe: no state.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace llm {

enum class Exit : int {
  ok = 0,
  internal = 1,   // our own bug
  usage = 2,      // flags or config
  bad_input = 3,  // a damaged or unsuitable input file
  io = 4,         // disk, permission
  numerical = 5,  // NaN, Inf, divergence
  peer_lost = 6,  // restartable
};

class Error : public std::exception {
 public:
  Error(Exit code, std::string message, std::string hint = {});
  Exit code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Exit code_;
  std::string message_;
  std::string hint_;
};

[[noreturn]] void fail(Exit code, std::string message, std::string hint = {});

/// Throws "<subject>: <text of errno>"; call it before anything can change errno.
[[noreturn]] void fail_errno(std::string_view subject, Exit code = Exit::io);

/// What errno says of an open() that failed: bad_input where nothing is there to open, io where the
/// system refuses what is there (permission, disk, too many open files).
Exit exit_of_failed_open();

/// A rule about an argument or setting (exit 2): check(n > 0, "rope: head_dim must be even, got
/// {}", n).
template <typename... Args>
void check(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]] {
    fail(Exit::usage, fmt::format(format, std::forward<Args>(args)...));
  }
}

/// A rule about the content of an input file (exit 3).
template <typename... Args>
void check_input(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]] {
    fail(Exit::bad_input, fmt::format(format, std::forward<Args>(args)...));
  }
}

}  // namespace llm
