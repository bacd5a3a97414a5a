#!/bin/bash
# llm train-tokenizer from outside: every kind of input, every model type, what it prints and what it refuses.
. "$(dirname "$0")/harness.sh"
for i in $(seq 200); do echo "Line $i: the cat number $((i * 7 % 50)) sat on the mat and looked at $((i * 13 % 17)) birds."; done > text.txt
hash_of() { sha256sum < "$1" | cut -d' ' -f1; }

accept plain -- train-tokenizer --input text.txt --output a/deep/tokenizer.model --vocab-size 320
expect path "tokenizer:       a/deep/tokenizer.model" out
expect size "vocabulary:      320" out
expect hash "sha256:          $(hash_of a/deep/tokenizer.model)" out
expect text "200 lines, 200 of them used" out
expect next "next: llm prepare-data --input text.txt --tokenizer-path a/deep/tokenizer.model" err
accept again -- train-tokenizer --input text.txt --output b.model --vocab-size 320
cmp a/deep/tokenizer.model b.model || wrong again "the same text gave another file"

# The same lines by every other way in.
same_as_plain() { cmp -s "$2" b.model || wrong "$1" "another file than from plain text"; }
sed 's/.*/{"id": 1, "text": "&"}/' text.txt > text.jsonl
accept jsonl -- train-tokenizer --input text.jsonl --output c.model --vocab-size 320
same_as_plain jsonl c.model
sed 's/.*/{"body": "&", "text": "nothing here"}/' text.txt > body.jsonl
accept field -- train-tokenizer --input body.jsonl --field body --output d.model --vocab-size 320
same_as_plain field d.model
sed 's/.*/{"content": "&"}/' text.txt > content.jsonl
accept content -- train-tokenizer --input content.jsonl --output e.model --vocab-size 320
same_as_plain content e.model
head -100 text.txt > first.txt
tail -100 text.txt > second.txt
accept files -- train-tokenizer --input first.txt second.txt --output f.model --vocab-size 320
same_as_plain files f.model
STDIN=text.txt accept stdin -- train-tokenizer --input - --output g.model --vocab-size 320
same_as_plain stdin g.model
if command -v zstd > /dev/null; then
  zstd -q text.txt -o text.txt.zst
  accept zstd -- train-tokenizer --input text.txt.zst --output h.model --vocab-size 320
  same_as_plain zstd h.model
fi
echo '{"conversations": [{"from": "human", "value": "How many cats?"}, {"from": "gpt", "value": "Seven cats."}]}' > chat.jsonl
echo '{"prompt": "How many birds?", "response": "Twelve birds."}' > pair.jsonl
accept shapes -- train-tokenizer --input chat.jsonl pair.jsonl --model-type char --output i.model

for model_type in bpe unigram char word; do
  accept "$model_type" -- train-tokenizer --input text.txt --model-type $model_type --byte-fallback false --vocab-size 90 --output $model_type.model
  expect "$model_type" "model type:      $model_type" out
done
accept sample -- train-tokenizer --input text.txt --max-sentences 50 --output j.model --vocab-size 310
expect sample "200 lines, 50 of them used" out
echo '{"tokenizer": {"vocab_size": 311, "max_sentences": 0}, "model": {"hidden_size": 64}}' > run.json
accept config -- train-tokenizer --config run.json --input text.txt --output k.model
expect config "vocabulary:      311" out
accept alias -- tokenizer train --input text.txt --output l.model --vocab-size 320
same_as_plain alias l.model

refuse type 2 "--model-type" -- train-tokenizer --input text.txt --model-type wordpiece --output z.model
refuse coverage 2 "--character-coverage" -- train-tokenizer --input text.txt --character-coverage 1.5 --output z.model
refuse size 2 "--vocab-size" -- train-tokenizer --input text.txt --vocab-size 0 --output z.model
refuse bytes 2 "vocab_size 100 is too low: the special tokens and byte pieces alone are 261" -- train-tokenizer --input text.txt --vocab-size 100 --output z.model
refuse low 3 "vocab_size 270 is too low for this text; its characters need at least" -- train-tokenizer --input text.txt --vocab-size 270 --output z.model
refuse high 3 "vocab_size 32000 is too high for this text; the most possible is" "--vocab-size" -- train-tokenizer --input text.txt --output z.model
refuse folder 3 "is a directory" -- train-tokenizer --input a --output z.model
refuse field 3 'text.jsonl:1: no "body" field' -- train-tokenizer --input text.jsonl --field body --output z.model
refuse unknown 2 "--vocab-sizes" "--vocab-size" -- train-tokenizer --input text.txt --vocab-sizes 300
refuse output 4 "text.txt" -- train-tokenizer --input text.txt --vocab-size 320 --output text.txt/tokenizer.model

# A run that fails leaves the file that was there.
before=$(hash_of b.model)
refuse keep 3 "too high" -- train-tokenizer --input text.txt --output b.model
[ "$(hash_of b.model)" = "$before" ] || wrong keep "the old tokenizer was changed"

# Lines are those of the text, also where a tab cuts them for SentencePiece.
for i in $(seq 40); do printf 'left %s\tright %s\n' "$i" "$i"; done > tabs.txt
for type in bpe byte-bpe; do
  accept "tabs $type" -- train-tokenizer --input tabs.txt --vocab-size 280 --model-type $type --output tabs.$type
  expect "tabs $type" "40 lines, 40 of them used" out
done
refuse overwrite 2 "--output: './tabs.txt' is the text to learn from" "name another file" -- train-tokenizer --input tabs.txt --vocab-size 280 --output ./tabs.txt
refuse "a folder as output" 2 "--output: '.' is a directory, expected a file to write" -- train-tokenizer --input tabs.txt --vocab-size 280 --output .
refuse "no place to write to, before any work" 4 "tabs.txt': Not a directory" -- train-tokenizer --input missing --vocab-size 280 --output tabs.txt/tokenizer.model
refuse "idle coverage" 2 "--character-coverage (0.99) has no effect with --model-type byte-bpe" -- train-tokenizer --input tabs.txt --model-type byte-bpe --character-coverage 0.99 --output z.json
refuse "idle field" 2 "--field (text) has no effect with plain text" -- train-tokenizer --input tabs.txt --field text --output z.model
printf 'no zstd data at all\n' > false.txt.zst
refuse "zstd by name alone" 3 "'false.txt.zst' is no zstd data" -- train-tokenizer --input false.txt.zst --output z.model
refuse word 2 "unexpected argument 'tabs.txt'" "llm train-tokenizer --help" -- train-tokenizer tabs.txt
finish
