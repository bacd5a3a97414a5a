#!/bin/bash
# llm resume-check proves its claim here too, and inspect reads what a run left.
. "$(dirname "$0")/harness.sh"
cat > config.yaml << END
threads: 1
model: {vocab_size: 320, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 32, dropout: 0.1}
training: {batch_size: 2, gradient_accumulation_steps: 2, epochs: 3}
optimizer: {learning_rate: 0.002}
data: {path: [$TINY/data]}
tokenizer: {path: $TINY/tokenizer.model}
END
accept adamw -- resume-check --config config.yaml --steps 10
expect adamw 'SIGKILL after step 6 and a resume from step 4' out
expect adamw 'bit for bit' out
accept muon -- resume-check --config config.yaml --steps 5 --optimizer-name muon --precision bf16-true
accept "shorter than the warm-up" -- resume-check --config "$SOURCES/config/mini.yaml" --steps 2 --batch-size 1 --max-seq-length 32 --eval-batches 1 --data.synthetic_stories 300
expect "shorter than the warm-up" 'bit for bit' out
refuse short 2 "at least 2" -- resume-check --config config.yaml --steps 1
refuse epochs 2 "--epochs has no effect here: --steps sets the length" -- resume-check --config config.yaml --epochs 2
accept inspect -- inspect "$TINY/run"
expect inspect 'model.layers.1.mlp.down_proj.weight' out
expect inspect 'total' out
accept tokens -- inspect "$TINY/run" --tokens "the cat"
expect tokens '7 bytes' out
accept plot -- inspect "$TINY/run" --plot loss.svg
expect plot '<polyline' loss.svg
expect plot '</svg>' loss.svg
refuse plot 3 "has no metrics.jsonl" -- inspect "$TINY/run/final" --plot other.svg
finish
