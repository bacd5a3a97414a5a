#!/bin/bash
# Fills the folder TINY that other tests read, never write:
#   text.txt         300 lines           tokenizer.model   trained on it, byte fallback
#   data.bin .index  text.txt in tokens  run/              a run of 4 steps, checkpoints at 2 and 4
#   config.yaml      what run/ was trained with
set -e
rm -rf "$TINY"
mkdir -p "$TINY"
cd "$TINY"
for i in $(seq 300); do echo "Line $i: the cat number $((i * 7 % 50)) sat on the mat and looked at $((i * 13 % 17)) birds."; done > text.txt
cat > config.yaml << 'END'
model: {vocab_size: 320, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64}
training: {batch_size: 2, gradient_accumulation_steps: 1, max_steps: 4, eval_steps: 2}
optimizer: {learning_rate: 0.001}
checkpoint: {save_steps: 2, keep_last: 5}
END
export OMP_NUM_THREADS=1
"$PROGRAM" train-tokenizer --input text.txt --output tokenizer.model --vocab-size 320
"$PROGRAM" prepare-data --input text.txt --tokenizer-path tokenizer.model --output data
"$PROGRAM" pretrain --config config.yaml --data-path data --tokenizer-path tokenizer.model --output-dir run
