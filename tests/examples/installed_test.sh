#!/bin/bash
# Installs the build into tests/install_prefix, moves that, and builds examples/ against it as a stranger would: what they write is what
# `llm generate` writes, and nothing that runs comes from the build tree.
set -e -E -u -o pipefail
work=$BUILD/tests
first=$work/install_prefix
moved="$work/install prefix moved"
built=$work/install_examples
rm -rf "$first" "$moved" "$built"
mkdir -p "$built"
cd "$built"
unset LD_LIBRARY_PATH
export OMP_NUM_THREADS=1
failed=0
trap 'echo "installed_test: line $LINENO ended with $?"; tail -n 5 build.log' ERR
wrong() { echo "installed_test: $1"; failed=1; }
same() { cmp "$2" "$3" || wrong "$1"; }  # claim, file, file

"$CMAKE" --install "$BUILD" --prefix "$first" > install.log
"$PROGRAM" --version > wanted_version
"$first/bin/$NAME" --version > version; same "the installed program gives another version" version wanted_version
mv "$first" "$moved"
"$moved/bin/$NAME" --version > version; same "the moved program gives another version" version wanted_version
# (LibTorch may lie below the build.)
if grep -rF -e "$BUILD" -e "$SOURCES/" "$moved/include" "$moved/lib/cmake" | grep -v 'set(llm_TORCH_DIR '; then wrong "these lines name the build"; fi
if grep -rlE 'include *[<"](ATen|torch|c10|nlohmann|boost)' "$moved/include"; then wrong "these headers need more than fmt"; fi

# (LibTorch's own headers of fmt are found first, and are not taken.)
"$CMAKE" -S "$SOURCES/examples" -B programs -G "$GENERATOR" -DCMAKE_PREFIX_PATH="$TORCH;$moved" -DCMAKE_CXX_COMPILER="$CXX" > configure.log
"$CMAKE" --build programs > build.log

# The same greedy request, three ways; a model that runs packed (where the CPU can), and one that LibTorch is loaded for.
try() {  # model, prompt, new tokens
  "$PROGRAM" generate "$1" --prompt "$2" --max-tokens "$3" --temperature 0 2> /dev/null | sed '1s/^Generated: //' > wanted
  "$PROGRAM" generate "$1" --prompt "$2" --max-tokens "$3" --temperature 0 --json 2> /dev/null > wanted.json
  programs/generate "$1" "$2" "$3" > text 2> said
  programs/stream "$1" "$2" "$3" > streamed 2> /dev/null
  same "$1: generate writes another text" text wanted
  same "$1: streamed pieces are not the text" streamed wanted
  tr -d ' \n' < wanted.json | sed 's/.*"prompt_token_ids":\[\([0-9,]*\)\].*"token_ids":\[\([0-9,]*\)\].*/\1,\2/' | tr , ' ' > wanted_ids
  sed -n 's/^ids: //p' said | tr -d '\n' > ids
  same "$1: the ids are not the prompt's and then the new ones" ids wanted_ids
  [ "$(wc -w < ids)" -gt "$3" ] || wrong "$1: $(wc -w < ids) ids are too few for a prompt and $3 new tokens"
}
try "$SOURCES/tests/model/gguf/llama3.gguf" "the cat" 12
try "$SOURCES/tests/model/gguf/gemma.gguf" "the cat" 12
try "$TINY/run" "Line 7: the cat" 24
programs/stream "$TINY/run" "Line 7: the cat" 24 3 > stopped 2> said
grep -q 'finish reason cancelled$' said || wrong "a callback that returns false does not end the text"
size=$(($(wc -c < stopped) - 1))  # without the newline
cmp -n $size stopped wanted || wrong "the stopped text is another one"
[ $size -ge 18 ] && [ $size -lt $(($(wc -c < wanted) - 1)) ] || wrong "the stopped text has $size bytes"

# Several prompts together, with and without a config.
: > wanted
for prompt in "Line 7: the cat" "Line 8: the"; do
  "$PROGRAM" generate "$TINY/run" --prompt "$prompt" --max-tokens 24 --temperature 0 2> /dev/null | sed '1s/^Generated: //' >> wanted
done
printf 'inference: {use_continuous_batching: false, use_speculative_decoding: true, max_num_blocks: 64}\n' > inference.yaml
for config in "" inference.yaml; do
  programs/batch "$TINY/run" "$config" "Line 7: the cat" "Line 8: the" > together
  same "config '$config': texts together are others" together wanted
done
status=0
printf 'block_size: 32\n' > blocks.yaml
programs/batch "$TINY/run" blocks.yaml x 2> said || status=$?
[ $status = 2 ] && grep -q '^error: blocks.yaml:1:1: inference.block_size 32' said || wrong "a config that is refused: status $status, $(head -1 said)"

status=0
programs/generate /nowhere x 2> said || status=$?
[ $status = 3 ] && grep -q "^error: .*nowhere" said || wrong "a model that is not there: status $status, $(head -1 said)"

# LibTorch's half comes from the prefix too.
export LD_DEBUG=libs LD_DEBUG_OUTPUT=loaded
"$moved/bin/$NAME" inspect --model-path "$TINY/run" > /dev/null
programs/generate "$SOURCES/tests/model/gguf/gemma.gguf" x 1 > /dev/null 2>&1
unset LD_DEBUG LD_DEBUG_OUTPUT
if grep -hE "calling init: $BUILD/lib/" loaded.*; then wrong "these libraries come from the build tree"; fi
for library in libllm_serving.so libllm_torch_commands.so; do
  grep -qhE "calling init: $moved/(bin/../)?lib/$library" loaded.* || wrong "the moved $library was not loaded"
done
exit $failed
