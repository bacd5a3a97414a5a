#!/bin/bash
# A run directory from outside: what pretrain writes, how it goes on, repeats and refuses (cli.md 2 and 5, reliability T4, T7).
. "$(dirname "$0")/harness.sh"
cat > config.yaml << END
threads: 1
model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 32}
training: {batch_size: 2, gradient_accumulation_steps: 1, max_steps: 6, eval_steps: 3}
optimizer: {learning_rate: 0.002}
checkpoint: {save_steps: 2}
logging: {logging_steps: 1}
tokenizer: {vocab_size: 300}
END
there() { rows=$((rows + 1)); [ -e "$2" ] || { echo "$1: $2 is missing"; failures=$((failures + 1)); }; }

# From raw text: the tokenizer is trained, the data prepared, the vocabulary taken over.
accept text -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir run
for file in config.yaml tokenizer.model data/train.bin data/train.index data/val.bin metrics.jsonl metrics.csv training.log run.json latest best \
            final/config.json final/generation_config.json final/model.safetensors final/tokenizer.model step-00000006/manifest.json \
            step-00000006/training_state/state.json step-00000006/training_state/optimizer.safetensors; do
  there text "run/$file"
done
there text "$(ls run/events.out.tfevents.* | head -1)"
expect text '"vocab_size": 300' run/final/config.json
expect text 'llm generate --model-path run' out
for key in started finished seed version commit torch device kernels config_sha256 data_sha256 validation_sha256 tokenizer_sha256 parameters tokens final best resumed_from; do
  expect "run.json" "\"$key\"" run/run.json
