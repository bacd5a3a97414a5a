#!/bin/bash
# Reliability T4: a disk that fills up during a save ends the run with what is needed and what is free; the last checkpoint stays and the
# run goes on from it once there is room. Needs the right to mount a tmpfs; without it the test says so and is passed over.
. "$(dirname "$0")/harness.sh"
disk=$PWD/disk
mkdir disk
if ! mount -t tmpfs -o size=9m tmpfs "$disk" 2> /dev/null; then
  echo "cannot mount a tmpfs here: passed over"
  exit 77
fi
trap 'umount "$disk"' EXIT
cat > config.yaml << 'END'
model: {vocab_size: 320, hidden_size: 64, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 172, max_position_embeddings: 32}
training: {batch_size: 2, gradient_accumulation_steps: 1, max_steps: 20, eval_steps: 0}
optimizer: {learning_rate: 0.001}
checkpoint: {save_steps: 2, keep_last: 0}
END
train() { CHANGES=allowed "$@" -- pretrain --config config.yaml --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --output-dir disk/run; }

train refuse full 4 "MB free in"
expect full "is intact" .err
newest=$(find disk/run -maxdepth 1 -name 'step-*' | sort | tail -1)
[ -e "$newest/manifest.json" ] || { echo "the newest checkpoint, '$newest', has no manifest"; failures=$((failures + 1)); }
leftovers=$(find disk/run -name '*tmp*')
[ -z "$leftovers" ] || { echo "left behind: $leftovers"; failures=$((failures + 1)); }
accept "the last checkpoint is whole" -- generate --model-path "$newest" --prompt a --max-tokens 2 --seed 1
mount -o remount,size=40m "$disk"
train accept "with room again"
expect "with room again" "resumed from disk/run/$(basename "$newest")" err
finish
