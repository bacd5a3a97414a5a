#!/bin/bash
# Going back to an older checkpoint, on with another run's, and what config.yaml and the proposed command say afterwards.
. "$(dirname "$0")/harness.sh"
there() { holds "$1: $2" [ -e "$2" ]; }
gone() { holds "$1: no $2" [ ! -e "$2" ]; }
link() { holds "$1: $2 is $3" [ "$(readlink "$2")" = "$3" ]; }
weights() { same "$1" "$2/final/model.safetensors" "$3/final/model.safetensors"; }
train() { echo pretrain --config run/config.yaml --max-steps 8 --learning-rate 0.01; }

# What a run saved later than the checkpoint that it goes back to is another line, killed before the first new save or after it.
# shellcheck disable=SC2046
for kill_at in none 3 7; do
  rm -rf run; cp -r "$TINY/run" run
  command=(a rewind, killed at step $kill_at)
  if [ $kill_at != none ]; then
    run_program $(train) --output-dir run --resume-from-checkpoint run/step-00000002 --kill-at-step $kill_at
    holds "killed at $kill_at" [ -d run/step-00000004.abandoned ]
    accept "on from $kill_at" -- $(train) --output-dir run
    expect "on from $kill_at" "resumed from run/step-0000000$([ $kill_at = 3 ] && echo 2 || echo 6)" err
  else
    accept rewind -- $(train) --output-dir run --resume-from-checkpoint run/step-00000002
    expect rewind "step-00000004.abandoned: of a line that this run leaves" err
    cp -r run whole
  fi
  weights "killed at $kill_at" run whole
  same "rows at $kill_at" <(cut -d, -f1-6 run/metrics.csv) <(cut -d, -f1-6 whole/metrics.csv)
  link "killed at $kill_at" run/latest step-00000008
done
accept "the other line" -- generate --model-path run/step-00000004.abandoned --prompt a --max-new-tokens 2

# A second time; the names of the first stay.
# shellcheck disable=SC2046
accept again -- pretrain --config run/config.yaml --max-steps 4 --output-dir run --resume-from-checkpoint run/step-00000002
there again run/step-00000004.abandoned-2
there again run/step-00000006.abandoned
there again run/step-00000008.abandoned
gone again run/step-00000008
link again run/latest step-00000004

# What config.yaml says goes on with the run, from anywhere.
expect config "resume_from_checkpoint: auto" run/config.yaml
expect next "  llm pretrain --config run/config.yaml --output-dir run --max-steps 8" out
holds "next: no path in it" [ "$(grep -c -e --resume-from-checkpoint out)" = 0 ]
mkdir elsewhere; cd elsewhere || exit 1
accept elsewhere -- pretrain --config ../run/config.yaml --output-dir ../run --max-steps 6
expect elsewhere "resumed from ../run/step-00000004" err
cd ..

# Another run's checkpoint is the beginning, not what a later command goes on from.
accept other -- pretrain --config run/config.yaml --output-dir other --resume-from-checkpoint run/step-00000002 --max-steps 3 --reset-optimizer
expect other "resume_from_checkpoint: $PWD/run/step-00000002" other/config.yaml
expect other "--output-dir other --max-steps 6 --resume-from-checkpoint auto --reset-optimizer false" out
accept other -- pretrain --config other/config.yaml --output-dir other --max-steps 6 --resume-from-checkpoint auto --reset-optimizer false
expect other "resumed from other/step-00000003" err
there "the run that it came from" run/step-00000006

# What was meant once is over.
accept anew -- pretrain --config run/config.yaml --output-dir run --resume-from-checkpoint never --force --max-steps 2
expect anew "resume_from_checkpoint: auto" run/config.yaml
gone anew run/step-00000006.abandoned
accept anew -- pretrain --config run/config.yaml --output-dir run --max-steps 4
expect anew "resumed from run/step-00000002" err
accept "reset once" -- pretrain --config run/config.yaml --output-dir run --max-steps 5 --reset-optimizer
expect "reset once" "the optimizer starts anew" err
expect "reset once" "reset_optimizer: false" run/config.yaml

# A model that looks both ways writes nothing; what is proposed works.
accept both -- pretrain --config run/config.yaml --output-dir both --objective mlm --max-steps 2
expect both '  llm inspect both --tokens "Once" --logits 3' out
holds "both: no llm generate" [ "$(grep -c 'llm generate' out)" = 0 ]
accept both -- inspect both --tokens Once --logits 3

# What no machine holds is said before anything is allocated.
CHANGES=allowed refuse memory 2 "of memory" "makes a smaller model" -- pretrain --config run/config.yaml --output-dir large \
  --model.hidden_size 65536 --model.intermediate_size 262144 --model.num_hidden_layers 1000

finish
