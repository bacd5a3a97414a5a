#!/bin/bash
# What a resume says of the tokenizer: what the run was made with is kept, what differs is refused by name, and the run's folder stays as
# it was where a resume is refused.
. "$(dirname "$0")/harness.sh"
for i in $(seq 120); do echo "Line $i: the cat number $((i * 7 % 50)) sat on the mat and looked at $((i * 13 % 17)) birds."; done > text.txt
cat > config.yaml << END
threads: 1
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 32}
tokenizer: {vocab_size: 320}
training: {batch_size: 2, gradient_accumulation_steps: 1, max_steps: 2, eval_steps: 0}
optimizer: {learning_rate: 0.002}
END
train="pretrain --config config.yaml --data-path text.txt"
# Logs aside: every file of a run with its bytes.
bytes_of() { (cd "$1" && find . -type f ! -name training.log -exec sha256sum {} + | sort -k 2); }
# refuse_unchanged RUN ROW EXIT MESSAGE [HINT] -- ARGUMENT...
refuse_unchanged() {
  local run=$1
  shift
  bytes_of "$run" > before
  CHANGES=allowed refuse "$@"
  bytes_of "$run" > after
  same "$1: the run is as it was" before after
}

# --- the tokenizer that a run trained --------------------------------------------------------------------------------------------------
accept trained -- $train --output-dir run
while read -r flag value key before; do
  refuse_unchanged run "$flag" 3 "tokenizer.$key is $before in the checkpoint, $value in the config" "another one needs another --output-dir" -- \
    $train --output-dir run --max-steps 4 "$flag" "$value"
done << END
--model-type unigram model_type bpe
--byte-fallback false byte_fallback true
--character-coverage 0.99 character_coverage 0.9999
--max-sentences 3 max_sentences 200000
--vocab-size 300 vocab_size 320
END
sed 's/vocab_size: 320/vocab_size: 320, max_sentences: 50/' config.yaml > other.yaml
refuse_unchanged run "a file" 3 "tokenizer.max_sentences is 200000 in the checkpoint, 50 in the config" -- \
  pretrain --config other.yaml --data-path text.txt --output-dir run --max-steps 4
refuse_unchanged run "from another run" 3 "tokenizer.model_type is bpe in the checkpoint, unigram in the config" -- \
  $train --output-dir new --max-steps 4 --model-type unigram --resume-from-checkpoint run/step-00000002
holds "from another run: no new one" [ ! -e new ]
# A file's number of pieces is a wish, an order of as many pieces as there are is none.
sed 's/vocab_size: 320/vocab_size: 330/' config.yaml > wish.yaml
accept "a wish" -- pretrain --config wish.yaml --data-path text.txt --output-dir run --max-steps 4 --vocab-size 320
accept "a wish" -- pretrain --config wish.yaml --data-path text.txt --output-dir run --max-steps 5
for line in "vocab_size: 320" "model_type: bpe" "byte_fallback: true" "character_coverage: 0.9999" "max_sentences: 200000"; do
  expect "what is true" "  $line" run/config.yaml
done
# The second resume compares with what the first one kept.
LLM_MODEL_TYPE=char refuse_unchanged run "a variable, resumed" 3 "tokenizer.model_type is bpe in the checkpoint, char in the config" -- \
  $train --output-dir run --max-steps 6
accept repeated -- pretrain --config run/config.yaml --output-dir again --max-steps 2
same repeated run/tokenizer.model again/tokenizer.model

# An order that the text cannot fill is the same order on a resume.
accept char -- $train --output-dir char --model-type char --vocab-size 400
accept "char, resumed" -- $train --output-dir char --model-type char --vocab-size 400 --max-steps 3
refuse_unchanged char "char, fewer" 3 "in the checkpoint, 300 in the config" -- $train --output-dir char --model-type char --vocab-size 300 --max-steps 4

