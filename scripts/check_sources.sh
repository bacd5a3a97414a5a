#!/bin/bash
# What the compiler cannot see: promises about the sources that the docs make. One line per breach; fails if there is any.
# usage: check_sources.sh [CHECKOUT]
cd "${1:-$(dirname "$0")/..}" || exit 2
status=0
breach() { printf '%s\n' "$1"; status=1; }
sources() { find lib apps benchmarks examples tests \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) | sort; }
matches() { sources | xargs grep -nE "$1" /dev/null; }   # FILE:LINE:TEXT

while IFS= read -r line; do breach "$line: pickle runs code; models are read as safetensors (docs/formats.md)"
done < <(matches 'torch::(load|save|pickle_load|pickle_save)\b|torch::jit::(load|save)\b|torch/serialize\.h|torch/script\.h')
while IFS= read -r line; do breach "$line: this header makes every file that includes it slow to compile; include ATen/ops/<op>.h"
done < <(matches '#include <torch/(torch|extension)\.h>')
while IFS= read -r line; do breach "$line: std::regex recurses per character and runs out of stack on long lines"
done < <(matches 'std::(basic_)?w?regex\b|#include <regex>')
while IFS= read -r line; do breach "$line: <format> is missing in g++ 11; use fmt"
done < <(matches '#include <format>')
while IFS= read -r file; do
  lines=$(wc -l < "$file")
  if [ "$lines" -gt 500 ]; then breach "$file: $lines lines; 500 is the most"; fi
  case $file in
    lib/*.h) sed -n '/^#pragma once/d; /./{p;q}' "$file" | grep -qE '^(//|/\*)' || breach "$file: a public header starts with prose: what it is, shapes, units, ownership, errors" ;;
  esac
done < <(sources)
for name in scripts/*.sh .ci/run; do
  bash -n "$name" || breach "$name: does not parse"
  case $name in scripts/setup.sh) ;; *) [ -x "$name" ] || breach "$name: is not executable" ;; esac
done
exit $status
