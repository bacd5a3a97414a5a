#!/bin/bash
# Builds with sanitizers and runs the tests there. Slow: for before a release, not for every change.
# usage: sanitize.sh [address|thread] [ctest argument...]
#   address (the default)  AddressSanitizer and UndefinedBehaviorSanitizer, into build/asan, every test
#   thread                 ThreadSanitizer, into build/tsan, what computes and serves on several threads; LibTorch and OpenMP are not built
#                          with it, so what they share among threads of theirs runs on one
set -e -o pipefail
. "$(dirname "$0")/setup.sh"
preset=asan
targets=(all)
tests=()
case $1 in
  thread)
    export OMP_NUM_THREADS=1
    preset=tsan
    targets=(serving_test http_test api_test constraint_test)
    tests=(--tests-regex '^(serving|http|api|constraint)\.')
    shift ;;
  address) shift ;;
esac
build_dir=$root/build/$preset
strict=ON

set_up
build "${targets[@]}"
# Leaks are not looked for: LibTorch keeps thousands of objects until the process ends.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1 OMP_WAIT_POLICY=passive
exec ctest --test-dir "$build_dir" --output-on-failure --parallel "$(nproc)" --label-exclude 'long|perf|house' --timeout 1200 "${tests[@]}" "$@"
