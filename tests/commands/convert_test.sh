#!/bin/bash
# llm convert, verify-export and inspect from outside: every container and number format says the same, what does not is refused.
. "$(dirname "$0")/harness.sh"
run=$TINY/run
fixtures=$SOURCES/tests/fixtures/hf

number() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$2"; }
below() {  # claim, value, bound
  rows=$((rows + 1))
  awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && a + 0 <= b + 0) }' || { command=("(figure $2)"); wrong "$1" "$2 is not at most $3"; }
}
proved() {  # claim, model, its other form, largest deviation
  accept "$1" -- verify-export "$2" "$3" --json
  expect "$1: ids are equal" "\"token_ids_compared\": $5" out
  below "$1: logits are equal" "$(number deviation out)" "$4"
}

# To a directory and to GGUF, in every number format.
accept "a run becomes a directory" -- convert "$run" --output hf
expect "what was written is said" "wrote hf: " out
proved "float32 is exact" "$run" hf 0 true
for file in config.json generation_config.json model.safetensors tokenizer.model; do
  rows=$((rows + 1)); [ -s hf/$file ] || { command=("(hf/$file)"); wrong "the directory is whole" "$file is missing"; }
done
accept "bf16" -- convert hf --output bf16 --type bf16;  proved "bf16 within its rounding" hf bf16 0.05 true
accept "f16" -- convert hf --output f16 --type f16;     proved "f16 within its rounding" hf f16 0.01 true
accept "f32 from bf16" -- convert bf16 --output f32 --type f32; proved "widening is exact" bf16 f32 0 true
accept "shards" -- convert hf --output shards --max-shard-size 40KB; proved "shards are exact" hf shards 0 true
rows=$((rows + 1)); [ -s shards/model.safetensors.index.json ] || wrong "--max-shard-size" "an index is due"
for shard in shards/*.safetensors; do below "no shard is above the limit" "$(stat -c %s "$shard")" 42000; done
for type in f32 bf16 f16 q8_0 q4_0; do
  accept "GGUF $type" -- convert hf --output $type.gguf --type $type
  case $type in f32) most=1e-6 ;; q4_0) most=0.5 ;; *) most=0.05 ;; esac
  proved "GGUF $type says the same" hf $type.gguf $most true
done
accept "and back" -- convert f32.gguf --output back; proved "from GGUF to a directory" hf back 1e-6 true
accept "greedy of the run" -- generate "$run" --prompt "Line 7: the cat" --max-tokens 12 --temperature 0; cp out first
for form in hf shards f32.gguf back; do
  accept "greedy of $form" -- generate $form --prompt "Line 7: the cat" --max-tokens 12 --temperature 0
  rows=$((rows + 1)); cmp -s first out || wrong "the same answer from $form" "it differs"
done
for family in gemma3 gpt2 qwen3_moe phi3_longrope; do
  accept "$family in" -- convert $fixtures/$family --output $family --type f32
  proved "$family is the same in float32" $fixtures/$family $family 0 false
  expect "$family keeps its name" "$(grep '"model_type"' $fixtures/$family/config.json | tr -d ' ,')" <(tr -d ' ,' < $family/config.json)
done

# Ended at any moment, it leaves the whole output or nothing; a killed one's remains go with the next.
mkdir -p ended/.hf.0.tmp-999999999
: > ended/.m.gguf.0.tmp-999999999
for delay in 0.02 0.1 0.2 0.3 0.4 0.5; do
  for output in hf m.gguf new/hf; do
    "$PROGRAM" convert "$run" --output ended/$output --overwrite > .ended.out 2>&1 & process=$!
    sleep $delay; kill -INT $process 2> .kill; wait $process; code=$?
    rows=$((rows + 1)); command=("(SIGINT after $delay s)")
    [ $code = 0 ] || holds "no folder of an interrupted convert" [ ! -e ended/new ]
    rm -rf ended/new
    case $code in 0 | 130) ;; *) wrong "an interrupted convert" "exit $code: $(cat .ended.out)" ;; esac
  done
done
accept "after the interrupted ones" -- convert "$run" --output ended/hf --overwrite
accept "after the interrupted ones, GGUF" -- convert "$run" --output ended/m.gguf --overwrite
ls -A ended > listed; printf "hf\nm.gguf\n" > wanted; same "nothing of them is left" listed wanted

# What does not say the same is refused loudly.
cp -r hf broken; printf '\x40\x41' | dd of=broken/model.safetensors bs=1 seek=$(($(stat -c %s hf/model.safetensors) - 4098)) conv=notrunc 2> .dd
STDOUT=allowed refuse "weights that differ" 3 "does not say what 'hf' says: its logits deviate" "the weights or the config were not exported" -- verify-export hf broken
run_program train-tokenizer --input "$TINY/text.txt" --output other.model --vocab-size 320 --model-type unigram
cp -r hf nan; printf '\377%.0s' {1..32} | dd of=nan/model.safetensors bs=1 seek=$(($(stat -c %s hf/model.safetensors) - 400)) conv=notrunc 2> .dd
refuse "NaN in the export" 3 "'nan' computes logits that are not finite numbers (text 1)" -- verify-export hf nan
refuse "NaN in the model" 3 "'nan' computes logits that are not finite numbers (text 1)" -- verify-export nan hf
refuse "NaN in both" 3 "'nan' computes logits that are not finite numbers (text 1)" -- verify-export nan nan
cp -r hf foreign; cp other.model foreign/tokenizer.model
refuse "a tokenizer that differs" 3 "is cut differently at token" "the tokenizer was not exported" -- verify-export hf foreign
refuse "models of two sizes" 3 "'hf' has 320 logits per token, '$fixtures/gpt2' has 96" -- verify-export $fixtures/gpt2 hf
refuse "one model" 2 "verify-export takes two models, was given 1" -- verify-export hf

# Outputs that are in the way, requests that cannot be met.
refuse "no output" 2 "--output" -- convert hf
refuse "output exists" 2 "'bf16' exists and is not empty" "choose another, or --overwrite" -- convert hf --output bf16
refuse "output file exists" 2 "'f32.gguf' exists" -- convert hf --output f32.gguf
refuse "not a model" 2 "is not a model directory" -- convert hf --output . --overwrite
refuse "itself" 2 "is the model itself" -- convert hf --output hf --overwrite
refuse "blocks in a directory" 2 "only a .gguf file holds blocks" -- convert hf --output x --type q8_0
refuse "unknown type" 2 "--type: 'q5_k' is not" -- convert hf --output x --type q5_k
refuse "shard size" 2 "--max-shard-size" -- convert hf --output x --max-shard-size 0
refuse "no such model" 3 "nowhere" -- convert nowhere --output x
accept "overwriting a model" -- convert hf --output bf16 --type f16 --overwrite; proved "the new one is there" f16 bf16 0 true

# inspect
accept "inspect" -- inspect f32.gguf
expect "the shape" "2 layers, hidden 32, 2 heads" out
expect "the table" "model.layers.1.mlp.down_proj.weight" out
accept "inspect tokens" -- inspect hf --tokens "Line 7"
expect "bytes and tokens are counted" "6 bytes, " out
accept "inspect logits" -- inspect hf --tokens "Line 7" --logits 2
expect "likelihoods" "%" out
accept "inspect attention" -- inspect hf --tokens "Line 7" --attention 1 --head 0
expect "the first token looks at itself" "100" out
refuse "no such layer" 2 "the model has layers 0 to 1" -- inspect hf --tokens a --attention 2
refuse "logits of nothing" 2 "need a text: --tokens TEXT" -- inspect hf --logits 2
finish
