#!/bin/bash
# A run that ended between its last step and what follows it, and one whose batches changed on the way.
. "$(dirname "$0")/harness.sh"
copy_of_run() { rm -rf "$1"; cp -a "$TINY/run" "$1"; }
going_on=(pretrain --config "$TINY/run/config.yaml")

# Killed before its final model was whole: the same command makes it, without another step.
copy_of_run r
rm -rf r/final
accept "no final model" -- "${going_on[@]}" --output-dir r
same "no final model" r/final/model.safetensors "$TINY/run/final/model.safetensors"
same "no final model: no more rows" r/metrics.csv "$TINY/run/metrics.csv"
expect "no final model" '"result": "finished"' r/run.json
CHANGES=allowed refuse "with its final model" 3 "already at step 4 of 4" "raise --max-steps" -- "${going_on[@]}" --output-dir r
CHANGES=allowed refuse "another's checkpoint" 3 "already at step 4 of 4" -- "${going_on[@]}" --output-dir other --resume-from-checkpoint r/step-00000004

# Killed before run.json said so, or with a full disk then: the same command says it, and what it says is the same.
long=(pretrain --config "$TINY/config.yaml" --data-path "$TINY/text.txt" --val-fraction 0.2 --tokenizer-path "$TINY/tokenizer.model" --output-dir l
  --max-seq-length 16 --eval-length-factor 2)
record() { grep -vE '"(started|finished|resumed_from|config_sha256)"' "$1/run.json"; }
accept "its record" -- "${long[@]}"
holds "its record" [ "$(grep -cE '"(loss|val_loss|val_long_loss)": [0-9.]+' l/run.json)" = 4 ]
cp -a l whole
for result in running failed no-record; do
  rm -rf l; cp -a whole l
  sed -i -E "s/\"result\": \"finished\"/\"result\": \"$result\"/; s/\"steps\": 4/\"steps\": 0/; s/(loss\": )[0-9.]+/\1null/" l/run.json
  [ $result = no-record ] && printf '{' > l/run.json
  accept "recorded as $result" -- "${long[@]}"
  same "recorded as $result" <(record l) <(record whole)
  same "recorded as $result" l/final/model.safetensors whole/final/model.safetensors
  CHANGES=allowed refuse "recorded" 3 "already at step 4 of 4" -- "${long[@]}"
done
rm -rf l/final
accept "its record and its model" -- "${long[@]}"
same "its record and its model" <(record l) <(record whole)
rm l/run.json
CHANGES=allowed refuse "a record that somebody removed" 3 "already at step 4 of 4" -- "${long[@]}"

# Half of a final model is none.
for half in model.safetensors config.json; do
  copy_of_run r
  rm r/final/$half
  accept "final without $half" -- "${going_on[@]}" --output-dir r
  same "final without $half" <(ls r/final) <(ls "$TINY/run/final")
  same "final without $half" r/final/model.safetensors "$TINY/run/final/model.safetensors"
  rm r/final/$half
  run_program "${going_on[@]}" --output-dir r --resume-from-checkpoint never --force --kill-at-step 1
  holds "final without $half, anew" [ ! -e r/final ]
done

# The model of a shorter run goes at once: what ends the removal on the way leaves no half of it.
if permissions_hold; then
  copy_of_run r
  mkdir r/final/training_state
  touch r/final/training_state/state.json
  chmod 555 r/final/training_state
  CHANGES=allowed refuse "a final model that stays" 4 "cannot remove" -- "${going_on[@]}" --output-dir r --max-steps 6
  holds "a final model that stays" [ ! -e r/final ]
  chmod -R u+w r
  accept "a final model that stays, again" -- "${going_on[@]}" --output-dir r
  same "a final model that stays, again" r/final/model.safetensors "$TINY/run/final/model.safetensors"
  holds "a final model that stays, again" [ -z "$(find r -name '.*tmp*')" ]
fi
done_with_permissions

