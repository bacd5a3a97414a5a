#!/bin/bash
# Wrong command lines.
. "$(dirname "$0")/../harness.sh"

refuse 7.1.1 2 "no command given" "llm --help" --
refuse 7.1.2 2 "unknown command 'trian'" "did you mean 'train'?" -- trian
refuse 7.1.2b 2 "unknown command 'pretain'" "did you mean 'pretrain'?" -- pretain --max-steps 5
refuse 7.1.3 2 "unknown option --max-stesp" "did you mean --max-steps?" -- train --max-stesp 5
refuse 7.1.3b 2 "unknown option --optimizer.learning_rat" "did you mean --optimizer.learning" -- train --optimizer.learning_rat 1
refuse 7.1.4 2 "--batch-size: '-1' must be between 1 and" -- train --batch-size -1
refuse 7.1.5 2 "--batch-size: '1e3' is not a whole number" "write 1000" -- train --batch-size 1e3
refuse 7.1.6 2 "--max-steps: value is too large (max 9223372036854775807)" -- train --max-steps 99999999999999999999
refuse 7.1.7 2 "--learning-rate: must be a finite number" -- train --learning-rate nan
refuse 7.1.7b 2 "must be a finite number" -- train --lr inf
refuse 7.1.8 2 "'1,5' is not a number" "use a point: 1.5" -- train --lr 1,5
refuse 7.1.9 2 "30 is outside 0 to 1" -- train --lr 30
refuse 7.1.10 2 "--max-steps needs a value" -- train --max-steps
refuse 7.1.11 2 "--max-steps given twice (5, then 6)" -- train --max-steps 5 --max-steps 6
refuse 7.1.11b 2 "given twice (5, then 6)" -- train --max-steps 5 --max_steps 6
refuse 7.1.12 2 "--dtype: 'fp8' is not supported; choose auto, float32, bfloat16, float16" -- train --dtype fp8
refuse 7.1.13 2 "--device cuda:9: no CUDA device found" "--device cpu" -- train --device cuda:9 --max-steps 1 --output-dir run1
refuse 7.1.14 2 "cannot open config 'nope.yaml': No such file or directory" -- train --config nope.yaml
mkdir configs
refuse 7.1.15 2 "config 'configs' is a directory, expected a file" -- train --config configs
mkdir -m 500 closed
if permissions_hold; then
  refuse 7.1.16 4 "cannot create folder 'closed/run': Permission denied" -- train --max-steps 1 --output-dir closed/run
  refuse 7.1.16b 4 "Permission denied" -- create-config --output closed/c.yaml
  refuse 7.1.16c 4 "cannot create folder 'closed/x': Permission denied" -- create-config --output closed/x/c.yaml
  printf 'seed: 1\n' > shut.yaml
  chmod 0 shut.yaml
  refuse 7.1.14b 2 "cannot open config 'shut.yaml': Permission denied" -- train --config shut.yaml
  done_with_permissions
fi
refuse 7.1.16d 4 "cannot create" -- train --max-steps 1 --output-dir /proc/1/closed
mkdir run1
echo 1 > run1/notes.txt
refuse 7.1.17 2 "'run1' exists and is not a training run" "choose another" -- train --max-steps 1 --output-dir run1
LLM_MAX_STEPS=abc refuse 7.1.19 2 "environment LLM_MAX_STEPS: 'abc' is not a whole number" -- train --print-config
refuse 7.1.20 2 "refusing to listen on 0.0.0.0 without --api-key" "--insecure to allow" -- serve --host 0.0.0.0

# The same rules hold for the other verbs and for every kind of value.
refuse type 2 "--type: 'giant' is not supported; choose" -- create-config --type giant --output x.yaml
refuse bool 2 "--stream" -- generate --prompt a --stream=perhaps
refuse suffix 2 "--params: '30X' is not a" -- create-config --params 30X --output x.yaml
refuse suffix 2 "x.toml" -- create-config --type tiny --output x.toml
refuse both 2 "cannot be used together" -- create-config --type tiny --params 1M --output x.yaml
refuse value 2 "--temperature" -- generate --prompt a --temperature -1
refuse value 2 "--top-p" -- generate --prompt a --top-p 1.5
refuse value 2 "--max-tokens" -- generate --prompt a --max-tokens -5
refuse value 2 "--vocab-size" -- train-tokenizer --input x --vocab-size 0
accept bound -- train-tokenizer --character-coverage 0.98 --print-config
refuse value 2 "--model-type: 'wordpiece' is not supported; choose bpe, unigram, char, word" -- train-tokenizer --input x --model-type wordpiece
refuse value 2 "--val-fraction" -- prepare-data --input x --val-fraction 2
refuse value 2 "--precision: 'fp8' is not supported; choose" -- train --precision fp8
refuse value 2 "--optimizer-name: 'adam' is not supported; choose" -- train --optimizer-name adam
refuse value 2 "--lr-scheduler: 'cosin' is not supported; choose" -- train --lr-scheduler cosin
refuse value 2 "--objective: 'diffuse' is not supported; choose" -- train --objective diffuse
refuse "one process" 2 "--distributed.data_parallel_size: '2' must be between 1 and 1" -- train --distributed.data_parallel_size 2
refuse "one process" 2 "zero_offload_params needs data_parallel_size above 1" -- train --distributed.zero_offload_params true
refuse "one process" 2 "distributed_backend nccl needs several processes" -- train --distributed.distributed_backend nccl
refuse control 2 "--log-level: 'loud' is not supported; choose debug, info, warn, error" -- train --log-level loud
refuse nul 2 "unknown option" -- generate $'--\x01prompt' a
refuse long 2 "unknown option" -- generate "--$(printf 'x%.0s' {1..5000})" a

# Without a model the message says how to come by one.
refuse nomodel 3 "checkpoints" "pretrain" -- generate --prompt a
refuse nomodel 3 "nowhere" -- generate --model-path nowhere --prompt a
refuse nomodel 3 "nowhere" -- inspect --model-path nowhere

accept help -- --help
expect help "pretrain" out
accept help -- generate --help
expect help "--temperature" out
accept version -- --version
expect version "LibTorch" out
accept print-config -- train --lr 0.5 --print-config
expect print-config "learning_rate" out
finish
