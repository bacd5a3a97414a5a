#!/bin/bash
# llm resume-check proves its claim here too, and inspect reads what a run left.
. "$(dirname "$0")/harness.sh"
cat > config.yaml << END
threads: 1
model: {vocab_size: 320, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 32, dropout: 0.1}
training: {batch_size: 2, gradient_accumulation_steps: 2, epochs: 3}
optimizer: {learning_rate: 0.002}
data: {path: [$TINY/data]}
tokenizer: {path: $TINY/tokenizer.model}
END
accept adamw -- resume-check --config config.yaml --steps 10
expect adamw 'SIGKILL after step 6 and a resume from step 4' out
expect adamw 'bit for bit' out
accept muon -- resume-check --config config.yaml --steps 5 --optimizer-name muon --precision bf16-true
stories=(--config "$SOURCES/config/mini.yaml" --batch-size 1 --max-seq-length 32 --eval-batches 1 --data.synthetic_stories 300)
accept "early stopping in the config" -- resume-check "${stories[@]}" --steps 5 --eval-steps 1 --early-stopping-patience 1 --training.early_stopping_threshold 5
accept "a better validation saves, too" -- resume-check "${stories[@]}" --steps 5 --eval-steps 3
expect "the step it went on from is said" 'SIGKILL after step 3 and a resume from step 3' out
accept "shorter than the warm-up" -- resume-check --config "$SOURCES/config/mini.yaml" --steps 2 --batch-size 1 --max-seq-length 32 --eval-batches 1 --data.synthetic_stories 300
expect "shorter than the warm-up" 'bit for bit' out
export LLM_VOCAB_SIZE=320 LLM_WARMUP_STEPS=9
accept "as the environment says" -- resume-check --config "$SOURCES/config/mini.yaml" --steps 2 --batch-size 1 --max-seq-length 32 --eval-batches 1 --data.synthetic_stories 300
unset LLM_VOCAB_SIZE LLM_WARMUP_STEPS
refuse short 2 "at least 2" -- resume-check --config config.yaml --steps 1
refuse epochs 2 "--epochs has no effect here: --steps sets the length" -- resume-check --config config.yaml --epochs 2

# Where a run is refused, its exit code and its one message are those of the check.
refuse "too large" 2 "of memory" "makes a smaller model" -- resume-check --config config.yaml --steps 4 \
  --model.hidden_size 65536 --model.intermediate_size 262144 --model.num_hidden_layers 1000
echo "no tokens" > broken.index; cp "$TINY/data.bin" broken.bin
refuse "its data" 3 "broken.index" -- resume-check --config config.yaml --steps 4 --data-path broken

# It works in a temporary folder, not in that of the run whose complete config it is given.
mkdir temporary
export TMPDIR=$PWD/temporary
cp -r "$TINY/run" myrun
mkdir myrun/whole
echo mine > myrun/whole/file
of_run() { (cd myrun && find . -type f -exec sha256sum {} + | sort); }
of_run > before
accept "a run's own config" -- resume-check --config myrun/config.yaml --steps 2
of_run > after
same "a run's own config" before after
holds "the temporary folder goes" [ -z "$(ls temporary)" ]
refuse "a run's folder" 2 "'myrun' holds '" "temporary folder" -- resume-check --config config.yaml --steps 2 --output-dir myrun
mkdir stranger stranger/whole
refuse "a stranger's folder" 2 "'stranger' holds 'whole', which no resume check made" -- resume-check --config config.yaml --steps 2 --output-dir stranger
accept "a folder that is named" -- resume-check --config config.yaml --steps 2 --output-dir work
holds "a folder that is named stays" [ -e work/whole/final/model.safetensors -a -e work/resume-check.yaml -a ! -e work/run.lock ]
accept "its own folder, again" -- resume-check --config config.yaml --steps 2 --output-dir work
LLM_OUTPUT_DIR=named accept "named by the environment" -- resume-check --config config.yaml --steps 2
holds "named by the environment" [ -e named/resume-check.yaml ]
exec 9> work/run.lock
flock 9
refuse locked 2 "'work' is locked by another process" -- resume-check --config config.yaml --steps 2 --output-dir work
exec 9>&-
echo nonsense > no.model
refuse "before it began" 3 "no.model" -- resume-check --config config.yaml --steps 2 --output-dir early --tokenizer.path no.model

# A signal ends it and the child that trains, and the temporary folder goes.
"$PROGRAM" resume-check --config config.yaml --steps 1000000 --eval-steps 0 > ended.out 2> ended.err &
pid=$!
for _ in $(seq 300); do ls temporary/*/whole/metrics.jsonl > /dev/null 2>&1 && break; sleep 0.1; done
kill -TERM $pid
wait $pid
status=$?
holds "SIGTERM: exit status $status" [ $status = 143 ]
expect "SIGTERM" "ended by SIGTERM; nothing was shown" ended.err
holds "SIGTERM: the temporary folder goes" [ -z "$(ls temporary)" ]

accept inspect -- inspect "$TINY/run"
expect inspect 'model.layers.1.mlp.down_proj.weight' out
expect inspect 'total' out
accept tokens -- inspect "$TINY/run" --tokens "the cat"
expect tokens '7 bytes' out
accept plot -- inspect "$TINY/run" --plot loss.svg
expect plot '<polyline' loss.svg
expect plot '</svg>' loss.svg
refuse plot 3 "has no metrics.jsonl" -- inspect "$TINY/run/final" --plot other.svg
finish
