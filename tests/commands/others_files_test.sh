#!/bin/bash
# What others put where a run writes: it is neither overwritten nor deleted, and a folder that is no run's is refused as it is found
# (reliability 7.1.17, T5).
. "$(dirname "$0")/harness.sh"
cp "$TINY/config.yaml" small.yaml
small=(pretrain --config small.yaml --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --max-steps 2)
not_ours() { refuse "$1" 2 "'$2' exists and is not a training run$3" "choose another --output-dir" -- "${small[@]}" --output-dir "$2"; }
copy_of_run() { rm -rf "$1"; cp -a "$TINY/run" "$1"; }
going_on=(pretrain --config "$TINY/run/config.yaml")

# A model directory, also one that a run was started in.
cp -a "$TINY/run/final" model
echo '{"eos_token_id": 2, "temperature": 0.6}' > model/generation_config.json
not_ours "a model" model " but a model ('config.json')"
holds "a model's own settings" [ "$(cat model/generation_config.json)" = '{"eos_token_id": 2, "temperature": 0.6}' ]
cp "$TINY"/run/run.json model
not_ours "a run in a model" model " but a model ('config.json')"
mkdir weights; echo x > weights/part.safetensors
not_ours "weights" weights " but a model ('part.safetensors')"
copy_of_run r
not_ours "a checkpoint" r/step-00000004 " but a model ('config.json')"
not_ours "a final model" r/final " but a model ('config.json')"

# Names that others use as well.
mkdir -p project/data thesis
(echo "# precious remarks"; cat small.yaml) > project/config.yaml
echo "run 17: good" > project/training.log
cp project/config.yaml before.yaml
not_ours "a config" project ": a run would overwrite its config.yaml"
command=(cd project, --config config.yaml --output-dir .)
(cd project && "$PROGRAM" "${small[@]:0:1}" --config config.yaml "${small[@]:3}" --output-dir . > ../here.out 2> ../here.err)
holds "the config of the command: exit status" [ $? = 2 ]
expect "the config of the command" "llm: error: '.' exists and is not a training run: a run would overwrite its config.yaml" here.err
same "the config of the command" before.yaml project/config.yaml
holds "nothing was added" [ "$(ls project | tr '\n' ' ')" = "config.yaml data training.log " ]
echo chapter > thesis/thesis.txt; echo '{}' > thesis/tokenizer.json; mkdir thesis/step-00000001; echo x > thesis/step-00000001/photo
not_ours "a thesis" thesis ""

# A run that ended at any moment is one: with its lock alone, or with the line that says why it failed.
mkdir lock empty json
echo "1 somewhere 10:02" > lock/run.lock
accept "a lock" -- "${small[@]}" --output-dir lock
for folder in empty json; do
  format=text; if [ $folder = json ]; then format=json; fi
  "$PROGRAM" "${small[@]}" --output-dir $folder --log-format $format --model.vocab_size 100 > .out 2> .err
  holds "a run that failed: exit status" [ $? = 2 ]
  holds "a run that failed leaves its log" [ "$(ls $folder | grep -E '^(run|training|metrics)\.')" = training.log ]
  accept "after a run that failed" -- "${small[@]}" --output-dir $folder
done
"$PROGRAM" "${small[@]}" --output-dir killed > /dev/null 2>&1 &
pid=$!
for _ in $(seq 2000); do if [ -e killed/run.lock ]; then break; fi; sleep 0.002; done
kill -9 $pid
wait $pid 2> /dev/null
CHANGES=allowed refuse "killed, then failed" 2 "model.vocab_size 100" -- "${small[@]}" --output-dir killed --model.vocab_size 100
accept "killed, failed, and again" -- "${small[@]}" --output-dir killed

# generation_config.json of the run is the run's, another one stays under another name.
copy_of_run r
accept own -- "${going_on[@]}" --output-dir r --max-steps 5 --generation.temperature 0.5
accept "own, changed" -- "${going_on[@]}" --output-dir r --max-steps 6 --generation.temperature 0.7
expect own '"temperature": 0.7' r/generation_config.json
holds "own: no other name" [ ! -e r/generation_config.json.old ]
for number in "" -2; do
  echo "{\"temperature\": 0.1$number}" > r/generation_config.json
  accept "another's" -- "${going_on[@]}" --output-dir r --max-steps $((7 + ${#number}))
  expect "another's" "warning: 'r/generation_config.json' is in no model of this run and is kept as generation_config.json.old$number" err
  expect "another's" "{\"temperature\": 0.1$number}" r/generation_config.json.old$number
done
finish
