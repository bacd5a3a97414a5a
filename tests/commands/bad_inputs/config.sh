#!/bin/bash
# Wrong config files: file, line, column and key.
. "$(dirname "$0")/../harness.sh"

given() { printf '%b' "$2" > "$1"; }
print() { echo train --config "$1" --print-config; }
# shellcheck disable=SC2046  # words are meant
refuse_config() {  # row, file text, message, hint
  given c.yaml "$2"
  refuse "$1" 2 "$3" ${4:+"$4"} -- $(print c.yaml)
}

refuse_config 7.2.1 'model:\n\thidden_size: 64\n' 'c.yaml:2:1: tabs cannot indent YAML; use spaces'
refuse_config 7.2.2 'model:\n  hidden_size: twelve\n' "c.yaml:2:16: model.hidden_size: expected a whole number, got 'twelve'"
refuse_config 7.2.3 'model:\n  hiden_size: 64\n' 'c.yaml:2:3: unknown key model.hiden_size' 'did you mean hidden_size?'
refuse_config 7.2.4 'model:\n  # a\n  hidden_size: 64\n  hidden_size: 64\n' 'c.yaml:4:3: model.hidden_size is set twice (first at line 3)'
refuse_config 7.2.5 'model:\n  hidden_size: 010\n' 'c.yaml:2:16: model.hidden_size: leading zero is ambiguous; write 10 or 8'
refuse_config 7.2.6 'optimizer:\n  lr: .nan\n' 'must be finite'
refuse_config 7.2.7 'model: {hidden_size: 100, num_attention_heads: 7}\n' 'model.hidden_size (100) must be divisible by model.num_attention_heads (7)'
refuse_config 7.2.8 'model: {hidden_size: 64, num_attention_heads: 8, num_key_value_heads: 3}\n' \
  'model.num_attention_heads (8) must be a multiple of model.num_key_value_heads (3)'
refuse_config 7.2.9 '' 'config is empty'
refuse_config 7.2.9b '# only a comment\n' 'config is empty'
refuse_config 7.2.10 '- a\n- b\n' 'top level must be a map of sections, found a list'
refuse_config 7.2.11 'model: {hidden_size: 64}\n---\nmodel: {}\n' 'only one YAML document is allowed; second starts here'
refuse_config 7.2.12 'model: 5\n' 'c.yaml:1:8: model: expected a section, got 5'
refuse_config 7.2.14 'training: {max_steps: 100}\nscheduler: {warmup_steps: 200}\n' 'scheduler.warmup_steps (200) exceeds training.max_steps (100)'
refuse_config 7.2.15 'model: {max_position_embeddings: 2048}\ntraining: {max_seq_length: 4096}\n' \
  'training.max_seq_length (4096) exceeds model.max_position_embeddings (2048)'
given c.yaml 'model: {vocab_size: 32000, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64}\n'
CHANGES=allowed refuse 7.2.16 2 "model.vocab_size 32000 but tokenizer.model has 320 pieces" -- \
  train --config c.yaml --tokenizer-path "$TINY/tokenizer.model" --data-path "$TINY/data" --output-dir run1 --max-steps 1
{ printf 'model: '; printf '[%.0s' {1..100000}; } > c.yaml
refuse 7.2.17 2 'nesting deeper than 64' -- train --config c.yaml --print-config
head -c 1100000 /dev/zero | tr '\0' '#' > c.yaml
refuse 7.2.18 2 'config larger than 1 MiB' -- train --config c.yaml --print-config
rm c.yaml
truncate -s 2G c.yaml
refuse 7.2.18b 2 'config larger than 1 MiB' -- train --config c.yaml --print-config
rm c.yaml
given c.yaml 'model: {}\n# \0 \n'
refuse 7.2.18c 2 'not text (NUL byte at offset 12)' -- train --config c.yaml --print-config
refuse_config 7.2.19 'a: &a {hidden_size: 64}\nmodel:\n  <<: *a\n' 'YAML merge keys are not supported'
given c.yaml 'data: {path: [a.txt]}\n'
CHANGES=allowed refuse 7.2.20 2 'a.txt' -- train --config c.yaml --output-dir run1 --max-steps 1
rm c.yaml

