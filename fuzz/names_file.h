// What the fuzz targets of files ask of an error.
#pragma once

#include <string>

#include "base/error.h"

namespace llm {

/// It is damage, and its message begins with the file: "fuzz.bin: ..." or "'fuzz.bin' is ...".
inline bool names_file(const Error& error, const std::string& file) {
  return error.code() == Exit::bad_input && (error.message().starts_with(file + ": ") ||
                                             error.message().starts_with("'" + file + "' "));
}

}  // namespace llm
