// Memory that this process holds, and what tests that bound growth and waiting allow.
#pragma once

#include <unistd.h>

#include <cstdio>

namespace llm {

inline double resident_megabytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  long pages = 0, resident = 0;
  if (!file || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
  if (file) std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

/// Sanitizers make everything several times slower.
inline double allowed_seconds(double seconds) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 5 * seconds;
#else
  return seconds;
#endif
}

/// They also keep freed memory for a while.
inline double allowed_growth(double megabytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return megabytes + 300;  // 256 of them by default
#else
  return megabytes;
#endif
}

}  // namespace llm