# Killed between its best checkpoint and the link to it.
seq 400 | sed 's/.*/line & of a text/' > text.txt
validating=(pretrain --config "$TINY/config.yaml" --data-path text.txt --val-fraction 0.2 --tokenizer-path "$TINY/tokenizer.model")
accept best -- "${validating[@]}" --output-dir b
best=$(readlink b/best)
holds "best is the last" [ "$best" = step-00000004 ]
rm b/best
accept "best again" -- "${validating[@]}" --output-dir b --max-steps 5 --optimizer.learning_rate 1e-30
holds "best again" [ "$(readlink b/best)" = "$best" ]

# An old checkpoint that cannot be removed is a warning, and so is what is left of it.
if permissions_hold; then
  copy_of_run r
  chmod 555 r/step-00000002/training_state
  accept "an old checkpoint that stays" -- "${going_on[@]}" --output-dir r --keep-last 1 --max-steps 5
  expect "an old checkpoint that stays" "warning: could not clear step-00000002 away: cannot remove 'r/.step-00000002." err
  accept "its leftovers" -- "${going_on[@]}" --output-dir r --keep-last 1 --max-steps 6
  expect "its leftovers" "warning: cannot remove 'r/.step-00000002." err
  chmod -R u+w r
  accept "its leftovers go" -- "${going_on[@]}" --output-dir r --keep-last 1 --max-steps 7
  holds "its leftovers go" [ -z "$(find r -name '.*tmp*')" ]
fi
done_with_permissions

# Killed between its last checkpoint, and what it is called and makes superfluous.
copy_of_run r
rm -rf r/final
ln -sfn step-00000002 r/latest
accept "the newest by its run" -- "${going_on[@]}" --output-dir other --resume-from-checkpoint r --max-steps 5
expect "the newest by its run" "resumed from r/step-00000004" err
accept "the newest by its run, a model" -- generate r --prompt Line --max-tokens 2 --log-level info
expect "the newest by its run, a model" "model r/step-00000004" err
accept "no link" -- "${going_on[@]}" --output-dir r --keep-last 1
holds "no link: latest" [ "$(readlink r/latest)" = step-00000004 ]
holds "no link: keep_last" [ ! -e r/step-00000002 ]

# An epoch is an epoch: batches of another size on the way leave no row out and take none twice.
epochs=("${validating[@]}" --output-dir e --learning-rate 0.001)
sed 's/max_steps: 4, //' "$TINY/config.yaml" > epochs.yaml
epochs[2]=epochs.yaml
"$PROGRAM" "${epochs[@]}" --epochs 1 --batch-size 1 --kill-at-step 4 > /dev/null 2>&1
accept "an epoch" -- "${epochs[@]}" --epochs 1 --batch-size 7
epoch=$(sed -n 's/.*"epoch":\([0-9.]*\).*/\1/p' e/metrics.jsonl | tail -1)
holds "an epoch: $epoch" python3 -c "import sys; sys.exit(not 1 <= $epoch < 1.1)"
CHANGES=allowed refuse "no second epoch" 3 "already at step" "(or --epochs)" -- "${epochs[@]}" --epochs 1 --batch-size 7

# What the run began from stays what it began from, named again or not.
copy_of_run s
CHANGES=allowed refuse "began from scratch" 3 "the run began from scratch, checkpoint.model_path is '" "another --output-dir" -- "${going_on[@]}" --output-dir s --max-steps 5 --model-path "$TINY/run/step-00000002"
begins=(pretrain --config "$TINY/config.yaml" --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --output-dir f)
accept "from a model" -- "${begins[@]}" --model-path "$TINY/run" --max-steps 2
accept "from a model, not named again" -- "${begins[@]}" --max-steps 3
expect "from a model, not named again" "model_path: $TINY/run" f/config.yaml
cp -a "$TINY/run" moved
accept "from a model, moved" -- "${begins[@]}" --model-path moved --max-steps 4
expect "from a model, moved" "checkpoint.model_path changed from $TINY/run to $PWD/moved" err
rm -r moved
accept "from a model, gone" -- "${begins[@]}" --max-steps 5
expect "from a model, gone" "warning: the run began from '$PWD/moved', which is not there" err
finish
