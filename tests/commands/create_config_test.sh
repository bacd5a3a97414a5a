#!/bin/bash
# llm create-config from outside: its files are the ones in config/, every shipped file loads, sizes and refusals.
. "$(dirname "$0")/harness.sh"

for preset in mini tiny small base large xl; do
  accept "$preset" -- create-config --type $preset --output $preset.yaml
  cmp -s $preset.yaml "$SOURCES/config/$preset.yaml" || wrong "$preset" "config/$preset.yaml is not what create-config writes: $(diff $preset.yaml "$SOURCES/config/$preset.yaml" | head -3 | tr '\n' ' ')"
done
# Sizes that are promised (features B3): layers, width, heads, feed-forward width, context.
while read -r preset layers width heads inner context; do
  for pair in num_hidden_layers:$layers hidden_size:$width num_attention_heads:$heads intermediate_size:$inner max_position_embeddings:$context vocab_size:32000; do
    rows=$((rows + 1)); grep -qxE "  ${pair%:*}: ${pair#*:}( .*)?" $preset.yaml || wrong "$preset ${pair%:*}" "it is not ${pair#*:}"
  done
done << END
tiny 8 512 8 1024 512
small 12 1024 16 2048 1024
base 24 2048 16 5504 2048
large 32 2560 32 6912 4096
xl 64 4096 32 11008 4096
END

# The smallest preset learns on a laptop (feature D2): thirty of its steps, on fewer rows and stories.
accept "mini learns" -- pretrain --config mini.yaml --max-steps 30 --warmup-steps 5 --batch-size 4 --threads 1 --logging.logging_steps 1 --data.synthetic_stories 1000 --output-dir learning
loss_of() { sed -E "$1s/.*\"loss\":([0-9.]+).*/\1/;$1!d" learning/metrics.jsonl; }
rows=$((rows + 1)); awk -v first="$(loss_of 1)" -v last="$(loss_of '$')" 'BEGIN { exit !(first > 5.5 && last < first - 1.5) }' || wrong "mini learns" "the loss went from $(loss_of 1) to $(loss_of '$')"

accept default -- create-config
cmp -s config/default_config.json "$SOURCES/config/default_config.json" || wrong default "config/default_config.json is not what create-config writes"
expect default-type "Wrote config/default_config.json: 1.3" out
accept tiny-count -- create-config --type tiny --output tiny.json
expect tiny-count "(53,748,224)" out

accept "a preset printed" -- create-config --type mini --print-config --optimizer.learning_rate 0.5 --output printed.yaml
expect "the preset's shape" "model.hidden_size = 128" out
expect "and what was asked for" "optimizer.learning_rate = 0.5" out
holds "nothing was written" [ ! -e printed.yaml ]

# The two formats say the same.
accept as-yaml -- pretrain --config tiny.yaml --print-config
sed 's/ *#.*//' out > from_yaml
accept as-json -- pretrain --config tiny.json --print-config
sed 's/ *#.*//' out > from_json
cmp -s from_yaml from_json || wrong formats "YAML and JSON differ"
expect tiny-layers "model.num_hidden_layers = 8" from_json
expect tiny-ffn "model.intermediate_size = 1024" from_json

