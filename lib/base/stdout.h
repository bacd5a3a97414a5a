// Results go to stdout, and a result that could not be written is never reported as success.
//
// Every verb writes results through these two functions only. A full disk or closed descriptor
// throws Error(Exit::io) "cannot write to stdout: <errno>". A reader that went away (EPIPE) throws
// Error(Exit::io) with an empty message: main then ends with exit 4 and says nothing. Thread-safe.
#pragma once

#include <string_view>

namespace llm {

/// Buffered up to 64 KiB (or up to each newline when stdout is a terminal).
void write_stdout(std::string_view text);

/// Pushes the buffer out; streaming callers call it after every piece, main at the end of every
/// verb.
void flush_stdout();

/// Called first in main: gives closed descriptors 0, 1 and 2 a harmless meaning, so that a later
/// open() cannot become "stdout".
void reserve_standard_descriptors();

}  // namespace llm
