#!/bin/bash
# llm download against a loopback hub, and --model-path ORG/NAME out of the cache that it fills.
. "$(dirname "$0")/harness.sh"
unset HF_ENDPOINT HF_TOKEN HF_HUB_CACHE HF_HUB_OFFLINE XDG_CACHE_HOME HF_HUB_ENABLE_HF_TRANSFER
export HF_HOME=$PWD/home
check() {  # claim, condition...
  local claim=$1
  shift
  rows=$((rows + 1))
  "$@" || { echo "wrong: $claim"; failures=$((failures + 1)); }
}
serve() {  # folder, log, [speed]: HF_ENDPOINT is set; the hub ends when descriptor 9 is closed
  exec 9>&-
  rm -f keep address "$2"; mkfifo keep
  "$LOOPBACK_HUB" "$@" < keep > address 2> hub.err &
  hub=$!
  exec 9> keep
  for _ in $(seq 100); do [ -s address ] && break; sleep 0.05; done
  HF_ENDPOINT=$(cat address)
  export HF_ENDPOINT
}
stop_hub() { exec 9>&-; wait "$hub"; }

# The names, before anything is asked.
for name in a/b/c ../a 'a b' a/b@; do
  refuse "name $name" 2 "'$name' names no repository: give ORG/NAME or ORG/NAME@REVISION" -- download "$name"
done
refuse "no name" 2 "--repo is required" -- download
refuse "revision twice" 2 "the revision is given twice: 'a/b@x' and 'y'" -- download a/b@x --revision y
refuse "bad revision" 2 "--revision: '../x' is no branch, tag or commit" -- download a/b --revision ../x
HF_ENDPOINT=gopher://x refuse "bad endpoint" 2 "HF_ENDPOINT: 'gopher://x' is not an http or https address" -- download a/b
HF_TOKEN='a b' refuse "bad token" 2 "HF_TOKEN: a token has no spaces and no control characters" -- download a/b
HF_HUB_OFFLINE=1 refuse offline 3 "'a/b' is not in the cache '$PWD/home/hub', and HF_HUB_OFFLINE forbids to ask for it" -- download a/b
refuse "not in the cache" 3 "no model at 'org/name': No such file or directory, and none of that name in the cache '$PWD/home/hub'" \
  "llm download org/name" -- generate org/name --prompt x

# A whole model, there and back.
cp -rL "$TINY/run/final" model
rm -f model/manifest.json
[ -e model/tokenizer.model ] || cp "$TINY/tokenizer.model" model/
serve model log 20000000
HF_TOKEN=hf_secret accept download -- download org/name
commit=$(printf 'c%.0s' $(seq 39))1
check "stdout is the folder" [ "$(cat out)" = "$PWD/home/hub/models--org--name/snapshots/$commit" ]
expect "what was done" "of them over the network" err
for file in config.json model.safetensors tokenizer.model; do
  check "$file is whole" cmp -s "model/$file" "$(cat out)/$file"
done
check "the token goes to the hub" grep -q "^hub GET .* Bearer hf_secret " log
check "and not to the storage" eval '! grep "^storage" log | grep -q Bearer'
check "the storage was asked" grep -q "^storage GET" log
: > log
accept again -- download org/name --json
check "nothing is loaded twice" eval '! grep -q "/resolve/" <(grep GET log)'
expect json '"bytes_fetched": 0' out
expect json '"repo": "org/name"' out
expect json "\"commit\": \"$commit\"" out
expect json '"model.safetensors"' out
HF_HUB_OFFLINE=1 accept "offline, from the cache" -- download org/name
accept "another cache" -- download org/name --cache-dir other --include '*.json' --exclude 'gen*'
check "patterns" [ "$(ls "$(cat out)" | grep -vc json)" = 0 ]
check "patterns leave out" [ ! -e "$(cat out)/generation_config.json" ]
CHANGES=allowed refuse "unknown model" 3 "no model 'org/none' at $HF_ENDPOINT (404)" -- download org/none
CHANGES=allowed refuse "unknown revision" 3 "'org/name' has no revision 'v9' (404 from $HF_ENDPOINT)" -- download org/name@v9
python=$(command -v "${PYTHON:-python3}")
if [ -n "$python" ]; then
  accept "all files" -- download org/name --cache-dir all --include '*'
  "$python" "$SOURCES/tests/support/check_hub_cache.py" all org/name > python.out 2>&1
  status=$?
  if [ $status = 77 ]; then echo "huggingface_hub is not installed: not compared with it"; else
    check "the layout is huggingface_hub's" [ $status = 0 ]
    tail -1 python.out
  fi
fi
stop_hub

# The model by its name, without a server.
export HF_ENDPOINT=http://127.0.0.1:9
accept "inspect by name" -- inspect org/name
expect "inspect by name" "$PWD/home/hub/models--org--name/snapshots/$commit" out
accept "generate by name" -- generate org/name --prompt "Line 7" --max-tokens 8 --do-sample false
cp out by_name
accept "generate by path" -- generate model --prompt "Line 7" --max-tokens 8 --do-sample false
check "the same text" cmp -s out by_name
accept "generate by name and commit" -- generate "org/name@$commit" --prompt "Line 7" --max-tokens 8 --do-sample false
check "the same text by commit" cmp -s out by_name
mkdir -p org/name
refuse "a folder of that name comes first" 3 "no checkpoint in 'org/name'" -- generate org/name --prompt x
rm -r org
refuse "another revision is not there" 3 "no model at 'org/name@v2'" "llm download org/name@v2" -- inspect org/name@v2

# A signal keeps what came; the same command goes on; two at once do no harm.
head -c 3000000 /dev/urandom > model/model.safetensors
serve model log 1000000
for case in INT:130 TERM:143; do
  export HF_HUB_CACHE=$PWD/$case
  "$PROGRAM" download org/name > signal.out 2> signal.err &
  pid=$!
  for _ in $(seq 200); do
    [ "$(stat -c %s "$case"/models--org--name/blobs/*.incomplete 2> /dev/null || echo 0)" -gt 100000 ] && break
    sleep 0.02
  done
  kill -s "${case%:*}" $pid
  wait $pid
  check "SIG${case%:*}: exit status $?" [ $? = "${case#*:}" ]
  check "SIG${case%:*}: said so" grep -q "stopped by SIG${case%:*}; what came so far is kept" signal.err
  check "SIG${case%:*}: nothing on stdout" [ ! -s signal.out ]
  have=$(stat -c %s "$case"/models--org--name/blobs/*.incomplete)
  check "SIG${case%:*}: a part is kept" [ "$have" -gt 100000 ]
  check "SIG${case%:*}: no reference to half a model" [ ! -e "$case/models--org--name/refs/main" ]
done
: > log
"$PROGRAM" download org/name > first.out 2> first.err &
pid=$!
accept "two at once" -- download org/name
wait $pid
check "two at once: exit status $?" [ $? = 0 ]
check "one folder" cmp -s out first.out
check "goes on, once, where it stopped" [ "$(awk '/^storage/ {print $4, $6}' log)" = "bytes=$have- $((3000000 - have))" ]
check "the file is whole" cmp -s model/model.safetensors "$(cat out)/model.safetensors"
kill -s KILL $hub
wait $hub 2> /dev/null
finish
