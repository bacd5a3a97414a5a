#!/bin/bash
# Fills the folder SERVED that the tests of clients read, never write: a model with a context of 16384 (so that a text can take seconds), a chat template and a tokenizer,
# trained for a moment on TINY's text (small/, float32, which transformers opens too).
set -e
rm -rf "$SERVED"
mkdir -p "$SERVED/work"
cd "$SERVED/work"
cat > config.yaml << 'END'
model: {vocab_size: 320, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 16384}
training: {batch_size: 4, gradient_accumulation_steps: 1, max_steps: 60, eval_steps: 0, max_seq_length: 128}
optimizer: {learning_rate: 0.01}
checkpoint: {save_steps: 0}
logging: {tensorboard: false}
END
export OMP_NUM_THREADS=1
"$PROGRAM" pretrain --config config.yaml --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --output-dir run
cp -rL run/final "$SERVED/small"
[ -e "$SERVED/small/tokenizer.model" ] || cp "$TINY/tokenizer.model" "$SERVED/small/"
printf '%s' "{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}" > "$SERVED/small/chat_template.jinja"
rm -rf "$SERVED/work"
