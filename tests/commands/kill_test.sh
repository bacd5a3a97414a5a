#!/bin/bash
# Reliability T1: a trainer killed with SIGKILL at random times, also in the middle of a save, and started again each time, ends with the
# same bits as one that was left alone. 10 kills; KILLS=50 is the long
# form, in which some do meet a save.
. "$(dirname "$0")/harness.sh"
kills=${KILLS:-10}
cat > config.yaml << END
threads: 1
model: {vocab_size: 320, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 32, dropout: 0.1}
training: {batch_size: 2, gradient_accumulation_steps: 2, max_steps: $((60 * kills)), eval_steps: 60, eval_batches: 2}
optimizer: {learning_rate: 0.002}
checkpoint: {save_steps: 7, keep_last: 2}
logging: {logging_steps: 1, tensorboard: false}
data: {path: [$TINY/data], validation_path: $TINY/data}
tokenizer: {path: $TINY/tokenizer.model}
END
train() { "$PROGRAM" pretrain --config config.yaml --output-dir "$1" > /dev/null 2> "$1.err"; }
train whole || { cat whole.err; exit 1; }

strip() { grep -v config_sha256 "$1/latest/training_state/state.json"; }
losses() { sed -E 's/"tokens_per_second.*"skipped/"skipped/; s/,"samples_per_second":[^,]*,"batches_per_second":[^,}]*//' "$1/metrics.jsonl"; }
compare() {  # the run that was killed, now at its end, with the one that was left alone
  rows=$((rows + 1))
  for file in latest/model.safetensors latest/training_state/optimizer.safetensors final/model.safetensors; do
    cmp "whole/$file" "broken/$file" || failures=$((failures + 1))
  done
  diff <(strip whole) <(strip broken) || failures=$((failures + 1))
  diff <(losses whole) <(losses broken) | head -5
  cmp <(losses whole) <(losses broken) || failures=$((failures + 1))
  [ -z "$(find broken -maxdepth 1 -name '.*tmp*')" ] || { echo "temporaries were left behind"; failures=$((failures + 1)); }
}

RANDOM=${SEED:-20261121}
killed=0
saving=0
while [ $killed -lt "$kills" ]; do
  "$PROGRAM" pretrain --config config.yaml --output-dir broken > /dev/null 2> broken.err &
  pid=$!
  # Where the process is when it dies differs from run to run: start-up, step, validation or save.
  sleep "$(awk "BEGIN { print 0.2 + $((RANDOM % 1000)) / 900 }")"
  kill -9 $pid 2> /dev/null
  wait $pid 2> /dev/null
  status=$?
  if [ $status = 137 ]; then
    killed=$((killed + 1))
    [ -z "$(find broken -maxdepth 1 -name '.*tmp*')" ] || saving=$((saving + 1))
  elif [ $status = 0 ] || grep -q "already at step" broken.err; then  # faster than the kills: another run takes the rest of them
    compare
    rm -r broken
  else
    echo "exit status $status after $killed kills"; cat broken.err; exit 1
  fi
done
train broken || grep -q "already at step" broken.err || { echo "the last resume failed"; cat broken.err; exit 1; }
echo "$killed kills, $saving of them inside a save"
if [ "$kills" -ge 50 ] && [ $saving = 0 ]; then echo "no kill met a save"; failures=$((failures + 1)); fi
compare
finish
