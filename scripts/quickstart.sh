#!/bin/bash
# From a fresh Debian or Ubuntu machine to a language model that was trained here and writes text: set-up, build, then the main
# job on the built-in story corpus. Everything it makes lies under build/. Running it again keeps what is done; usage: quickstart.sh
set -e -o pipefail
. "$(dirname "$0")/setup.sh"

set_up
build llm

llm=build/bin/llm
run=build/quickstart
config=build/quickstart.yaml
start=$SECONDS
say "$llm create-config --type mini --output $config"
"$llm" create-config --type mini --output "$config"
if [ -e "$run/final/model.safetensors" ]; then
  say "Already trained: $run (delete that folder to train again)"
else
  say "$llm pretrain --config $config --output-dir $run"
  "$llm" pretrain --config "$config" --output-dir "$run"
fi
training_seconds=$((SECONDS - start))
say "$llm generate --model-path $run --prompt 'Once' --max-tokens 120 --seed 7"
"$llm" generate --model-path "$run" --prompt "Once" --max-tokens 120 --seed 7

# A number out of run.json, to four decimals.
fact() { grep -oE "\"$1\": *[-0-9.e+]+" "$run/run.json" | tail -1 | sed -E 's/.*: *//' | xargs -r printf '%.4f'; }
cat << END

Validation loss $(fact val_loss) nats per token; the exact entropy of the corpus is $(fact corpus_entropy): no model can go below it.

  the program        $llm
  the model          $run/final/        config.json, model.safetensors, tokenizer.model
  how it got there   $run/config.yaml, metrics.jsonl, training.log, run.json
  seconds            set-up $setup_seconds, build $build_seconds, training $training_seconds

Three commands to try next:
  $llm generate --model-path $run --prompt "Once" --temperature 0.5 --seed 8 --stream
  $llm inspect $run --plot build/loss.svg
  $llm resume-check --config config/mini.yaml --steps 20
END
