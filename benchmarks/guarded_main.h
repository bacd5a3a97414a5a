// What the main function of a benchmark shares: an error as one line on stderr and an exit status.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "base/error.h"

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
