#!/bin/bash
# Rewrites the C++ sources in the project's style (.clang-format). usage: format.sh [--check] [FILE...]
#   --check   change nothing; name the files that differ and fail if there are any
cd "$(dirname "$0")/.." || exit 2
mode=(-i)
if [ "$1" = --check ]; then mode=(--dry-run --Werror); shift; fi
if ! command -v clang-format > /dev/null; then
  echo "format.sh: clang-format is not installed; on Debian or Ubuntu: apt-get install clang-format" >&2
  exit 2
fi
if [ $# -gt 0 ]; then
  clang-format "${mode[@]}" "$@"
else
  find lib apps tests benchmarks examples \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | xargs -0 clang-format "${mode[@]}"
fi
