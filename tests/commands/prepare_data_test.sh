#!/bin/bash
# prepare-data from outside: every input shape, validation parts, standard input, --info, --verify, stopping.
. "$(dirname "$0")/harness.sh"
TOKENIZER="$TINY/tokenizer.model"
prepare() { accept "$1" -- prepare-data --tokenizer-path "$TOKENIZER" "${@:2}"; }

for i in $(seq 2000); do echo "Line $i of the text, with some $((i * 37 % 101)) words in it."; done > a.txt
sed 's/.*/{"text": "&"}/' a.txt > a.jsonl
printf '[%s]' "$(sed '$!s/$/,/' a.jsonl)" > a.json
prepare lines --input a.txt --output lines/train --workers 1
expect lines "2,000 documents" out
prepare "two workers" --input a.txt --output two/train --workers 2
same "any number of workers" lines/train.bin two/train.bin
prepare "JSON Lines" --input a.jsonl --output rows/train
same "JSON Lines hold the same text" lines/train.bin rows/train.bin
prepare "JSON array" --input a.json --output array/train
same "a JSON array holds the same text" lines/train.bin array/train.bin
STDIN=a.txt prepare "standard input" --input - --output stdin/train
same "standard input" lines/train.bin stdin/train.bin
if command -v zstd > /dev/null; then
  zstd -q a.txt -o a.txt.zst
  prepare zstd a.txt.zst --output zst/train
  same zstd lines/train.bin zst/train.bin
fi

prepare "validation by hash" --input a.txt --output hash/train --val-fraction 0.1
expect "validation by hash" "hash/val" out
prepare "validation by hash again" --input a.txt --output again/train --val-fraction 0.1 --workers 2
same "validation by hash is stable" hash/val.bin again/val.bin
prepare "validation from the tail" --input a.txt --output tail/train --val-fraction 0.1 --val-split tail --split document
expect "one document, cut in two" "1 documents" out
for format in alpaca sharegpt messages lmsys; do
  case $format in
    alpaca) echo '{"instruction": "add", "input": "1 2", "output": "3"}' ;;
    sharegpt) echo '{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}' ;;
    messages) echo '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}' ;;
    lmsys) echo '{"conversation": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}' ;;
  esac > $format.jsonl
  prepare "$format by name" --input $format.jsonl --output named/$format --format $format
  prepare "$format by itself" --input $format.jsonl --output found/$format
  same "$format" named/$format.bin found/$format.bin
done
same "chat shapes say the same" named/sharegpt.bin named/messages.bin

{ cat a.jsonl; echo '{"text": 5}'; } > bad.jsonl
prepare "bad rows left out" --input bad.jsonl --output skipped/train --skip-bad
expect "bad rows are counted" '1 bad rows were left out; the first: bad.jsonl:2001: "text" must be a string' err
same "bad rows leave no trace" lines/train.bin skipped/train.bin

# The text is not lost under its own tokens, and a killed run's temporaries go with the next one of that name.
cp a.txt own.bin; cp a.txt own-val.index
for fraction in 0 0.1; do
  refuse "output over input" 2 "prepare-data: 'own.bin' is both input and output" "choose another --output" -- prepare-data --tokenizer-path "$TOKENIZER" --input own.bin --output own --val-fraction $fraction
done
refuse "validation over input" 2 "'own-val.index' is both input and output" -- prepare-data --tokenizer-path "$TOKENIZER" --input a.txt own-val.index --output own --val-fraction 0.1
same "the text stays" own.bin a.txt
bash -c 'exit 0' & dead=$!; wait $dead
mkdir killed; touch killed/.train.bin.0.tmp-$dead killed/.others.bin.0.tmp-$dead
prepare "after a killed one" --input a.txt --output killed/train
holds "after a killed one" [ "$(ls -A killed)" = ".others.bin.0.tmp-$dead
$(ls lines)" ]

# A disk that is full before the end leaves what was there, byte for byte, and of a new dataset neither part: here files of 16 KiB fit, so
# that .index, .sum and the validation part's .bin would, and the training part's .bin does not.
mkdir full; head -n 1000 a.txt > half.txt
for fraction in 0 0.1; do
  prepare "before the disk is full" --input half.txt --output full/old --val-fraction 0.2
  rm -rf full.before; cp -a full full.before
  as=(bash -c 'ulimit -f 16 && exec "$@"' full)
  for name in old new; do
    refuse "a full disk, '$name', --val-fraction $fraction" 4 "File too large" -- prepare-data --tokenizer-path "$TOKENIZER" --input a.txt --output full/$name --val-fraction $fraction
    holds "a full disk, '$name', --val-fraction $fraction: nothing has changed" diff -r full.before full
  done
  as=()
  accept "the old dataset" -- prepare-data --verify full/old
  prepare "with room again" --input a.txt --output full/old --val-fraction $fraction
  parts=$([ $fraction = 0 ] && echo 1 || echo 2)
  holds "with room again: a validation part where one is asked for" [ "$(find full -name '*.index' | wc -l)" = "$parts" ]
  holds "no temporaries" [ -z "$(find full -name '.*')" ]
done

# A pipe in which nothing comes does not keep a signal waiting.
for verb in "prepare-data --tokenizer-path $TOKENIZER --output idle/train" "train-tokenizer --output idle.model"; do
  mkfifo idle.fifo
  sleep 30 > idle.fifo & holder=$!
  # shellcheck disable=SC2086
  "$PROGRAM" $verb --input - < idle.fifo > .out 2> .err & pid=$!
  sleep 0.5
  kill -s TERM $pid
  wait $pid
  status=$?
  kill $holder
  rm idle.fifo
  holds "${verb%% *} that waits: exit status $status" [ $status = 143 ]
  expect "${verb%% *} that waits" "ended by SIGTERM; nothing was written" .err
done
holds "nothing was written" [ ! -e idle ]

accept info -- prepare-data --info lines/train
expect info "documents:  2000" out
accept verify -- prepare-data --verify lines/train.bin --tokenizer-path "$TOKENIZER"
expect verify "verified:   every length and every id" out
refuse "no input" 2 "--input is required" -- prepare-data --tokenizer-path "$TOKENIZER"
refuse "no tokenizer" 2 "--tokenizer-path is required" -- prepare-data --input a.txt
refuse "two tasks" 2 "cannot be used together" -- prepare-data --verify lines/train --info lines/train
refuse "documents of rows" 2 "--split (document) has no effect with rows of JSON" "it is about plain text; leave it out" -- prepare-data --input a.jsonl --tokenizer-path "$TOKENIZER" --split document --output x/train
refuse "a field of plain text" 2 "--field (body) has no effect with plain text" "it is about rows of JSON; leave it out" -- prepare-data --input a.txt --tokenizer-path "$TOKENIZER" --field body --output x/train
refuse "how to prepare what is looked at" 2 "--val-fraction (0.1) has no effect with --info lines/train" -- prepare-data --info lines/train --val-fraction 0.1
refuse "tail of standard input" 2 "standard input" -- prepare-data --input - --tokenizer-path "$TOKENIZER" --val-fraction 0.1 --val-split tail --output x/train
refuse "an output that cannot be made" 4 "a.txt" -- prepare-data --input a.txt --tokenizer-path "$TOKENIZER" --output a.txt/x/train
finish