# A checkpoint that was saved before these settings were goes on as it did.
cp -r run old
python3 - << 'END'
import hashlib, json, os
step = "old/" + os.readlink("old/latest")
state = json.load(open(step + "/training_state/state.json"))
assert state["settings"]["tokenizer.model_type"] == "bpe", state["settings"]
state["settings"] = {k: v for k, v in state["settings"].items() if not k.startswith("tokenizer.")}
text = json.dumps(state).encode()
open(step + "/training_state/state.json", "wb").write(text)
manifest = json.load(open(step + "/manifest.json"))
manifest["files"]["training_state/state.json"] = {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
json.dump(manifest, open(step + "/manifest.json", "w"))
END
accept "an old checkpoint" -- $train --output-dir old --max-steps 6 --character-coverage 0.99
expect "an old checkpoint" "resumed from old/step-00000005" err

# --- a tokenizer that was named ---------------------------------------------------------------------------------------------------------
accept named -- $train --output-dir named --tokenizer-path run/tokenizer.model
refuse_unchanged named "named: an order" 3 "tokenizer.model_type is unigram, but the run was made with the tokenizer '$PWD/run/tokenizer.model'" \
  "leave it out" -- $train --output-dir named --max-steps 4 --model-type unigram
refuse_unchanged named "named: pieces" 3 "tokenizer.vocab_size is 320 in the checkpoint, 300 in the config" -- \
  $train --output-dir named --max-steps 4 --vocab-size 300
accept "named, resumed" -- $train --output-dir named --max-steps 4
expect "named, resumed" "  path: $PWD/run/tokenizer.model" named/config.yaml

# --- a refused resume that changes the data ---------------------------------------------------------------------------------------------
sed 's/cat/dog/' text.txt > dogs.txt
refuse_unchanged run "other text" 3 "data 'train' changed since step 5" "--allow-data-change" -- \
  pretrain --config config.yaml --data-path dogs.txt --output-dir run --max-steps 6
refuse_unchanged run "other documents" 3 "data 'train' changed since step 5" -- $train --output-dir run --max-steps 6 --split document
accept "another tokenizer" -- train-tokenizer --input dogs.txt --output dogs.model --vocab-size 320
refuse_unchanged run "another tokenizer" 3 "checkpoint tokenizer sha256" -- $train --output-dir run --max-steps 6 --tokenizer-path dogs.model
refuse_unchanged run "another shape" 3 "model.num_hidden_layers is 1 in the checkpoint, 2 in the config" -- \
  pretrain --config config.yaml --data-path dogs.txt --output-dir run --max-steps 6 --model.num_hidden_layers 2
refuse_unchanged run "other rows" 3 "training.max_seq_length is 32 in the checkpoint, 16 in the config" -- \
  pretrain --config config.yaml --data-path dogs.txt --output-dir run --max-steps 6 --max-seq-length 16
refuse_unchanged run "complete" 3 "already at step 5 of 5" -- \
  pretrain --config config.yaml --data-path dogs.txt --output-dir run --max-steps 5 --allow-data-change
# What is accepted is moved into its place; the same text under another name is the same data.
cp text.txt copy.txt
cp -r run same
accept "the same text" -- pretrain --config config.yaml --data-path copy.txt --output-dir same --max-steps 6
same "the same text" run/data/train.bin same/data/train.bin
expect "the same text" "copy.txt" same/data/prepared.json
accept "as it was" -- $train --output-dir run --max-steps 6
same "as it was: weights" run/final/model.safetensors same/final/model.safetensors
accept "other text, allowed" -- pretrain --config config.yaml --data-path dogs.txt --output-dir run --max-steps 7 --allow-data-change
expect "other text, allowed" "data: run/data/train, validation run/data/val" err
accept "from scratch" -- pretrain --config config.yaml --data-path dogs.txt --output-dir dogs --tokenizer-path run/tokenizer.model
same "other text, allowed" run/data/train.bin dogs/data/train.bin
same "other text, allowed" run/data/val.bin dogs/data/val.bin
expect "other text, allowed" "dogs.txt" run/data/prepared.json
holds "nothing beside is left" [ -z "$(find . -name '.*.tmp-*')" ]

# --- a tokenizer of an attempt that saved nothing ----------------------------------------------------------------------------------------
attempt() { run_program $train --output-dir left --checkpoint.save_steps 0 --kill-at-step 1 "$@"; cp .err err; }
attempt
expect "first attempt" "training a bpe tokenizer of 320 pieces" err
cp left/tokenizer.model first.model
attempt
holds "the same again" [ "$(grep -c 'training a' err)" = 0 ]
same "the same again" left/tokenizer.model first.model
touch -d '2020-01-01' text.txt
attempt
expect "another time of change" "'left/tokenizer.model' is not known to be trained from this text with these settings" err
same "another time of change" left/tokenizer.model first.model
attempt --model-type byte-bpe --vocab-size 300
expect "other settings" "training a byte-bpe tokenizer of 300 pieces" err
holds "other settings: no file of the first" [ ! -e left/tokenizer.model -a -e left/tokenizer.json ]
cp dogs.model left/tokenizer.model
attempt --split document
expect "a file of somebody's" "training a bpe tokenizer" err
accept "other text" -- pretrain --config config.yaml --data-path dogs.txt --output-dir left
expect "other text" "training a bpe tokenizer of 320 pieces on the run's text" err
same "other text" left/tokenizer.model <("$PROGRAM" pretrain --config config.yaml --data-path dogs.txt --output-dir anew > /dev/null 2>&1; cat anew/tokenizer.model)

# --- a model to start from -----------------------------------------------------------------------------------------------------------------
accept "a partial config" -- $train --model-path run --output-dir on
same "a partial config" run/tokenizer.model on/tokenizer.model
sed 's/model: {/model: {vocab_size: 1024, /' config.yaml > rows.yaml
accept "a wish" -- pretrain --config rows.yaml --data-path text.txt --model-path run --output-dir on2
expect "a wish" "model.vocab_size 1024 of rows.yaml:2:9: the model has 320 rows" err
expect "a wish" "  vocab_size: 320" on2/config.yaml
CHANGES=allowed refuse "an order" 3 "model.vocab_size is 320 in the checkpoint, 1024 in the config" -- $train --model-path run --output-dir on3 --model.vocab_size 1024
small="--batch-size 2 --gradient-accumulation-steps 1 --max-steps 1 --eval-steps 0 --threads 1"
accept "one key" -- pretrain --data-path text.txt --model-path run --output-dir on4 $small --model.dropout 0.1
expect "one key" "model.dropout changed from 0.0 to 0.1" err
finish
