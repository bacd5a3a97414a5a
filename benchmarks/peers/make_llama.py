#!/usr/bin/env python3
"""Writes a Hugging Face Llama with random weights in bfloat16, for speed comparisons: 349M parameters, or the given shape.
usage: make_llama.py DIR [HIDDEN LAYERS HEADS KV_HEADS FFN]"""
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

if len(sys.argv) not in (2, 7):
    sys.exit(__doc__)
hidden, layers, heads, kv_heads, ffn = map(int, sys.argv[2:7]) if len(sys.argv) == 7 else (1024, 24, 16, 8, 2816)
torch.manual_seed(0)
config = LlamaConfig(vocab_size=32000, hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
                     num_key_value_heads=kv_heads, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=False)
model = LlamaForCausalLM(config).to(torch.bfloat16)
model.save_pretrained(sys.argv[1])
print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters in {sys.argv[1]}")