for shipped in "$SOURCES"/config/*; do
  accept "loads $(basename "$shipped")" -- pretrain --config "$shipped" --print-config
done
big="$SOURCES/config/30b.json"
accept 30b -- pretrain --config "$big" --print-config
for line in "training.batch_size = 2" "training.gradient_accumulation_steps = 8" "training.max_steps = 100000" "optimizer.learning_rate = 1.0e-04" \
            "optimizer.weight_decay = 0.1" "optimizer.betas = [0.9, 0.95]" "scheduler.warmup_steps = 2000" "generation.temperature = 0.8" \
            "generation.top_k = 50" "generation.top_p = 0.95" "generation.repetition_penalty = 1.1" "generation.max_new_tokens = 512"; do
  expect 30b "$line" out
done

for params in 300k 1M 30M 350M 7G; do
  accept "params $params" -- create-config --params $params --output p$params.yaml
  accept "params $params loads" -- pretrain --config p$params.yaml --print-config
done
accept override -- create-config --type mini --model.hidden_size 64 --optimizer.learning_rate 0.002 --output o.json
expect override '"hidden_size": 64' o.json
expect override '"learning_rate": 0.002' o.json
accept "a config as the beginning" -- create-config --config o.json --type mini --output o2.yaml
expect "its keys hold" 'hidden_size: 64' o2.yaml
for verb in "train-tokenizer --input o.json" "prepare-data --input o.json --tokenizer-path x" "inspect x" "download x/y" "generate x" "chat x" "api x"; do
  accept "the config of a run: $verb" -- $verb --config o2.yaml --print-config
done

# What a preset says of its warm-up gives way; what the caller says of it does not.
accept "a short run" -- create-config --type mini --training.max_steps 10 --output short.yaml
expect "a short run" 'warmup_steps: 1' short.yaml
refuse "a short run" 2 "scheduler.warmup_steps (40) exceeds training.max_steps (10)" -- \
  create-config --type mini --training.max_steps 10 --scheduler.warmup_steps 40 --output x.yaml
# A config may be for another machine.
accept "another device" -- create-config --type mini --device cuda:3 --output cuda.yaml
expect "another device" 'device: "cuda:3"' cuda.yaml
# The shipped recipe is written by this program, its own lines at the top aside.
accept recipe -- create-config --config "$SOURCES/config/shakespeare_char.yaml" --type mini --output recipe.yaml
same recipe <(sed '/^#/d;1,/^device/{/^$/d}' recipe.yaml) <(sed '/^#/d;1,/^device/{/^$/d}' "$SOURCES/config/shakespeare_char.yaml")

refuse type 2 "--type: 'bse' is not supported; choose mini, tiny, small, base, large, xl" "did you mean 'base'" -- create-config --type bse --output x.json
refuse suffix 2 "--output: 'x.toml' must end in .json, .yaml or .yml" -- create-config --output x.toml
refuse both 2 "--params and --type cannot be used together" -- create-config --params 1M --type tiny --output x.json
refuse too-small 2 "--params: '1000' must be between 100000 and 1000000000000" -- create-config --params 1000 --output x.json
refuse contradiction 2 "model.hidden_size (100) must be divisible by model.num_attention_heads (8)" -- create-config --type tiny --model.hidden_size 100 --output x.json

# A key without effect is refused, one of the preset's that a change leaves so goes back to its usual value.
refuse "no effect" 2 "optimizer.nesterov (true) has no effect with optimizer.name adamw" "sgd reads it; leave it out" -- \
  create-config --type tiny --optimizer.nesterov true --output x.json
: > a.txt; : > b.txt
accept "a list" -- create-config --type mini --generation.stop_strings "X, Y" Z --data.path a.txt b.txt --output list.yaml
expect "a list" 'stop_strings: ["X, Y", Z]' list.yaml
expect "a list of names" 'path: [a.txt, b.txt]' list.yaml
accept "another optimizer" -- create-config --type mini --optimizer.name sgd --data.path a.txt --output sgd.yaml
expect "another optimizer" 'betas: [0.9, 0.95]' sgd.yaml
expect "other data" 'synthetic_stories: 20000' sgd.yaml
for change in "" "--optimizer-name lion" "--lr-scheduler constant" "--objective mlm" "--data-path $SOURCES/README.md" "--tokenizer-path x" "--max-steps auto --epochs 2"; do
  for shipped in mini.yaml sgd.yaml "$SOURCES/config/shakespeare_char.yaml" "$big"; do
    accept "$(basename "$shipped") $change" -- pretrain --config "$shipped" $change --print-config
  done
done
refuse folder 4 "cannot" -- create-config --output /proc/nowhere/x.json
finish
