# shellcheck shell=bash
# What the tests of the program share; source it, state claims, end with `finish`.
#
#   refuse ROW EXIT MESSAGE [HINT] -- ARGUMENT...   the program ends with this status, prints one line "llm: error: ..." that holds
#                                                   MESSAGE (and "hint: ..." that holds HINT), nothing on stdout, and changes no file
#                                                   (CHANGES=allowed before it: logs and lock files of a run directory may change;
#                                                   STDOUT=allowed: the result that is refused is shown)
#   accept ROW -- ARGUMENT...                       exit 0; stdout is left in the file `out`, stderr in `err`
#   expect ROW TEXT FILE                            FILE holds TEXT
#   holds ROW CONDITION...                          the command succeeds (a server's stderr in api.err is shown where it does not)
#   same, differ ROW FILE FILE                      byte for byte
#   start_server ARGUMENT...                        `llm api` on a free port: its id in $pid, its address in $url
#   if permissions_hold; then ROW...; done_with_permissions; fi
#                                                   in between the program may read and write only what the files' modes allow, as root
#                                                   too; not so where the machine grants no way to give the right up
# ROW names the row of the table of bad inputs, or the claim. Files a row needs are made by the lines before it, in the test's own
# folder, which starts empty.

failures=0
rows=0
as=()  # what the program is started with
export OMP_NUM_THREADS=1
[ -n "$KEEP" ] || find . -mindepth 1 -delete

run_program() { timeout 60 "${as[@]}" "$PROGRAM" "$@" > .out 2> .err < "${STDIN:-/dev/null}"; }
permissions_hold() {
  if [ "$(id -u)" != 0 ]; then return; fi
  as=(setpriv "--bounding-set=-dac_override,-dac_read_search" "--inh-caps=-dac_override,-dac_read_search" --)
  if "${as[@]}" "$PROGRAM" completion bash > /dev/null 2>&1; then return; fi
  as=()
  echo "root stays root here: what permissions forbid is passed over"
  return 1
}
done_with_permissions() { as=(); }
files_here() { find . -mindepth 1 ! -name .out ! -name .err -printf '%P %s\n' 2> /dev/null | sort; }

wrong() {  # row, what
  printf '%s: %s\n' "$1" "$2"
  printf '    command: llm %s\n' "${command[*]}"
  sed 's/^/    stderr: /' .err | head -8
  failures=$((failures + 1))
}

refuse() {
  local row=$1 status=$2 message=$3 hint="" before got
  shift 3
  if [ "$1" != -- ]; then hint=$1; shift; fi
  shift
  command=("$@")
  rows=$((rows + 1))
  before=$(files_here)
  run_program "$@"
  got=$?
  if [ $got != "$status" ]; then wrong "$row" "exit status $got, not $status"; return; fi
  if [ "$(grep -c '^llm: error: ' .err)" != 1 ]; then wrong "$row" "one line 'llm: error:' is due"; return; fi
  if ! grep '^llm: error: ' .err | grep -qF -- "$message"; then wrong "$row" "the message lacks '$message'"; return; fi
  if [ -n "$hint" ] && ! grep '^hint: ' .err | grep -qF -- "$hint"; then wrong "$row" "the hint lacks '$hint'"; return; fi
  if grep -qE 'terminate called|what\(\)|Aborted|Segmentation|0x[0-9a-f]{8}|c10::|std::' .err; then wrong "$row" "the message shows the program's inside"; return; fi
  if [ "$STDOUT" != allowed ] && [ -s .out ]; then wrong "$row" "stdout is not empty"; return; fi
  if [ "$CHANGES" != allowed ] && [ "$(files_here)" != "$before" ]; then wrong "$row" "files were left behind or changed: $(diff <(echo "$before") <(files_here) | grep '^[<>]' | tr '\n' ' ')"; fi
}

accept() {
  local row=$1 got
  shift 2
  command=("$@")
  rows=$((rows + 1))
  run_program "$@"
  got=$?
  cp .out out
  cp .err err
  if [ $got != 0 ]; then wrong "$row" "exit status $got, not 0"; return 1; fi
}

expect() {
  rows=$((rows + 1))
  grep -qF -- "$2" "$3" || { command=("(the file $3)"); cp "$3" .err; wrong "$1" "'$2' is due"; }
}

holds() {
  local row=$1
  shift
  rows=$((rows + 1))
  command=("$@")
  "$@" || { cp api.err .err 2> /dev/null; wrong "$row" "it is not so"; }
}

same() {
  rows=$((rows + 1))
  cmp -s "$2" "$3" || { command=("(the files $2 and $3)"); diff "$2" "$3" > .err; wrong "$1" "they differ"; }
}

differ() {
  rows=$((rows + 1))
  if cmp -s "$2" "$3"; then command=("(the files $2 and $3)"); wrong "$1" "they are the same"; fi
}

start_server() {
  rm -f api.err  # the last server's address is in it
  "$PROGRAM" api "$@" --port 0 --threads 1 > api.out 2> api.err < /dev/null &
  pid=$!
  for _ in $(seq 600); do
    url=$(sed -n -E "s|^serving '[^']*' at (http://[^ ]*) .*|\1|p" api.err 2> /dev/null)
    if [ -n "$url" ]; then return; fi
    if ! kill -0 $pid 2> /dev/null; then break; fi
    sleep 0.1
  done
  echo "the server did not start"; cat api.err; exit 1
}

finish() {
  printf '%s rows, %s wrong\n' "$rows" "$failures"
  [ "$failures" = 0 ]
  exit
}