done
holds "hash of the config" [ "$(sed -n 's/^ *"config_sha256": "\(.*\)",$/\1/p' run/run.json)" = "$(sha256sum < run/config.yaml | cut -d' ' -f1)" ]
holds "a run that ended" [ "$(grep -cE '"(result": "finished"|error": null|steps": 6|skipped_steps": 0|loss": [0-9.]+),' run/run.json)" = 5 ]
for key in step epoch tokens loss lr grad_norm tokens_per_second step_ms mfu peak_memory_bytes skipped_steps val_loss val_perplexity val_bits_per_byte val_accuracy; do
  expect "metrics.jsonl" "\"$key\"" run/metrics.jsonl
done
rows=$((rows + 1))
[ "$(head -1 run/metrics.csv)" = "step,epoch,tokens,loss,lr,grad_norm,tokens_per_second,step_ms,mfu,peak_memory_bytes,skipped_steps,samples_per_second,batches_per_second,val_loss,val_perplexity,val_bits_per_byte,val_accuracy,val_long_loss,val_long_perplexity" ] \
  || wrong metrics.csv "its header is '$(head -1 run/metrics.csv)'"
# Every rate is above 0; a micro-batch of this config has two rows of 32 tokens.
holds metrics.csv awk -F, 'function near(a, b) { return a > 0 && a < b * 1.000001 && a > b * 0.999999 }
  NR > 1 && !(near($7, $12 * 32) && near($12, $13 * 2) && near($13, 1000 / $8) && $10 > 0) { exit 1 } END { exit NR != 7 }' run/metrics.csv
expect "log line" 'step 3/6 (50.0%) | loss ' run/training.log

# The stored config repeats the run, number for number, from anywhere.
mkdir -p elsewhere
command=(pretrain --config run/config.yaml --output-dir elsewhere/again)
(cd elsewhere && "$PROGRAM" pretrain --config ../run/config.yaml --output-dir again > /dev/null 2> ../.err) || wrong repeat "it failed"
losses() { sed -E 's/"tokens_per_second.*"skipped/"skipped/; s/,"samples_per_second":[^,]*,"batches_per_second":[^,}]*//' "$1/metrics.jsonl"; }
rows=$((rows + 1))
cmp <(losses run) <(losses elsewhere/again) || failures=$((failures + 1))
rows=$((rows + 1))
cmp run/final/model.safetensors elsewhere/again/final/model.safetensors || failures=$((failures + 1))

# Going on, starting over, other starting points.
CHANGES=allowed refuse done 3 "already at step 6 of 6" "--max-steps" -- pretrain --config run/config.yaml
for key in shuffle shift_windows; do
  CHANGES=allowed refuse "another order" 3 "data.$key is true in the checkpoint, false in the config" "--allow-data-change" -- pretrain --config run/config.yaml --max-steps 8 --data.$key false
done
there "a refused resume leaves the model" run/final/model.safetensors
accept longer -- pretrain --config run/config.yaml --max-steps 8
expect longer 'resumed from' err
# While it goes on, the model of the shorter run is no longer the run's newest.
run_program pretrain --config run/config.yaml --max-steps 12 --kill-at-step 11
rows=$((rows + 1)); [ -e run/final ] && wrong "a run that goes on" "the final model of the shorter one is still there"
accept "a run that goes on" -- generate run --prompt Line --max-tokens 2 --log-level info
expect "a checkpoint of its own writes" 'model run/best' err
accept "the rest of it" -- pretrain --config run/config.yaml --max-steps 12
there "the rest of it" run/final/model.safetensors
# A seed of the program's choice stays that of the run.
accept "any seed" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir dice --seed -1 --max-steps 2
accept "any seed, longer" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir dice --seed -1 --max-steps 4
expect "any seed, longer" 'resumed from' err
refuse "patience without validation" 2 "training.early_stopping_patience (2) has no effect without validation data" "--validation-path" -- pretrain --config config.yaml --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --output-dir blind --early-stopping-patience 2
# Kernels that add in another order are named; the precision that `auto` meant when the run began stays.
kernels=$(sed -n 's/^ *"kernels": "\(.*\)",$/\1/p' run/run.json)
if [ "$kernels" != none ]; then
  moved=(pretrain --config config.yaml --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --output-dir moved)
  accept "where it begins" -- "${moved[@]}" --max-steps 2 --precision bf16-mixed
  export LLM_CPU_BACKEND=none
  accept "where it goes on" -- "${moved[@]}" --max-steps 4 --precision auto
  expect "other kernels" "step-00000002 was written with kernels $kernels, this process uses none: the run goes on, but equal only to rounding" err
  expect "the precision" "training.precision auto: bf16-mixed as in step-00000002, where 32-true would be usual here" err
  expect "the precision's record" '"precision": "bf16-mixed"' moved/run.json
  expect "the kernels' record" '"kernels": "none"' moved/step-00000004/training_state/state.json
  accept "and on" -- "${moved[@]}" --max-steps 6 --precision auto
  holds "the same kernels are not named" [ "$(grep -c 'written with kernels' err)" = 0 ]
  unset LLM_CPU_BACKEND
fi
# What a preparation that was killed left is cleared away.
touch dice/data/.train.bin.4.tmp-99999999
accept "leftovers" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir dice --seed -1 --max-steps 6
rows=$((rows + 1)); [ -e dice/data/.train.bin.4.tmp-99999999 ] && wrong leftovers "one is still there"
CHANGES=allowed refuse never 2 "holds a run already (step-00000012)" "--force" -- pretrain --config run/config.yaml --resume-from-checkpoint never
mkdir run/step-photos
accept force -- pretrain --config run/config.yaml --resume-from-checkpoint never --force
there "a folder that is no checkpoint" run/step-photos
expect force '"resumed_from": null' run/run.json
accept from_model -- pretrain --model-path run --data-path "$TINY/text.txt" --output-dir onward --max-steps 2 --batch-size 2
expect from_model '"hidden_size": 32' onward/final/config.json
CHANGES=allowed refuse warmup 2 "scheduler.warmup_steps (19) exceeds training.max_steps (12)" -- pretrain --config run/config.yaml --warmup-steps 19
accept mlm -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir masked --objective mlm
CHANGES=allowed refuse lmsys 3 "--use-lmsys-dataset" -- pretrain --config config.yaml --use-lmsys-dataset --output-dir lmsys

# The vocabulary of a preset is meant for real text; on the built-in stories the run takes what they fill, in a resume too.
accept preset -- create-config --type tiny --model.hidden_size 64 --model.intermediate_size 128 --model.num_hidden_layers 2 --output tiny.json
preset=(pretrain --config tiny.json --output-dir stories --gradient-accumulation-steps 1 --batch-size 1 --max-seq-length 32 --eval-batches 1 --data.synthetic_stories 300)
accept preset -- "${preset[@]}" --max-steps 1
expect preset 'the built-in stories' err
rows=$((rows + 1)); grep -q '"vocab_size": 32000' stories/final/config.json && wrong preset 'the model has rows without a piece'
accept "preset again" -- "${preset[@]}" --max-steps 2
expect "preset again" 'resumed from' err

# What a config says about writing goes along with the model; a flag is stronger.
accept writing -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir brief --max-steps 1 --generation.max_new_tokens 3 --generation.do_sample false \
  --generation.num_speculative_tokens 4 --generation.top_logprobs 2
expect writing '"max_new_tokens": 3' brief/final/generation_config.json
expect writing '"do_sample": false' brief/step-00000001/generation_config.json
expect writing '"num_speculative_tokens": 4' brief/final/generation_config.json
rows=$((rows + 1)); grep -q top_logprobs brief/final/generation_config.json && wrong writing "what a report holds is no matter of the model's"
written() { sed -n '/^  "token_ids"/,/\]/p' out | grep -cE '^ +[0-9]+'; }
accept writing -- generate --model-path brief --prompt a --ignore-eos --json
rows=$((rows + 1)); [ "$(written)" = 3 ] || wrong writing "$(written) tokens, not 3"
accept writing -- generate --model-path brief --prompt a --ignore-eos --json --max-tokens 5
rows=$((rows + 1)); [ "$(written)" = 5 ] || wrong writing "$(written) tokens, not 5"
accept writing -- pretrain --config brief/config.yaml --max-steps 2 --generation.max_new_tokens 100 --generation.do_sample true
rows=$((rows + 1)); grep -q max_new_tokens brief/final/generation_config.json && wrong writing "the program's own defaults need no line"

# Token ids are the tokenizer's.
refuse ids 2 "model.eos_token_id is 9, but" "taken from the tokenizer" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir ids --model.eos_token_id 9

# The commands that are proposed are words for a shell, and make sense.
accept "a name in quotes" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir "a b/ü run" --max-steps 1
expect "a name in quotes" "  llm generate --model-path 'a b/ü run' --prompt \"Once\"" out
expect "a name in quotes" "  llm inspect 'a b/ü run' --plot loss.svg" out
expect "a name in quotes" "  llm pretrain --config 'a b/ü run/config.yaml' --output-dir 'a b/ü run' --max-steps 2" out
accept "stopped early" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir early --max-steps 20 --eval-steps 1 \
  --early-stopping-patience 1 --training.early_stopping_threshold 100
expect "stopped early" "Trained 2 steps on" out
expect "stopped early" "llm inspect early" out
holds "stopped early: no more steps are proposed" [ "$(grep -c -e --max-steps out)" = 0 ]

# Memory that the system refuses. (Under AddressSanitizer nothing starts with so little address space.)
if (ulimit -v 3000000; "$PROGRAM" --version > /dev/null 2>&1); then
  command=(pretrain under ulimit -v)
  (
    ulimit -v 3000000
    timeout 60 "$PROGRAM" pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir large --batch-size 200000 --max-steps 1 > .out 2> .err
  )
  status=$?
  holds "ulimit -v: exit status $status" [ $status = 1 ]
  expect "ulimit -v" "llm: error: not enough memory" .err
  expect "ulimit -v" "hint: a smaller batch, sequence length or model needs less" .err
fi

# Where the log is JSON, so is the last line.
"$PROGRAM" pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir run --resume-from-checkpoint never --log-format json > .out 2> .err
status=$?
command=(pretrain --log-format json)
holds "a failure as JSON: exit status $status" [ $status = 2 ]
holds "a failure as JSON" [ "$(tail -1 .err | grep -cE "^\{\"time\":\"[^\"]*\",\"level\":\"error\",\"message\":\"'run' holds a run already .*\",\"hint\":\".*\"\}$")" = 1 ]

# A warning for a model from scratch at the default rate, none where it is set.
accept rate -- pretrain --config config.yaml --optimizer.learning_rate 1e-5 --data-path "$TINY/text.txt" --output-dir slow --max-steps 1
rows=$((rows + 1))
grep -q 'suits going on' err && { echo "a rate that was asked for needs no warning"; failures=$((failures + 1)); }

# T7: one trainer per directory.
"$PROGRAM" pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir busy --max-steps 100000 --eval-steps 0 --save-steps 0 > /dev/null 2> busy.err &
first=$!
for _ in $(seq 100); do grep -q '^step 1/' busy.err && break; sleep 0.1; done
CHANGES=allowed refuse 7.5.17 2 "'busy' is locked by pid $first on host" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir busy
kill -9 $first
wait $first 2> /dev/null
holds "a run that was killed" [ "$(grep -cE '"(result": "running"|finished": null|steps": 0|loss": null),' busy/run.json)" = 4 ]
accept "a lock dies with its owner" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir busy --max-steps 2

# T4: a file-size limit in the middle of a save is an error that leaves the last checkpoint; SIGXFSZ does not kill.
accept small -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir small --max-steps 2
(
  ulimit -f 100
  "$PROGRAM" pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir small --max-steps 4 > .out 2> .err
)
status=$?
command=(pretrain under ulimit -f)
rows=$((rows + 1))
[ $status = 4 ] || wrong "ulimit -f" "exit status $status, not 4"
cp .err limit.err
expect "ulimit -f" 'File too large' limit.err
expect "ulimit -f" 'step-00000002 is intact' limit.err
rows=$((rows + 1))
[ -z "$(find small -name '.*tmp*')" ] || wrong "ulimit -f" "a temporary was left behind"
accept "ulimit -f, afterwards" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir small --max-steps 4
expect "ulimit -f, afterwards" 'resumed from small/step-00000002' err

# T14: the data file is cut while the run reads it.
cp "$TINY/data.bin" cut.bin
cp "$TINY/data.index" cut.index
"$PROGRAM" pretrain --config config.yaml --model.vocab_size 320 --data-path cut --tokenizer-path "$TINY/tokenizer.model" --output-dir cutting \
  --max-steps 1000000 --eval-steps 0 --save-steps 0 > cut.out 2> cut.err &
first=$!
for _ in $(seq 100); do grep -q '^step 1/' cut.err && break; sleep 0.1; done
truncate -s 4096 cut.bin
wait $first
status=$?
command=(pretrain on a file that is cut)
cp cut.err .err
rows=$((rows + 1))
[ $status = 4 ] || wrong 7.4.20 "exit status $status, not 4"
expect 7.4.20 "cut.bin' changed size during training (SIGBUS at offset" cut.err

# T8: a run that diverges ends with exit 5, says which rows it was on and leaves the last good checkpoint.
CHANGES=allowed refuse T8 5 "was not finite in 3 steps in a row" "lower --learning-rate" -- pretrain --config config.yaml --data-path "$TINY/text.txt" \
  --output-dir diverging --optimizer-name sgd --optimizer.momentum 0.99 --lr 1 --weight-decay 10 --max-grad-norm 0 --precision 32-true --warmup-steps 0 \
  --training.max_skipped_steps 3 --max-steps 100 --eval-steps 0
cp .err diverged.err
last=$(readlink diverging/latest)
expect T8 "$last is intact" diverged.err
expect T8 '"first_row":' diverging/skipped_steps.jsonl
there T8 "diverging/$last/manifest.json"
holds "T8: the log" grep -qE 'ERROR the (loss|gradient) was not finite in 3 steps in a row' diverging/training.log
holds "T8: the record" grep -qE '^  "error": "the (loss|gradient) was not finite in 3 steps in a row' diverging/run.json
holds "T8: the record" [ "$(grep -cE '"(result": "failed"|finished": "20.*Z"|steps": [1-9][0-9]*|tokens": [1-9][0-9]*|skipped_steps": 3|loss": null),' diverging/run.json)" = 6 ]
accept "T8: it is whole" -- generate "diverging/$last" --prompt a --max-tokens 2 --seed 1

# B95: what the model makes of rows twice as long as it was trained on, for each way to stretch positions.
for scaling in none linear ntk yarn llama3; do
  factor=2; if [ $scaling = none ]; then factor=1; fi
  accept "B95 $scaling" -- pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir long_$scaling --max-steps 2 --eval-length-factor 2 \
    --model.rope_scaling.rope_type $scaling --model.rope_scaling.factor $factor
  expect "B95 $scaling" 'On rows 2 times as long (64 tokens): ' out
  holds "B95 $scaling" grep -qE '"val_long_loss":[0-9.]+,"val_long_perplexity":[0-9.]+' long_$scaling/metrics.jsonl
  holds "B95 $scaling" grep -qE '"val_long_loss": [0-9.]+' long_$scaling/run.json
done
CHANGES=allowed refuse "B95 absolute" 2 "training.eval_length_factor (2): rows of 64 tokens are more than the 32 positions of model.position_embedding_type absolute" "--max-seq-length 16" -- \
  pretrain --config config.yaml --data-path "$TINY/text.txt" --output-dir long_absolute --eval-length-factor 2 --model.position_embedding_type absolute

# B20: another tokenizer needs --resize-embeddings, which keeps the old rows.
"$PROGRAM" train-tokenizer --input "$TINY/text.txt" --output wider.model --vocab-size 500 > /dev/null 2>&1
CHANGES=allowed refuse B20 3 "tokenizer has 500 pieces, checkpoint embedding has 300 rows" -- \
  pretrain --model-path run --tokenizer-path wider.model --data-path "$TINY/text.txt" --output-dir wider --max-steps 1
accept B20 -- pretrain --model-path run --tokenizer-path wider.model --data-path "$TINY/text.txt" --output-dir wider --max-steps 1 --resize-embeddings
expect B20 'embeddings: 300 rows become 500' err
expect B20 '"vocab_size": 500' wider/final/config.json
mkdir notes
echo 1 > notes/a.txt
refuse 7.1.17 2 "'notes' exists and is not a training run" -- pretrain --config config.yaml --output-dir notes
refuse 7.1.18 2 "cannot be used together" -- pretrain --config config.yaml --model-path run --resume-from-checkpoint run --output-dir both
refuse 7.2.20 2 "'gone.txt' not found (looked in $PWD/gone.txt)" -- pretrain --config config.yaml --data-path gone.txt --output-dir none
finish
