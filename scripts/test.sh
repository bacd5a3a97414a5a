#!/bin/bash
# Set-up and build where needed, then every test. Ends with ctest's own summary and its exit status.
# usage: test.sh [--strict] [ctest argument...]     e.g. test.sh -R base      test.sh -L long
#   --strict   warnings are errors, as in the dev preset
set -e -o pipefail
. "$(dirname "$0")/setup.sh"
if [ "$1" = --strict ]; then strict=ON; shift; fi

set_up
# What is written here must open in transformers: its tests skip themselves where the Python of build/venv lacks it.
peers="transformers==5.23.0 numpy"
if [ -x "$venv/bin/python3" ] && ! "$venv/bin/python3" -c 'import transformers' 2> /dev/null; then
  say "Fetching $peers into build/venv for the tests"
  # shellcheck disable=SC2086  # a list of words
  "$venv/bin/python3" -m pip install --disable-pip-version-check --no-compile --progress-bar off -q $peers >&2 || say "without them: those tests are skipped"
fi
build all
say "Testing (set-up took $setup_seconds s, the build $build_seconds s)"
# The tests run beside each other: OpenMP threads that wait must not spin on a core that another test needs.
export OMP_WAIT_POLICY=passive
case " $* " in *" -L "*) select=() ;; *) select=(-LE 'long|perf') ;; esac
exec ctest --test-dir "$build_dir" --output-on-failure --parallel "$(nproc)" "${select[@]}" "$@"
