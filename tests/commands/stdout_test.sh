#!/bin/bash
# Reliability T32: every verb with its output closed early, on a full disk or without stdin: no crash, and never success where output was lost.
. "$(dirname "$0")/harness.sh"
cp -r "$TINY" tiny
verbs=(
  "--version" "--help" "completion bash" "completion zsh" "completion fish" "download --help"
  "create-config --type tiny --output c.json"
  "train-tokenizer --input tiny/text.txt --output t.model --vocab-size 320"
  "prepare-data --input tiny/text.txt --tokenizer-path tiny/tokenizer.model --output out/data"
  "prepare-data --info tiny/data" "prepare-data --verify tiny/data"
  "pretrain --config tiny/config.yaml --data-path tiny/data --tokenizer-path tiny/tokenizer.model --output-dir out/run"
  "finetune --model-path tiny/run --data-path tiny/text.txt --output-dir out/tuned --max-steps 1"
  "pretrain --print-config"
  "generate --model-path tiny/run --prompt cat --max-tokens 5 --seed 1" "generate --model-path tiny/run --prompt cat --max-tokens 5 --seed 1 --stream"
  "generate --model-path tiny/run --prompt cat --max-tokens 5 --seed 1 --json"
  "inspect --model-path tiny/run" "inspect tiny/run --tokens cat" "inspect tiny/run --plot out.svg"
  "resume-check --config tiny/config.yaml --data-path tiny/data --tokenizer-path tiny/tokenizer.model --steps 2"
  "convert tiny/run --output out" "convert tiny/run --output out.gguf" "verify-export tiny/run tiny/run"
  "chat tiny/run --prompt cat --max-tokens 5 --seed 1" "chat tiny/run --seed 1" "api tiny/run --print-config")
for verb in "${verbs[@]}"; do
  read -r -a command <<< "$verb"
  rows=$((rows + 3))
  rm -rf out out.gguf
  timeout 60 "$PROGRAM" "${command[@]}" > .out 2> .err < /dev/null
  status=$?
  if [ $status != 0 ]; then wrong "$verb" "exit status $status"; continue; fi
  prints=$(stat -c %s .out)
  rm -rf out out.gguf
  timeout 60 "$PROGRAM" "${command[@]}" > /dev/full 2> .err < /dev/null
  status=$?
  if [ "$prints" -gt 0 ] && [ $status != 4 ]; then wrong "$verb > /dev/full" "exit status $status, not 4"; fi
  if [ "$prints" = 0 ] && [ $status != 0 ]; then wrong "$verb > /dev/full" "exit status $status though it prints nothing"; fi
  rm -rf out out.gguf
  timeout 60 "$PROGRAM" "${command[@]}" 2> .err < /dev/null | head -1 > /dev/null
  status=${PIPESTATUS[0]}
  case $status in 0 | 4 | 141) ;; *) wrong "$verb | head -1" "exit status $status" ;; esac
  rm -rf out out.gguf
  timeout 60 "$PROGRAM" "${command[@]}" > .out 2> .err <&-
  status=$?
  if [ $status != 0 ]; then wrong "$verb <&-" "exit status $status"; fi
done
finish
