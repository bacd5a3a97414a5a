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

mkdir sheets
for line in 'metrics.jsonl {"epoch": 1, "loss": 2.5}' 'run.json {"name": "run"}' 'run.lock locked by the backup of Monday'; do
  rm -rf sheets/*
  echo "${line#* }" > "sheets/${line%% *}"
  not_ours "another's ${line%% *}" sheets ""
  holds "another's ${line%% *}" [ "$(cat sheets/*)" = "${line#* }" ]
done

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

# --force alone removes what an earlier run left; without it nothing goes, whatever is left of that run.
sums() { (cd "$1" && find . -type f ! -name training.log ! -name run.lock -exec sha256sum {} + | sort); }
never=("${small[@]}" --resume-from-checkpoint never --output-dir)
kept() { sums "$1" > after.sums; same "$2" before.sums after.sums; }
copy_of_run f; rm -rf f/step-* f/latest f/best
sums f > before.sums
CHANGES=allowed refuse "a model is left, never" 2 "'f' holds a run already (final)" "--force removes it, another --output-dir leaves it alone" -- "${never[@]}" f
CHANGES=allowed refuse "a model is left" 2 "'f' holds a finished model (final) and no checkpoint to go on from" \
  "--resume-from-checkpoint never --force removes it and trains anew, another --output-dir leaves it alone" -- "${small[@]}" --output-dir f
CHANGES=allowed refuse "a model is left, a path" 2 "'f' holds a finished model (final)" -- "${small[@]:0:7}" --max-steps 6 --output-dir f --resume-from-checkpoint "$TINY/run/step-00000002"
kept f "a model is left"
accept "a model is left, force" -- "${never[@]}" f --force
holds "a model is left, force" [ "$(ls f/final/config.json f/step-00000002/manifest.json | wc -l)" = 2 ]
differ "a model is left, force" f/final/model.safetensors "$TINY/run/final/model.safetensors"
for left in metrics.jsonl metrics.csv skipped_steps.jsonl events.out.tfevents.1.host.1.0 run.json; do
  rm -rf left; mkdir left; echo "1 somewhere 10:02" > left/run.lock; echo '{}' > left/$left
  CHANGES=allowed refuse "$left is left" 2 "'left' holds a run already ($left)" "--force" -- "${never[@]}" left
  holds "$left is left" [ "$(cat left/$left)" = '{}' ]
done

# What somebody puts into the folder of a run that never begins stays with it.
(for _ in $(seq 1000); do [ -e begun/run.lock ] && break; sleep 0.01; done; echo thesis > begun/notes.txt) |
  "$PROGRAM" pretrain --config small.yaml --data-path - --tokenizer-path "$TINY/tokenizer.model" --output-dir begun > .out 2> .err
holds "no text came" [ "${PIPESTATUS[1]}" = 3 ]
holds "no text came" [ "$(cat begun/notes.txt)" = thesis ]
refuse "standard input twice" 2 "standard input is read once, and here twice" "--tokenizer-path" -- pretrain --config small.yaml --data-path - --output-dir twice
refuse "no text came, nor anything else" 3 "0 tokens" -- pretrain --config small.yaml --data-path - --tokenizer-path "$TINY/tokenizer.model" --output-dir not/even/begun/

# A tokenizer in another form than the run's own is not left under a name that the run's might have.
accept "another form" -- train-tokenizer --input "$TINY/text.txt" --model-type byte-bpe --vocab-size 300 --output bytes.json
copy_of_run t
accept "another form" -- "${small[@]:0:3}" --tokenizer-path bytes.json --data-path "$TINY/text.txt" --model.vocab_size 320 --max-steps 1 --output-dir t --resume-from-checkpoint never --force
holds "another form" [ ! -e t/tokenizer.model ]
same "another form is kept" t/tokenizer.model.old "$TINY/run/tokenizer.model"
same "another form is the run's" t/tokenizer.json t/final/tokenizer.json

# Others' files: beside the run's they stay, inside what would go they are named and nothing goes.
copy_of_run r
echo code > r/metrics.py; mkdir r/notes r/step-photos; echo remark > r/notes/a.txt; echo y > r/step-photos/1
printf '{"temperature": 0.4}' > r/generation_config.json
echo '{"steps": 1}' > r/metrics.jsonl.kept
accept "files beside" -- "${never[@]}" r --force
holds "files beside" [ "$(cat r/metrics.py r/notes/a.txt r/step-photos/1 r/generation_config.json.old r/metrics.jsonl.kept)" = 'code
remark
y
{"temperature": 0.4}{"steps": 1}' ]
holds "files of the run" [ "$(ls -d r/step-0*)" = r/step-00000002 ]
holds "rows of the run" [ "$(wc -l < r/metrics.jsonl)" -le 2 ]
for place in final/thesis.tex step-00000002/thesis.tex step-00000004/training_state/thesis.tex; do
  copy_of_run r
  echo chapter > r/$place
  sums r > before.sums
  CHANGES=allowed refuse "never, $place" 2 "'r' holds '$place', which no run wrote and this one would remove" "move it elsewhere" -- "${never[@]}" r --force
  kept r "never, $place"
done
copy_of_run r
echo chapter > r/final/thesis.tex
sums r > before.sums
CHANGES=allowed refuse "going on" 2 "'r' holds 'final/thesis.tex', which no run wrote" -- "${going_on[@]}" --output-dir r --max-steps 6
kept r "going on"
for name in best latest; do
  copy_of_run r
  rm -f r/$name; mkdir r/$name; echo b > r/$name/x
  sums r > before.sums
  CHANGES=allowed refuse "a folder $name" 2 "'r' holds '$name', which no run wrote" -- "${never[@]}" r --force
  CHANGES=allowed refuse "a folder $name, auto" 2 "'r' holds '$name', which no run wrote" -- "${going_on[@]}" --output-dir r --max-steps 6
  kept r "a folder $name"
done

# What would overwrite the config that the command reads leaves it until the new run begins.
copy_of_run r
CHANGES=allowed refuse "force, then failed" 3 "gone.model" -- pretrain --config r/config.yaml --output-dir r --resume-from-checkpoint never --force --tokenizer-path gone.model
same "force, then failed" r/config.yaml "$TINY/run/config.yaml"
finish
