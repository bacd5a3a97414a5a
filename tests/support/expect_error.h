// What an error must be: exit code, message, hint.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/error.h"

namespace llm {

inline void expect_error(const std::function<void()>& action, Exit code, const std::string& message,
                         const std::string& hint = "") {
  try {
    action();
    ADD_FAILURE() << "no error, expected: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), message);
    EXPECT_EQ(error.code(), code) << message;
    EXPECT_EQ(error.hint(), hint) << message;
  }
}

/// The message must contain a part; the hint is not looked at.
inline void expect_error_with(const std::function<void()>& action, Exit code,
                              const std::string& part) {
  try {
    action();
    ADD_FAILURE() << "no error, expected: " << part;
  } catch (const Error& error) {
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
    EXPECT_EQ(error.code(), code) << error.message();
  }
}

}  // namespace llm