# A key that would change nothing (A51), where it stands and before anything is made.
refuse_config A51 'optimizer:\n  momentum: 0.5\n' 'c.yaml:2:3: optimizer.momentum (0.5) has no effect with optimizer.name adamw' 'sgd reads it; leave it out'
refuse_config A51b 'training: {max_steps: 5, epochs: 2}\n' 'c.yaml:1:26: training.epochs (2) has no effect with training.max_steps 5' '--max-steps auto lets the epochs decide'
refuse_config A51c 'optimizer: {name: sgd, betas: [0.8, 0.9]}\n' 'optimizer.betas (0.8,0.9) has no effect with optimizer.name sgd'
given c.yaml 'optimizer: {name: muon, betas: [0.8, 0.9], muon_iterations: 3}\n'
accept A51d -- train --config c.yaml --optimizer-name sgd --print-config
expect A51d 'optimizer.betas = [0.9, 0.95]' out
rm c.yaml
while IFS='|' read -r flags message; do
  read -r -a words <<< "$flags"
  refuse "A51 $flags" 2 "$message" -- train "${words[@]}" --output-dir run9
done << END
--dtype float16 --precision 32-true|dtype (float16) has no effect with training.precision 32-true
--resize-embeddings|checkpoint.resize_embeddings (true) has no effect without checkpoint.model_path
--epochs 3 --max-steps 5|training.epochs (3) has no effect with training.max_steps 5
--training.mlm_probability 0.3|training.mlm_probability (0.3) has no effect with training.objective clm
--scheduler.power 3|scheduler.power (3.0) has no effect with scheduler.name cosine
--vocab-size 300 --tokenizer-path $TINY/tokenizer.model|tokenizer.vocab_size (300) has no effect with tokenizer.path $TINY/tokenizer.model
--data-path $TINY/data --split document|data.split (document) has no effect with a prepared dataset
--data-path $TINY/text.txt --synthetic-seed 5|data.synthetic_seed (5) has no effect with data of your own
--early-stopping-patience 2 --data-path $TINY/data|training.early_stopping_patience (2) has no effect without validation data
--force|checkpoint.force (true) has no effect with checkpoint.resume_from_checkpoint auto
END

# JSON: the same form.
refuse_json() {  # row, text, message, hint
  given c.json "$2"
  refuse "$1" 2 "$3" ${4:+"$4"} -- train --config c.json --print-config
}
refuse_json json.2 '{"model": {"hidden_size": "twelve"}}' "c.json:1:27: model.hidden_size: expected a whole number, got 'twelve'"
refuse_json json.2b '{"model":\n {"hidden_size": 1.5}}' 'c.json:2:18: model.hidden_size: expected a whole number'
refuse_json json.3 '{"model":\n {"hiden_size": 64}}' 'unknown key model.hiden_size' 'did you mean hidden_size?'
refuse_json json.3b '{"modle": {}}' 'unknown key modle' 'did you mean model?'
refuse_json json.4 '{"model": {"hidden_size": 64,\n "hidden_size": 64}}' 'model.hidden_size is set twice (first at line 1)'
refuse_json json.4b '{"model": {"hidden_size": 64, "d_model": 64}}' 'model.hidden_size is set twice'
refuse_json json.9 '' 'config is empty'
refuse_json json.10 '[1]' 'top level must be a map of sections, found a list'
refuse_json json.12 '{"model": 5}' 'model: expected a section, got 5'
refuse_json json.cut '{"model": {"hidden_size": 64' 'c.json:1:29'
refuse_json json.comma '{"model": {"hidden_size": 64,,}}' 'c.json:1:30'
refuse_json json.utf8 '{"model": "\xff"}' 'UTF-8'
refuse_json json.bool '{"model": {"tie_word_embeddings": 1}}' 'model.tie_word_embeddings: expected true or false'
refuse_json json.range '{"model": {"dropout": 1.5}}' 'model.dropout'
refuse_json json.null '{"model": {"hidden_size": null}}' 'model.hidden_size'
{ printf '{"a":%.0s' {1..100000}; } > c.json
refuse json.17 2 'nesting deeper than 64' -- train --config c.json --print-config
rm c.json

# A value from the environment or a flag is stronger than the file's and is named as such.
given c.yaml 'optimizer: {learning_rate: 0.1}\n'
LLM_LEARNING_RATE=0.2 accept precedence -- train --config c.yaml --learning-rate 0.3 --print-config
expect precedence '0.3' out
LLM_LEARNING_RATE=0.2 accept precedence -- train --config c.yaml --print-config
expect precedence 'environment LLM_LEARNING_RATE' out
accept precedence -- train --config c.yaml --print-config
expect precedence 'c.yaml:1:' out
finish
