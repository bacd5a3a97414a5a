// What the main function of a benchmark shares: numbers among its arguments, an error as one line
// on stderr and an exit status.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "base/error.h"

/// All of `text` as a whole number from 1 on; Error(usage) that says `name` otherwise.
inline int64_t count_argument(const std::string& name, const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  llm::check(error == std::errc() && rest == end && number > 0,
             "{}: '{}' is not a whole number above 0", name, text);
  return number;
}

/// run() -> exit status; Error gives its own exit code, any other exception 1.
template <typename Run>
int guarded_main(const char* name, Run run) {
  try {
    return run();
  } catch (const llm::Error& error) {
    fmt::print(stderr, "{}: error: {}\n", name, error.message());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: error: {}\n", name, error.what());
    return 1;
  }
}
