#!/usr/bin/env python3
"""Greedy decoding of Hugging Face transformers in bfloat16: one JSON object per line "go" on stdin. The same round as decode_bench:
`batch` prompts of 8 random tokens, --new-tokens new ones each, then the forward pass of one prompt of --prompt tokens."""
import argparse
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, logging

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--new-tokens", type=int, default=64)
parser.add_argument("--prompt", type=int, default=512)
parser.add_argument("--batch", type=int, default=1)
options = parser.parse_args()
logging.set_verbosity_error()
torch.set_num_threads(options.threads)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16).eval()
vocab = model.config.vocab_size
short = torch.randint(3, vocab - 1, (options.batch, 8))
prompt = torch.randint(3, vocab - 1, (1, options.prompt))
with torch.inference_mode():
    for _ in sys.stdin:
        start = time.perf_counter()
        out = model.generate(short, attention_mask=torch.ones_like(short), do_sample=False, max_new_tokens=options.new_tokens,
                             min_new_tokens=options.new_tokens, pad_token_id=0)
        decode = time.perf_counter() - start
        start = time.perf_counter()
        model(prompt)
        prefill = time.perf_counter() - start
        new = (out.shape[1] - short.shape[1]) * options.batch
        print(json.dumps({"tokens_per_second": new / decode, "prefill_tokens_per_second": options.prompt / prefill, "torch": torch.__version__,
                          "parameters": sum(p.numel() for p in model.parameters())}), flush=True)
