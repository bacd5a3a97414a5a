// What an exception means to the user of the program.
#pragma once

#include "base/error.h"

namespace llm {

/// The exception that is being handled, as an Error: call it in a catch block. Memory that was
/// refused, by the system or by LibTorch, is "not enough memory"; what else is no Error is a defect
/// of the program (exit 1).
Error error_in_flight();

/// Writes the error to stderr and to the run's log, and returns its exit code.
int report_failure(const Error& error);

}  // namespace llm
