#!/bin/bash
# Training from scratch on one's own text: whose vocabulary decides, and what a Hugging Face config.json may say of other tokenizers.
. "$(dirname "$0")/harness.sh"
for i in $(seq 120); do echo "Line $i: the cat number $((i * 7 % 50)) sat on the mat and looked at $((i * 13 % 17)) birds."; done > text.txt
cat > config.yaml << END
threads: 1
model: {vocab_size: 1024, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 32}
tokenizer: {vocab_size: 1024}
training: {batch_size: 2, gradient_accumulation_steps: 1, max_steps: 2, eval_steps: 1}
optimizer: {learning_rate: 0.002}
END
rows_of() { sed -nE 's/.*"vocab_size": ([0-9]+).*/\1/p' "$1/final/config.json"; }

# A file's vocabulary is a wish: the text gives fewer pieces, the model has as many rows, here and in every resume.
accept "small text" -- pretrain --config config.yaml --data-path text.txt --output-dir small
expect "small text" "pieces, not 1024: the model has as many rows" err
pieces=$(rows_of small)
holds "small text" [ "$pieces" -gt 261 -a "$pieces" -lt 1024 ]
expect "small text" "  vocab_size: $pieces" small/config.yaml
accept "small text, resumed" -- pretrain --config config.yaml --data-path text.txt --output-dir small --max-steps 3
expect "small text, resumed" "resumed from" err
accept "small text, repeated" -- pretrain --config small/config.yaml --output-dir again
holds "small text, repeated" [ "$(rows_of again)" = "$pieces" ]
# An option is an order, and one is enough.
refuse "too many pieces" 3 "vocab_size 900 is too high for this text; the most possible is" "--vocab-size" -- \
  pretrain --config config.yaml --data-path text.txt --output-dir none --vocab-size 900
accept "one flag" -- pretrain --config config.yaml --data-path text.txt --output-dir fewer --vocab-size 300
holds "one flag" [ "$(rows_of fewer)" = 300 ]
accept "one flag: rows" -- pretrain --config config.yaml --data-path text.txt --output-dir rows --model.vocab_size 310
holds "one flag: rows" [ "$(rows_of rows)" = 310 ]
CHANGES=allowed refuse "two orders" 2 "model.vocab_size 900 but tokenizer.model has 300 pieces" "--model.vocab_size 300, or a tokenizer of 900 pieces" -- \
  pretrain --config config.yaml --data-path text.txt --output-dir none --vocab-size 300 --model.vocab_size 900

# More rows than pieces, as padding: no text has them.
accept "padded" -- pretrain --config config.yaml --data-path text.txt --tokenizer-path fewer/tokenizer.model --model.vocab_size 400 --learning-rate 1e-5 --output-dir padded
holds "padded" [ "$(rows_of padded)" = 400 ]
for way in "--do-sample false" "--temperature 2 --seed 3" "--num-beams 3" "--num-speculative-tokens 4 --temperature 2 --seed 4"; do
  accept "padded: $way" -- generate --model-path padded --prompt "Line" --max-new-tokens 24 --json $way
  holds "padded: $way" python3 -c '
import json, re
text = open("out").read()
ids = [int(i) for part in re.findall(r"\"(?:token_ids|ids|tokens)\": *\[([0-9, \n]*)\]", text) for i in part.split(",") if i.strip()]
assert ids and max(ids) < 300, ids'
done
accept "padded: views" -- inspect padded --tokens abc --logits 100
expect "padded: views" "<unused 3" out

# The shape of a published model with our tokenizer: its token ids and vocabulary are those of another one.
cat > hf.json << END
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 2000, "hidden_size": 32, "intermediate_size": 64,
 "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32, "hidden_act": "silu"}
END
sed 's/"hidden_act"/"bos_token_id": 1800, "eos_token_id": [1801, 1808], "hidden_act"/' hf.json > hf3.json
train="--data-path text.txt --max-steps 2 --batch-size 2 --gradient-accumulation-steps 1 --learning-rate 0.002 --threads 1"
accept "hf" -- pretrain --config hf.json $train --output-dir hf
expect "hf" '"pad_token_id": 0' hf/final/config.json
accept "hf, ids" -- pretrain --config hf3.json $train --output-dir hf3
expect "hf, ids" 'hf3.json says bos_token_id 1800, eos_token_id [1801,1808]: a run takes those of its tokenizer' err
expect "hf, ids" '"eos_token_id": 2' hf3/final/config.json
expect "hf, ids" '"bos_token_id": 1' hf3/final/config.json
accept "hf, own ids" -- pretrain --config hf/final/config.json $train --tokenizer-path hf/tokenizer.model --output-dir hf4
for verb in "generate x --prompt a" "inspect x" "api x"; do
  refuse "hf: $verb" 2 "hf.json is the config.json of a model, and nothing in it is for this command" "--model-path" -- $verb --config hf.json
done

# A text of which nothing is left to validate on is said to be one.
head -c 300 text.txt | tr '\n' ' ' > one.txt
accept "no validation" -- pretrain --config config.yaml --data-path one.txt --val-fraction 0.01 --eval-steps 1 --output-dir one
expect "no validation" "no document fell into the validation part" err
finish
