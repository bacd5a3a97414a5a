#!/bin/bash
# Reliability T12: SIGINT, SIGTERM, SIGHUP and SIGUSR1 save a checkpoint and end with 130, 143, 129 and 0; a second signal ends at once; the same command goes on.
. "$(dirname "$0")/harness.sh"
cat > config.yaml << END
threads: 1
model: {vocab_size: 320, hidden_size: 64, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 128, max_position_embeddings: 64}
training: {batch_size: 8, gradient_accumulation_steps: 8, max_steps: 100000, eval_steps: 0}
checkpoint: {save_steps: 0}
logging: {logging_steps: 1, tensorboard: false}
data: {path: [$TINY/data]}
tokenizer: {path: $TINY/tokenizer.model}
END
start() {  # folder; returns when steps are being made
  "$PROGRAM" pretrain --config config.yaml --output-dir "$1" > "$1.out" 2> "$1.err" &
  pid=$!
  for _ in $(seq 300); do
    grep -q '^step 2/' "$1.err" && return
    sleep 0.1
  done
  echo "no step was made"; cat "$1.err"; exit 1
}
check() {  # claim, condition...
  local claim=$1
  shift
  rows=$((rows + 1))
  "$@" || { echo "wrong: $claim"; failures=$((failures + 1)); }
}
for case in INT:130 TERM:143 HUP:129 USR1:0; do
  signal=${case%:*}
  start "$signal"
  kill -s "$signal" $pid
  wait $pid
  check "SIG$signal: exit status $?" [ $? = "${case#*:}" ]
  check "SIG$signal: a checkpoint" [ -e "$signal/latest/manifest.json" ]
  check "SIG$signal: said so" grep -q "ended by SIG$signal" "$signal.err"
  check "SIG$signal: no final model is claimed" [ ! -e "$signal/final" ]
  check "SIG$signal: nothing on stdout" [ ! -s "$signal.out" ]
done

# A terminal that goes away: its system and its shell both send SIGHUP, and nothing can be written to it any more.
cat > hang_up.py << 'END'
import os, pty, sys, time
try:
    child, terminal = pty.fork()
except OSError:
    sys.exit("no terminal")
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while b"step 2/" not in seen:
    seen += os.read(terminal, 65536)
os.close(terminal)
os.kill(child, 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
END
status=$(timeout 100 python3 hang_up.py "$PROGRAM" pretrain --config config.yaml --output-dir hung_up 2>&1)
if [ "$status" = "no terminal" ]; then
  echo "left out: a terminal that goes away (this machine gives none: no /dev/pts)"
else
  check "a terminal that goes away: exit status $status" [ "$status" = 129 ]
  check "a terminal that goes away: a checkpoint" [ -e hung_up/latest/manifest.json ]
  check "a terminal that goes away: training.log says so" grep -q "ended by SIGHUP" hung_up/training.log
fi

# Large micro-batches, so that the second signal comes before the first one can have been seen between two of them.
sed -i 's/batch_size: 8,/batch_size: 512,/; s/gradient_accumulation_steps: 8/gradient_accumulation_steps: 1/' config.yaml
start twice
kill -s INT $pid
kill -s TERM $pid
wait $pid
status=$?
check "a second signal: exit status $status" [ $status = 130 -o $status = 143 ]
check "a second signal: ends at once, without a checkpoint" [ ! -e twice/latest ]
check "a second signal: says nothing more" eval '! grep -q "ended by SIG" twice.err'
sed -i 's/batch_size: 512,/batch_size: 8,/; s/gradient_accumulation_steps: 1/gradient_accumulation_steps: 8/' config.yaml

# While the run trains its tokenizer or prepares its data nothing can be saved: it ends at once, with the same codes, and nothing is left.
awk 'BEGIN { srand(1); for (i = 0; i < 600000; i++) { s = ""; for (j = 0; j < 9; j++) s = s sprintf("%c%c%c%c ", 97 + rand() * 26, 97 + rand() * 26, 97 + rand() * 26, 97 + rand() * 26); print s } }' > large.txt
early() {  # signal, exit status, folder, what shows that it is time, arguments...
  local signal=$1 due=$2 folder=$3 sign=$4
  shift 4
  "$PROGRAM" pretrain --config config.yaml --data-path large.txt --output-dir "$folder" --threads 1 "$@" > "$folder.out" 2> "$folder.err" &
  pid=$!
  for _ in $(seq 600); do eval "$sign" && break; sleep 0.05; done
  sleep 0.3
  kill -s "$signal" $pid
  wait $pid
  status=$?
  check "$folder, SIG$signal: exit status $status" [ $status = "$due" ]
  check "$folder, SIG$signal: said so" grep -q "ended by SIG$signal before the first step; nothing was trained" "$folder.err"
  check "$folder, SIG$signal: nothing is left" [ ! -e "$folder" ]
}
for case in INT:130 TERM:143 USR1:0; do
  early "${case%:*}" "${case#*:}" learning 'grep -q "training a bpe tokenizer" learning.err' --tokenizer.path "" --vocab-size 8000 --model.vocab_size 8000
  early "${case%:*}" "${case#*:}" preparing 'ls preparing/data/.train.bin.*.tmp-* > /dev/null 2>&1' --data.workers 1
done
# Neither does a data folder that was there before keep a part of a file.
mkdir -p kept/data
touch kept/run.lock
"$PROGRAM" pretrain --config config.yaml --data-path large.txt --output-dir kept > kept.out 2> kept.err &
pid=$!
for _ in $(seq 600); do ls kept/data/.train.bin.*.tmp-* > /dev/null 2>&1 && break; sleep 0.05; done
kill -s TERM $pid
wait $pid
check "a folder that was there: no part of a file" [ -z "$(find kept -name '*tmp-*')" ]
check "a folder that was there: no data" [ ! -e kept/data/train.bin ]

# The same for the verb that only trains a tokenizer.
"$PROGRAM" train-tokenizer --input large.txt --vocab-size 8000 --output tokenizer.model > alone.out 2> alone.err &
pid=$!
sleep 1
kill -s USR1 $pid
wait $pid
status=$?
check "train-tokenizer: exit status $status" [ $status = 0 ]
check "train-tokenizer: said so" grep -q "ended by SIGUSR1; nothing was written" alone.err
check "train-tokenizer: nothing is left" [ ! -e tokenizer.model ]
rm large.txt

step=$(readlink INT/latest)
accept "going on" -- pretrain --config config.yaml --output-dir INT --max-steps $((10#${step#step-} + 1))
expect "going on" "resumed from INT/$step" err
finish
