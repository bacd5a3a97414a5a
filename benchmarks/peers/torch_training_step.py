"""The training step of a Llama-shaped model as it is usually written in PyTorch: what train_step_bench is compared with.

Modules of torch.nn, scaled_dot_product_attention, autocast for bf16, fused AdamW, gradient clipping at norm 1, the whole
(rows, vocabulary) table of logits in float32. Each line "go" on stdin runs --steps steps and prints one JSON object per step.
"""
import argparse
import contextlib
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--steps", type=int, default=3, help="steps per request")
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--num-hidden-layers", type=int, default=6)
    parser.add_argument("--num-attention-heads", type=int, default=6)
    parser.add_argument("--intermediate-size", type=int, default=1024)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seq-length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


class Attention(nn.Module):
    def __init__(self, hidden_size, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(4))

    @staticmethod
    def rotate(x, cos, sin):
        first, second = x.chunk(2, dim=-1)
        return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)

    def forward(self, x, cos, sin):
        def split(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D)

        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        y = F.scaled_dot_product_attention(self.rotate(q, cos, sin), self.rotate(k, cos, sin), v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, hidden_size, heads, intermediate_size):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = (nn.RMSNorm(hidden_size, eps=1e-6) for _ in range(2))
        self.self_attn = Attention(hidden_size, heads)
        self.gate_proj, self.up_proj = (nn.Linear(hidden_size, intermediate_size, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


class LanguageModel(nn.Module):
    def __init__(self, options):
        super().__init__()
        size, heads = options.hidden_size, options.num_attention_heads
        self.embed_tokens = nn.Embedding(options.vocab_size, size)
        self.layers = nn.ModuleList(Layer(size, heads, options.intermediate_size) for _ in range(options.num_hidden_layers))
        self.norm = nn.RMSNorm(size, eps=1e-6)
        self.lm_head = nn.Linear(size, options.vocab_size, bias=False)
        inverse = 10000.0 ** -(torch.arange(0, size // heads, 2) / (size // heads))
        angles = torch.outer(torch.arange(options.seq_length), inverse).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return F.cross_entropy(self.lm_head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = LanguageModel(options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    loss_of = torch.compile(model) if options.compile else model
    autocast = (lambda: torch.autocast("cpu", torch.bfloat16)) if options.precision == "bf16" else contextlib.nullcontext
    data = torch.randint(0, options.vocab_size, (16, options.batch_size, options.seq_length + 1))
    parameters = sum(p.numel() for p in model.parameters())
    step = 0
    for line in sys.stdin:
        if line.strip() != "go":
            break
        for _ in range(options.steps):
            rows = data[step % len(data)]
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = loss_of(rows[:, :-1], rows[:, 1:])
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            value = loss.item()
            seconds = time.perf_counter() - start
            step += 1
            record = {"step": step, "tokens_per_second": options.batch_size * options.seq_length / seconds, "step_ms": seconds * 1e3,
                      "loss": value, "grad_norm": norm.item(), "parameters": parameters, "torch": torch.__version__}
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
