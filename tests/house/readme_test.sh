#!/bin/bash
# The tree in README.md names what is on disk: every folder of the sources is there, and nothing is there that has gone.
# In the tree a line without indentation is a folder (its path ends with /) or a file; an indented line is an entry of the folder above,
# written without suffix where a header and a source file share a name.
cd "$(dirname "$0")/../.." || exit 2
failed=0
wrong() { echo "README.md: $1"; failed=1; }
tree=$(awk '/^## The tree/ {on = 1; next} /^## / {on = 0} on && /^```/ {inside = !inside; next} on && inside' README.md)
folder=
while IFS= read -r line; do
  name=${line#"${line%%[! ]*}"}
  name=${name%% *}
  [ -n "$name" ] || continue
  case $line in
    " "*) compgen -G "$folder$name*" > /dev/null || wrong "'$folder$name' is in the tree, not on disk" ;;
    *) [ -e "$name" ] || wrong "'$name' is in the tree, not on disk"; folder=$name ;;
  esac
done <<< "$tree"
while IFS= read -r path; do
  grep -qE "^$path/( |$)" <<< "$tree" || wrong "the folder $path/ is not in the tree"
done < <(find apps lib scripts config cmake docs benchmarks examples fuzz tests .ci -type d ! -name __pycache__ ! -path 'tests/data/*' ! -path 'tests/fixtures/*' ! -path '*/corpus*' | sort)
exit $failed
