"""A plain float32 training run in PyTorch on a token file, the reference that benchmarks/loss_parity.py holds `llm pretrain` against.

Windows of --seq-length + 1 tokens at random places of PREFIX.bin, AdamW with decay on matrices only, linear warm-up, then a constant learning
rate, clipping at norm 1. Prints the loss of every step, one number per line.
"""
import argparse
import math
import struct
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from torch_training_step import LanguageModel  # noqa: E402


def read_tokens(prefix):
    """The ids of all documents, one after another: {u32 length, i32 id[length]} repeated."""
    data = bytearray(Path(prefix + ".bin").read_bytes())  # writable, as torch.frombuffer wants it
    parts, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        parts.append(torch.frombuffer(data, dtype=torch.int32, count=length, offset=at + 4))
        at += 4 + 4 * length
    return torch.cat(parts).long()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="prefix of the token file")
    for name, default in dict(hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=384, vocab_size=0, batch_size=16,
                              seq_length=64, steps=200, warmup_steps=20, seed=0, threads=2).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokens = read_tokens(options.data)
    model = LanguageModel(options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.div_(math.sqrt(2 * options.num_hidden_layers))
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.95), eps=1e-8)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * min(1.0, (step + 1) / options.warmup_steps)
        starts = torch.randint(0, len(tokens) - options.seq_length, (options.batch_size,))
        rows = torch.stack([tokens[s:s + options.seq_length + 1] for s in starts])
        optimizer.zero_grad(set_to_none=True)
        loss = model(rows[:, :-1], rows[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(loss.item(), flush=True)


if __name__ == "__main__":
    main()
