#!/bin/bash
# llm inspect from outside: verified checkpoints, pictures, views of what is not there.
. "$(dirname "$0")/harness.sh"
cp -r "$TINY/run" run
step=run/step-00000004

accept verify -- inspect run --verify
expect verify "run/step-00000002: " out
expect verify "run/step-00000004: " out
expect verify "files, every one as it was saved" out
accept "verify one" -- inspect $step --verify
printf 'x' | dd of=$step/model.safetensors bs=1 seek=$(($(stat -c %s $step/model.safetensors) - 5)) conv=notrunc 2> /dev/null
refuse "a changed byte" 3 "step-00000004/model.safetensors is damaged (sha256 differs)" -- inspect $step --verify
accept "a changed byte starts" -- generate $step --prompt a --max-new-tokens 2
truncate -s -4 $step/tokenizer.model
for verb in "generate $step --prompt a" "inspect $step" "convert $step --output other"; do
  refuse "a size" 3 "step-00000004/tokenizer.model: " -- $verb
done
STDOUT=allowed refuse "of a run" 3 "step-00000004/model.safetensors is damaged (sha256 differs)" -- inspect run --verify
printf 'x' | dd of=run/step-00000002/config.json bs=1 seek=1 conv=notrunc 2> /dev/null
cp -r run three; cp -r "$TINY/run/step-00000004" three/step-00000005; sed -i 's/"step": 4/"step": 5/' three/step-00000005/manifest.json
STDOUT=allowed refuse "of a run: several" 3 "2 of the 3 checkpoints of 'three' did not pass; the first: step-00000002/config.json is damaged (sha256 differs)" -- inspect three --verify
same "of a run: each" <(sed -E 's/[0-9]+ files/N files/' .out) <(printf '%s\n' "three/step-00000002: step-00000002/config.json is damaged (sha256 differs)" \
  "three/step-00000004: step-00000004/model.safetensors is damaged (sha256 differs)" "three/step-00000005: N files, every one as it was saved")
refuse "no manifest" 3 "'run/final' has no manifest.json to be compared with" "RUN verifies all of a run's" -- inspect run/final --verify

accept plot -- inspect run --plot new/folder/loss.svg
expect plot "wrote new/folder/loss.svg" out
expect plot "<svg" new/folder/loss.svg
refuse suffix 2 "--plot: 'loss.png' is not supported; choose a file name that ends in .svg" -- inspect run --plot loss.png
refuse "empty plot" 2 "--plot: '' is not supported" -- inspect run --plot ""
refuse "empty text" 2 "--tokens: an empty value changes nothing; leave the flag out" -- inspect run --tokens ""
printf '{"step":5,"lo\n' >> run/metrics.jsonl
accept "a torn row" -- inspect run --plot torn.svg
for views in "--plot a.svg --verify" "--verify --tokens a" "--plot a.svg --tokens a"; do
  refuse "$views" 2 "--plot, --verify and --tokens show different things" "one at a time" -- inspect run $views
done
refuse "no text" 2 "--logits and --attention need a text: --tokens TEXT" -- inspect run --verify --logits 2
refuse "no text" 2 "--tokenizer-path is read with --tokens only" -- inspect run --tokenizer-path run/tokenizer.model
refuse twice 2 "--model-path given twice (a, then b)" -- inspect b --model-path a
refuse empty 2 "--model-path: must not be empty" -- inspect ""

# Weights that are not numbers have no likeliest token.
cp -r run/final nan
python3 - << END
import json, struct
with open("nan/model.safetensors", "r+b") as file:
    size = struct.unpack("<Q", file.read(8))[0]
    header = json.loads(file.read(size))
    name = next(n for n in header if "norm" in n)
    file.seek(8 + size + header[name]["data_offsets"][0])
    file.write(b"\xff" * 2 * (4 if header[name]["dtype"] == "F32" else 2))
END
refuse nan 5 "--logits: the model's logits hold values that are not a number" -- inspect nan --tokens abc --logits 2
finish
