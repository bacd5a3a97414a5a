#!/bin/bash
# LibTorch is found in a folder of CMAKE_PREFIX_PATH, whatever its name, and no other library's headers are taken from there.
set -e -u -o pipefail
here=$BUILD/tests/house_libtorch
rm -rf "$here"
mkdir -p "$here"
ln -s "$TORCH" "$here/a libtorch"
"$CMAKE" -S "$SOURCES" -B "$here/build" -G "$GENERATOR" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_PREFIX_PATH="$here/a libtorch" \
  -DLLM_TESTS=OFF > "$here/log" 2>&1 || { cat "$here/log"; exit 1; }
failed=0
grep -q "LibTorch: $here/a libtorch$" "$here/log" || { echo "libtorch_test: another LibTorch was found"; failed=1; }
if others=$(grep -E '^[A-Z_0-9]+_(INCLUDE|LIBRARY):.*/a libtorch/' "$here/build/CMakeCache.txt"); then
  echo "libtorch_test: taken from LibTorch's folder: $others"; failed=1
fi
cmp -s "$here/build/generated/system/fmt/core.h" "$BUILD/generated/system/fmt/core.h" || { echo "libtorch_test: other headers of fmt"; failed=1; }
exit $failed
