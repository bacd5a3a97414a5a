// Libraries of this program that are loaded when something asks for them, because they bring
// LibTorch along, which takes 0.15 s to start.
//
// They lie beside this one, in the build as where it is installed. Thread-safe.
#pragma once

namespace llm {

/// Address of a function with C linkage in the library of this file name. Loads the library at the
/// first call and keeps it; later calls cost nothing. Throws Error(internal) where the library or
/// LibTorch is missing. glibc's heap grows by 64 MB beforehand, on huge pages where there are any.
void* late_function(const char* library, const char* function);

}  // namespace llm
