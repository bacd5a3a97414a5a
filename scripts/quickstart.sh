#!/bin/bash
# From a fresh Debian or Ubuntu machine to a language model that was trained here and writes text: set-up, build, then the main
# job on the built-in story corpus. Everything it makes lies under build/. Running it again keeps what is done. usage: quickstart.sh
set -e -o pipefail
. "$(dirname "$0")/setup.sh"

set_up
build llm

llm=build/bin/llm
config=build/quickstart.yaml
run=build/quickstart
report=$run/report.txt
start=$SECONDS
if [ -e "$report" ]; then
  say "Already trained: $run (delete that folder to train again)"
else
  say "$llm create-config --type mini --output $config"
  "$llm" create-config --type mini --output "$config"
  say "$llm pretrain --config $config --output-dir $run"
  "$llm" pretrain --config "$config" --output-dir "$run" > "$build_dir/report.txt"
  mv "$build_dir/report.txt" "$report"
fi
training_seconds=$((SECONDS - start))
say "$llm generate --model-path $run --prompt 'Once' --max-tokens 120 --seed 7"
"$llm" generate --model-path "$run" --prompt "Once" --max-tokens 120 --seed 7

echo
grep -E '^(Trained|Validation|Exact)' "$report"
cat << END

  the program        $llm
  the model          $run/final/        config.json, model.safetensors, tokenizer.model
  how it got there   $run/              config.yaml, metrics.jsonl, training.log, run.json
  seconds            set-up $setup_seconds, build $build_seconds, training $training_seconds

Three commands to try next:
  $llm generate --model-path $run --prompt "Once" --temperature 0.5 --seed 8 --stream
  $llm inspect $run --plot build/loss.svg
  $llm resume-check --config $config --steps 20
END
