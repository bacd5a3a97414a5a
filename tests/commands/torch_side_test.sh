#!/bin/bash
# How LibTorch is loaded: with threads that soon sleep where they wait; and where it does not load, verbs without tensors run and the others say
# so in one line.
. "$(dirname "$0")/harness.sh"

spins() {  # row, count, [NAME=VALUE]
  local -x OMP_DISPLAY_ENV=verbose
  unset OMP_WAIT_POLICY GOMP_SPINCOUNT
  if [ -n "$3" ]; then local -x "$3"; fi
  accept "$1" -- --help
  expect "$1" "GOMP_SPINCOUNT = '$2'" err
}
(spins "threads that wait soon sleep" 10000; exit $failures) || failures=$((failures + 1))
(spins "the user's count holds" 77 GOMP_SPINCOUNT=77; exit $failures) || failures=$((failures + 1))
(spins "the user's policy holds" 0 OMP_WAIT_POLICY=passive; exit $failures) || failures=$((failures + 1))

mkdir broken
echo "this is no library" > broken/libtorch_cpu.so
export LD_LIBRARY_PATH=$PWD/broken

accept "a config" -- create-config --output c.yaml
accept "help" -- generate --help
refuse "usage" 2 "--prompt is required" -- generate --model-path nowhere
refuse "a model that is not there" 3 "nowhere" -- generate --model-path nowhere --prompt x
refuse "tensors" 1 "cannot load LibTorch: $LD_LIBRARY_PATH/libtorch_cpu.so" "LibTorch must lie where it lay" -- inspect --model-path nowhere
refuse "the whole table" 1 "cannot load LibTorch" -- --help
finish
