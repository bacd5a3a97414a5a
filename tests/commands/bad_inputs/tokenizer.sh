#!/bin/bash
# Tokenizer files that are missing, damaged or something else.
. "$(dirname "$0")/../harness.sh"
good=$TINY/tokenizer.model
echo "some text" > a.txt
refuse_tokenizer() {  # row, file, message, hint
  refuse "$1" 3 "$3" ${4:+"$4"} -- prepare-data --input a.txt --tokenizer-path "$2" --output out/x
}

refuse_tokenizer 7.3.1 nope.model "cannot open tokenizer 'nope.model': No such file or directory"
: > empty.model
refuse_tokenizer 7.3.2 empty.model "tokenizer 'empty.model' is empty (0 bytes)"
size=$(stat -c %s "$good")
head -c $((size - 7)) "$good" > cut.model
refuse_tokenizer 7.3.3 cut.model "'cut.model' is damaged: not a complete SentencePiece model (stopped at byte"
head -c 5 "$good" > cut5.model
refuse_tokenizer 7.3.3b cut5.model "cut5.model"
for i in $(seq 500); do printf '%b' "$(printf '\\x%02x' $((i * 7919 % 251 + 3)))"; done > random.model
refuse_tokenizer 7.3.4 random.model "'random.model' is not a SentencePiece model or tokenizer.json"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 499723\n' > lfs.model
refuse_tokenizer 7.3.6 lfs.model "'lfs.model' is a Git LFS pointer (131 bytes), not the file" "git lfs pull"
printf '<!DOCTYPE html>\n<html><body>404</body></html>\n' > page.model
refuse_tokenizer 7.3.7 page.model "'page.model' looks like an HTML page; the download failed"

# A piece is field 1 { 1: text, 2: score, 3: type }; the smallest models are written by hand.
varint() { local n=$1 out=""; while [ "$n" -ge 128 ]; do out+=$(printf '\\x%02x' $((n % 128 + 128))); n=$((n / 128)); done; printf '%b' "$out$(printf '\\x%02x' "$n")"; }
piece() {  # text, type (1 normal, 2 unknown, 3 control)
  local text_size=${#1}
  printf '\x0a'; varint $((text_size + $(varint "$text_size" | wc -c) + 1 + 5 + 2))
  printf '\x0a'; varint "$text_size"; printf '%s' "$1"
  printf '\x15\x00\x00\x00\x00\x18'; varint "$2"
}
specs() { printf '\x12\x00\x1a\x00'; }  # an empty trainer_spec and normalizer_spec
{ piece '<unk>' 2; piece '<s>' 3; piece '</s>' 3; piece "$(head -c 100000 /dev/zero | tr '\0' x)" 1; } > long.model
refuse_tokenizer 7.3.8 long.model "piece 3 is 100000 bytes long (limit 65536)"
{ piece '<unk>' 2; piece '<s>' 3; piece '</s>' 3; piece "$(head -c 1048576 /dev/zero | tr '\0' x)" 1; } > long.model
refuse_tokenizer 7.3.8b long.model "piece 3 is 1048576 bytes long (limit 65536)"
piece a 1 > many.model
for _ in $(seq 21); do cat many.model many.model > more.model; mv more.model many.model; done
refuse_tokenizer 7.3.9 many.model "declares more than 2000000 pieces"
rm many.model
{ piece '<unk>' 2; piece '<s>' 3; piece '</s>' 3; piece abc 1; piece d 1; piece abc 1; specs; } > twice.model
refuse_tokenizer 7.3.10 twice.model "piece 'abc' appears twice (ids 3, 5)"
{ piece '<s>' 3; piece '</s>' 3; piece abc 1; specs; } > nounk.model
refuse_tokenizer 7.3.11 nounk.model "model has no <unk>"
{ piece '<unk>' 2; piece abc 1; specs; } > noeos.model
refuse_tokenizer 7.3.11b noeos.model "'noeos.model' has no end-of-text token (no piece is called '</s>')" "take another tokenizer"
mkdir folder
refuse_tokenizer folder folder "folder"

"$PROGRAM" train-tokenizer --input "$TINY/text.txt" --output other.model --vocab-size 300 > /dev/null 2>&1
refuse 7.3.12 3 "tokenizer has 300 pieces, checkpoint embedding has 320 rows" -- generate --model-path "$TINY/run" --tokenizer-path other.model --prompt a
"$PROGRAM" train-tokenizer --input "$TINY/text.txt" --output larger.model --vocab-size 340 > /dev/null 2>&1
refuse 7.3.12b 3 "tokenizer has 340 pieces, checkpoint embedding has 320 rows" -- generate --model-path "$TINY/run" --tokenizer-path larger.model --prompt a
CHANGES=allowed refuse 7.3.13 3 "was made with another tokenizer (sha256" "prepare the data again" -- \
  train --config "$TINY/config.yaml" --model.vocab_size 300 --data-path "$TINY/data" --tokenizer-path other.model --output-dir run1
: > empty.txt
refuse 7.3.20 3 "empty.txt" -- train-tokenizer --input empty.txt --output t.model
refuse 7.3.20b 3 "vocab_size 32000 is too high for this text; the most possible is" -- train-tokenizer --input a.txt --output t.model
refuse missing 3 "cannot open 'nope.txt': No such file or directory" -- train-tokenizer --input nope.txt --output t.model
refuse missing 2 "--input" -- train-tokenizer --output t.model
finish
