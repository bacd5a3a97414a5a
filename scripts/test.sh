#!/bin/bash
# Set-up and build where needed, then every test. Ends with ctest's own summary, the tests that skipped themselves, and ctest's exit status.
# usage: test.sh [--strict] [ctest argument...]     e.g. test.sh -R base      test.sh -L long
#   --strict   warnings are errors, as in the dev preset, and clients.* that skip themselves are failures (so too where the environment has CI=true);
#              LLM_MAY_SKIP="clients.page_client" names those that this machine cannot run
set -e -o pipefail
. "$(dirname "$0")/setup.sh"
skipping=
if [ "$CI" = true ]; then skipping=--strict; fi
if [ "$1" = --strict ]; then strict=ON; skipping=--strict; shift; fi

set_up
# What is written here must open in transformers, and strangers' clients must work: the tests of both skip themselves where the Python of build/venv
# lacks a package. lm_eval comes without what it asks for (torch, datasets, scipy and more: 500 MB): its client for servers needs none of that.
peers="transformers==5.23.0 numpy openai==3.54.0 schemathesis==4.32.5 aiohttp tenacity requests tqdm jinja2 pyyaml"
evaluator="lm_eval==0.4.13"
if [ -x "$venv/bin/python3" ] && ! "$venv/bin/python3" -c 'import transformers, openai, schemathesis, lm_eval' 2> /dev/null; then
  say "Fetching $peers $evaluator into build/venv for the tests"
  install=("$venv/bin/python3" -m pip install --disable-pip-version-check --no-compile --progress-bar off -q)
  # shellcheck disable=SC2086  # a list of words
  { "${install[@]}" $peers && "${install[@]}" --no-deps $evaluator; } >&2 || say "without them: those tests are skipped"
fi
# The chat page is tested in Chromium, where there is one; a browser is nothing to install for a test.
if ! command -v npm > /dev/null || ! command -v chromium > /dev/null; then export LLM_MAY_SKIP="$LLM_MAY_SKIP clients.page_client"; fi
if command -v npm > /dev/null && command -v chromium > /dev/null && [ ! -e build/node/node_modules/playwright-core ]; then
  say "Fetching playwright-core into build/node for the tests"
  npm install --prefix build/node --no-save --no-audit --no-fund playwright-core@1.65.1 >&2 || say "without it: that test is skipped"
fi
build all
say "Testing (set-up took $setup_seconds s, the build $build_seconds s)"
# The tests run beside each other: OpenMP threads that wait must not spin on a core that another test needs.
export OMP_WAIT_POLICY=passive
case " $* " in *" -L "*) select=() ;; *) select=(-LE 'long|perf') ;; esac
report=$build_dir/tests.xml
rm -f "$report"
status=0
ctest --test-dir "$build_dir" --output-on-failure --output-junit "$report" --parallel "$(nproc)" "${select[@]}" "$@" || status=$?
if [ -e "$report" ] && ! scripts/skipped_tests.sh "$report" $skipping >&2 && [ "$status" = 0 ]; then
  status=8  # as ctest ends where a test fails
fi
exit "$status"
