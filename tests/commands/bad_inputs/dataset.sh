#!/bin/bash
# Token files that are damaged, and text that cannot become one.
. "$(dirname "$0")/../harness.sh"
fresh() { rm -rf d; mkdir d; cp "$TINY/data.bin" "$TINY/data.index" d/; }
poke() { printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }  # file, offset, bytes
refuse_data() {  # row, message, hint: both the check in full and a training run refuse it
  refuse "$1" 3 "$2" ${3:+"$3"} -- prepare-data --verify d/data --tokenizer-path "$TINY/tokenizer.model"
  if [ -z "$VERIFY_ONLY" ]; then
    CHANGES=allowed refuse "$1 in training" 3 "$2" ${3:+"$3"} -- train --config "$TINY/config.yaml" --data-path d/data --tokenizer-path "$TINY/tokenizer.model" --output-dir run1
  fi
}

fresh; rm d/data.bin
refuse_data 7.4.1 "d/data.bin' is missing beside 'data.index'"
fresh; rm d/data.index
refuse_data 7.4.1b "d/data.index' is missing beside 'data.bin'"
fresh; printf '{"text": "not tokens but JSON, long enough to be read as a header of sixty-four bytes"}\n' > d/data.index
refuse_data 7.4.2 "is not an llm token file (starts 7b 22 74 65, looks like JSON)" "llm prepare-data"
fresh; poke d/data.index 8 '\x09'
refuse_data 7.4.3 "format version 9 is newer than this program"
fresh; truncate -s -400 d/data.bin
refuse_data 7.4.4 "truncated: header says"
fresh; truncate -s 40 d/data.index
refuse_data 7.4.4b "data.index"
fresh; truncate -s +4096 d/data.bin
refuse_data 7.4.5 "4096 unexpected bytes after the tokens"
fresh; truncate -s +3 d/data.bin
refuse_data 7.4.6 "is not a multiple of 4-byte tokens"
fresh; poke d/data.bin 8 '\x40\x42\x0f\x00'
VERIFY_ONLY=1 refuse_data 7.4.7 "token 1000000 at index 1 is"
fresh; poke d/data.bin 8 '\xff\xff\xff\xff'
VERIFY_ONLY=1 refuse_data 7.4.7b "token -1 at index 1 is"
fresh; poke d/data.index 72 '\xff\xff\xff\xff\xff\xff\xff\x7f'
refuse_data 7.4.11 "document 1 points to byte 9223372036854775807, file has"
fresh; poke d/data.bin 0 '\xfc\xff\xff\xff'
refuse_data 7.4.12 "document 0 has length -4"
fresh; poke d/data.index 12 '\x4d'
refuse_data 7.4.13 "dtype code 77 unknown"
fresh; poke d/data.index 24 '\x00\x00\x00\x00\x00\x00\x00\x00'
refuse_data 7.4.9 "dataset has 0 tokens"
: > d/data.bin; : > d/data.index
refuse_data 7.4.9a "d/data.index' is empty"
rm d/data.bin; mkfifo d/data.bin; cp "$TINY/data.index" d/
refuse_data 7.4.18c "d/data.bin' is not a regular file"
rm d/data.bin

prepare() { echo prepare-data --tokenizer-path "$TINY/tokenizer.model" --output out/x --input; }
# shellcheck disable=SC2046
refuse_text() { refuse "$1" "$2" "$3" ${5:+"$5"} -- $(prepare) "$4"; }
: > empty.txt
refuse_text 7.4.9b 3 "0 tokens" empty.txt
echo "too short" > short.txt
CHANGES=allowed refuse 7.4.10 3 "tokens, need at least 65 for seq_len 64" -- \
  train --config "$TINY/config.yaml" --data-path short.txt --tokenizer-path "$TINY/tokenizer.model" --output-dir run1 --val-fraction 0
{ for i in $(seq 41); do echo "{\"text\": \"line $i\"}"; done; echo '{"text": "a" "b"}'; } > a.jsonl
refuse_text 7.4.14 3 "a.jsonl:42: invalid JSON at column 14" a.jsonl
printf '{"text": "a"}\n{"text": "b"}\n{"title": "c", "body": "d"}\n' > a.jsonl
refuse_text 7.4.15 3 'a.jsonl:3: no "text" field (has: title, body)' a.jsonl
printf '{"messages": [{"role": "user", "content": "a"}]}\n' > a.jsonl
refuse_text 7.4.16 3 "a.jsonl:1: no assistant message to learn from" a.jsonl
{ head -c 40213 /dev/zero | tr '\0' 'a'; printf '\xff\n'; } > bad.txt
refuse_text 7.4.17 3 "bad.txt: invalid UTF-8 at byte 40213" bad.txt
mkdir folder
refuse_text 7.4.18 3 "'folder' is a directory" folder
mkfifo pipe
refuse_text 7.4.18b 3 "not a regular file" pipe
rm pipe
if permissions_hold; then
  echo "some text" > shut.txt
  fresh
  chmod 0 shut.txt d/data.bin
  refuse_text 7.4.18d 3 "cannot open 'shut.txt': Permission denied" shut.txt
  refuse 7.4.18e 3 "cannot open 'shut.txt': Permission denied" -- train-tokenizer --input shut.txt --output t.model
  refuse_data 7.4.18f "d/data.bin': Permission denied"
  chmod 644 shut.txt
  done_with_permissions
fi
printf 'PAR1 and so on' > x.parquet
refuse_text 7.4.19 3 "parquet is not read directly" x.parquet
refuse_text missing 3 "cannot open 'nope.txt': No such file or directory" nope.txt
refuse missing 3 "nope" -- prepare-data --verify nope
refuse missing 3 "nope" -- prepare-data --info nope
printf '\x28\xb5\x2f\xfd\x00\x00garbage' > x.txt.zst
refuse_text zst 3 "x.txt.zst" x.txt.zst
accept verify -- prepare-data --verify "$TINY/data"
accept info -- prepare-data --info "$TINY/data"
expect info "300" out
finish
