#!/bin/bash
# LibTorch is found in a folder of CMAKE_PREFIX_PATH, variable or option, whatever its name, and no other library's headers are taken from
# there, nor from a second LibTorch that is named beside it.
set -e -u -o pipefail
here=$BUILD/tests/house_libtorch
rm -rf "$here"
mkdir -p "$here"
ln -s "$TORCH" "$here/a libtorch"
ln -s "$TORCH" "$here/another"
failed=0
# configure NAME EXPECTED CMAKE-ARGUMENT...
configure() {
  local build="$here/$1" log="$here/$1.log" expected=$2 others
  shift 2
  "$CMAKE" -S "$SOURCES" -B "$build" -G "$GENERATOR" -DCMAKE_CXX_COMPILER="$CXX" -DLLM_TESTS=OFF "$@" > "$log" 2>&1 || { cat "$log"; exit 1; }
  grep -q "LibTorch: $expected$" "$log" || { echo "libtorch_test: $build: another LibTorch was found"; failed=1; }
  if others=$(grep -E "^[A-Z_0-9]+_(INCLUDE|LIBRARY):.*($here|$TORCH)/" "$build/CMakeCache.txt"); then
    echo "libtorch_test: $build: taken from LibTorch's folder: $others"; failed=1
  fi
  cmp -s "$build/generated/system/fmt/core.h" "$BUILD/generated/system/fmt/core.h" || { echo "libtorch_test: $build: other headers of fmt"; failed=1; }
}
unset CMAKE_PREFIX_PATH
configure option "$here/a libtorch" -DCMAKE_PREFIX_PATH="$here/a libtorch"
export CMAKE_PREFIX_PATH="$here/another:$TORCH"
configure both "$here/a libtorch" -DCMAKE_PREFIX_PATH="$here/a libtorch"
configure variable "$here/another"
exit $failed
