#!/bin/bash
# Fills the folder SERVED that the tests of clients read, never write: models with a context of 16384 (so that a text can take seconds), a chat template and
# a tokenizer, float32, which transformers opens too.
#   small/   trained for a moment on TINY's text: thousands of tokens a second
#   slow/    two hundred times as large and hardly trained: some hundred, as clients meet them elsewhere
#   adapter/ of small, with random numbers, where MAKE_ADAPTER names the tool that writes one
set -e
: "${SERVED:?names the folder to fill}" "${TINY:?}" "${PROGRAM:?}"
rm -rf "$SERVED"
mkdir -p "$SERVED/work"
cd "$SERVED/work"
export OMP_NUM_THREADS=1
make() {  # name, model, training
  cat > config.yaml << END
model: {vocab_size: 320, max_position_embeddings: 16384, $2}
training: {gradient_accumulation_steps: 1, eval_steps: 0, $3}
optimizer: {learning_rate: 0.01}
checkpoint: {save_steps: 0}
logging: {tensorboard: false}
END
  "$PROGRAM" pretrain --config config.yaml --data-path "$TINY/data" --tokenizer-path "$TINY/tokenizer.model" --output-dir "run_$1"
  cp -rL "run_$1/final" "$SERVED/$1"
  [ -e "$SERVED/$1/tokenizer.model" ] || cp "$TINY/tokenizer.model" "$SERVED/$1/"
  printf '%s' "{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}" > "$SERVED/$1/chat_template.jinja"
}
make small "hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64" "batch_size: 4, max_steps: 60, max_seq_length: 128"
make slow "hidden_size: 256, num_hidden_layers: 8, num_attention_heads: 4, intermediate_size: 1024" "batch_size: 1, max_steps: 1, max_seq_length: 16"
if [ -n "$MAKE_ADAPTER" ]; then "$MAKE_ADAPTER" "$SERVED/small" "$SERVED/adapter" 1; fi
rm -rf "$SERVED/work"
