#!/bin/bash
# Builds with AddressSanitizer and UndefinedBehaviorSanitizer into build/asan and runs the tests there. Slow: for before a release, not for
# every change. usage: sanitize.sh [ctest argument...]
set -e -o pipefail
. "$(dirname "$0")/setup.sh"
preset=asan
build_dir=$root/build/asan
strict=ON

set_up
build all
# Leaks are not looked for: LibTorch keeps thousands of objects until the process ends.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 OMP_WAIT_POLICY=passive
exec ctest --test-dir "$build_dir" --output-on-failure --parallel "$(nproc)" --label-exclude 'long|perf|house' --timeout 1200 "$@"
