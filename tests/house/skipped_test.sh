#!/bin/bash
# scripts/skipped_tests.sh sees what skipped itself in a report that ctest has just written, and only that.
script=$(cd "$(dirname "$0")/../../scripts" && pwd)/skipped_tests.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
failed=0
row() {  # test, exit status: one that skips itself with 77
  printf 'add_test(%s sh -c "exit %s")\nset_tests_properties(%s PROPERTIES SKIP_RETURN_CODE 77)\n' "$1" "$2" "$1" >> CTestTestfile.cmake
}
says() {  # status, text, argument...
  local said status
  said=$("$script" report.xml "${@:3}")
  status=$?
  if [ "$status $said" != "$1 $2" ]; then printf 'skipped_tests.sh %s: status %s, "%s"\ndue: %s, "%s"\n' "${*:3}" "$status" "$said" "$1" "$2"; failed=1; fi
}

row clients.here 0
row clients.wrong 1
row commands.away 77
ctest --output-junit report.xml > /dev/null
says 0 "skipped: commands.away"
says 0 "skipped: commands.away" --strict
row clients.away 77
ctest --output-junit report.xml > /dev/null
says 0 $'skipped: commands.away\nskipped: clients.away'
says 1 $'skipped: commands.away\nskipped: clients.away, which --strict asks for; LLM_MAY_SKIP="clients.away" lets it go' --strict
export LLM_MAY_SKIP="clients.other clients.away"
says 0 $'skipped: commands.away\nskipped: clients.away' --strict
exit $failed
