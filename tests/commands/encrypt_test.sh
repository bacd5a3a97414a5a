#!/bin/bash
# --encryption-key-file from outside (feature D13): what pretrain and finetune save is under the key, every verb opens it with the key and says
# what it says of the plain model, and without the key, with another or after any change it is refused. TINY/run is the plain run of this config.
. "$(dirname "$0")/harness.sh"
plain=$TINY/run
pretrain=(pretrain --config "$TINY/config.yaml" --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model")
greedy=(--prompt "Line 7: the cat" --max-tokens 12 --temperature 0)
digits=00112233445566778899aabbccddeeff0123456789abcdef0123456789ABCDEF
echo $digits > key; head -c 32 /dev/urandom > other; head -c 31 other > short; chmod 600 key other short
with=(--encryption-key-file key)

all_sealed() { [ -n "$(find "$1" -name '*.safetensors')" ] && for file in $(find "$1" -name '*.safetensors'); do
  [ "$(head -c 8 "$file" | tail -c 7)" = LLMSEAL ] && ! grep -qaE '__metadata__|data_offsets' "$file" || return 1; done; }
none_sealed() { ! grep -rlaF LLMSEAL "$1" --include=*.safetensors; }
same_weights() {  # claim, model, another: number for number
  rm -rf left right
  accept "$1" -- convert "$2" --output left "${with[@]}"; accept "$1" -- convert "$3" --output right "${with[@]}"
  same "$1" left/model.safetensors right/model.safetensors
}

# What a run saves is under the key, from the first checkpoint on, and holds what the plain run's files hold.
accept "an encrypted run" -- "${pretrain[@]}" --output-dir run "${with[@]}"
holds "all weights and optimizer states are sealed" all_sealed run
holds "two checkpoints and the final model are there" test "$(find run -name '*.safetensors' | wc -l)" = 5
same_weights "the final weights are those of the plain run" run $plain
same_weights "so are those of the first checkpoint" run/step-00000002 $plain/step-00000002
expect "the path of the key is in the run's config" "encryption_key_file: $PWD/key" run/config.yaml
holds "the key itself is nowhere" test -z "$(grep -rliF "${digits:0:16}" run)"
grep -v encryption_key_file "$plain/config.yaml" | grep -v output_dir > plain_config
grep -v encryption_key_file run/config.yaml | grep -v output_dir > run_config
same "nothing else differs in it" plain_config run_config

# Read with the key: the same answers.
accept "plain" -- generate "$plain" "${greedy[@]}"; cp out wanted
accept "generate" -- generate run "${greedy[@]}" "${with[@]}"; same "the same text" wanted out
accept "generate from a checkpoint" -- generate run/latest "${greedy[@]}" "${with[@]}"; same "the same text" wanted out
accept "weights in codes" -- generate run "${greedy[@]}" "${with[@]}" --quantize int8
export LLM_ENCRYPTION_KEY_FILE=key
accept "the variable" -- generate run "${greedy[@]}"; same "the same text" wanted out
unset LLM_ENCRYPTION_KEY_FILE
accept "the run's config" -- generate run "${greedy[@]}" --config run/config.yaml; same "the same text" wanted out
accept "a key for a plain model" -- generate "$plain" "${greedy[@]}" "${with[@]}"; same "it is not needed" wanted out
accept "inspect" -- inspect run "${with[@]}"; expect "the table" "model.layers.1.mlp.down_proj.weight" out
accept "inspect logits" -- inspect run --tokens "Line 7" --logits 2 "${with[@]}"; cp out logits
accept "inspect logits" -- inspect "$plain" --tokens "Line 7" --logits 2; same "the same logits" logits out
accept "verify-export" -- verify-export run "$plain" --json "${with[@]}"; expect "they are equal" '"max_difference": 0' out
echo "Line 7: the cat" > lines
STDIN=lines accept "chat" -- chat run --temperature 0 --max-tokens 3 "${with[@]}"
served() {  # the answer's text, of this server
  start_server "$@"
  curl -s "$url/v1/completions" -H 'Content-Type: application/json' -d '{"prompt": "Line 7: the cat", "max_tokens": 12, "temperature": 0}' | grep -ao '"text":.*"logprobs"'
  kill $pid; wait $pid
}
if command -v curl > /dev/null; then
  served "$plain" > wanted_answer; served run "${with[@]}" > answer
  holds "the plain server answered" test -s wanted_answer
  same "api" wanted_answer answer
else
  echo "without the server's part: no curl"
fi

# convert gives the plain model.
accept "convert" -- convert run --output opened "${with[@]}"; holds "it is plain" none_sealed opened
accept "without a key" -- generate opened "${greedy[@]}"; same "the same text" wanted out
accept "to GGUF" -- convert run --output opened.gguf "${with[@]}"
accept "without a key" -- generate opened.gguf "${greedy[@]}"; same "the same text" wanted out

# Killed and resumed: the same bits. Resumed without the key: refused. A plain run goes on encrypted, and keeps its old checkpoints.
"$PROGRAM" "${pretrain[@]}" --output-dir killed "${with[@]}" --kill-at-step 3 > .out 2> .err
holds "it was killed behind a checkpoint" test -d killed/step-00000002 -a ! -d killed/step-00000004
CHANGES=allowed refuse "no key" 3 "step-00000002/model.safetensors' is encrypted: give --encryption-key-file" -- "${pretrain[@]}" --output-dir killed
CHANGES=allowed refuse "wrong key" 3 "step-00000002/model.safetensors' cannot be opened with this key (wrong key, or the file was changed)" -- \
  "${pretrain[@]}" --output-dir killed --encryption-key-file other
accept "resumed" -- "${pretrain[@]}" --output-dir killed "${with[@]}"; expect "it went on" "resumed from killed/step-00000002" err
same_weights "resumed is uninterrupted" killed $plain
accept "resume-check" -- resume-check --config "$TINY/config.yaml" --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" \
  --steps 5 --output-dir check "${with[@]}"
expect "optimizer state and all" "training_state/optimizer.safetensors" out
holds "its runs are sealed" all_sealed check
cp -r "$plain" mixed
accept "a plain run goes on with a key" -- "${pretrain[@]}" --output-dir mixed --max-steps 6 "${with[@]}"
expect "that is said" "encrypted from the next checkpoint on; those before it stay as they are" err
holds "the new checkpoint is sealed" all_sealed mixed/step-00000006
holds "and the final model" all_sealed mixed/final
holds "the old ones are as they were" none_sealed mixed/step-00000004
accept "finetune" -- finetune --model-path run --data-path "$TINY/text.txt" --output-dir tuned --max-steps 2 --max-seq-length 32 "${with[@]}"
holds "a model made of one is sealed" all_sealed tuned
refuse "finetune without the key" 3 "is encrypted: give --encryption-key-file" -- finetune --model-path run --data-path "$TINY/text.txt" --output-dir none --max-steps 2

# Refused: no key, another, any change of the file.
final=run/final/model.safetensors
size=$(stat -c %s $final)
no_key="$final' is encrypted: give --encryption-key-file"
wrong="$final' cannot be opened with this key (wrong key, or the file was changed)"
for verb in "generate --prompt a" inspect chat; do
  refuse "$verb without the key" 3 "$no_key" -- $verb run
  refuse "$verb with another key" 3 "$wrong" -- $verb run --encryption-key-file other
done
refuse "api" 3 "$no_key" -- api run --port 0
refuse "convert" 3 "$no_key" -- convert run --output x
refuse "verify-export" 3 "$no_key" -- verify-export run opened
cp $final whole
changed() {  # row, offset of the byte, message
  cp whole $final
  printf "$(printf '\\%03o' $(($(od -An -tu1 -j "$2" -N1 whole) ^ 1)))" | dd of=$final bs=1 seek="$2" conv=notrunc 2> .dd
  refuse "$1" 3 "$3" -- generate run "${greedy[@]}" "${with[@]}"
}
changed "a flipped bit of the magic" 0 "model.safetensors: header length"
changed "of the version" 8 "version 0 of encrypted files is not known (this program reads 1)"
changed "of the segments' size" 12 "$wrong"
changed "of the salt" 16 "$wrong"
changed "of the commitment" 63 "$wrong"
changed "of the first tensor" 5000 "$final' is damaged: segment 1 of 1 was changed"
changed "of the tag" $((size - 1)) "$final' is damaged: segment 1 of 1 was changed"
head -c $((size - 1)) whole > $final; refuse "cut short" 3 "$final' is damaged: segment 1 of 1" -- generate run "${greedy[@]}" "${with[@]}"
cat whole other > $final; refuse "made longer" 3 "$final' is damaged: segment 1 of 1" -- generate run "${greedy[@]}" "${with[@]}"
cp run/step-00000004/model.safetensors $final; accept "the same model, sealed apart" -- generate run "${greedy[@]}" "${with[@]}"; same "it opens" wanted out
cp whole $final
# In a checkpoint the manifest, which is of the sealed bytes, sees it first.
printf '\0' | dd of=killed/latest/model.safetensors bs=1 seek=9000 conv=notrunc 2> .dd
CHANGES=allowed refuse "a checkpoint that was changed" 3 "model.safetensors is damaged" -- "${pretrain[@]}" --output-dir killed --max-steps 6 --resume-from-checkpoint killed/latest "${with[@]}"

# Keys that are none.
refuse "a short key" 3 "encryption key 'short' has 31 bytes; it must be 32 bytes or 64 hexadecimal digits" "head -c 32 /dev/urandom" -- generate run --prompt a --encryption-key-file short
refuse "no such key" 3 "cannot open encryption key 'none': No such file or directory" -- "${pretrain[@]}" --output-dir new --encryption-key-file none
refuse "a folder" 3 "encryption key 'run' is a directory, expected a file" -- inspect run --encryption-key-file run
chmod 644 key
accept "a key that others may read" -- inspect run "${with[@]}"; expect "that is said" "encryption key 'key' can be read by other users" err
finish
