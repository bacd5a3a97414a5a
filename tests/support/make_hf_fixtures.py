#!/usr/bin/env python3
"""Makes tests/fixtures/hf: small random-weight models of every family with what transformers computes for them.

usage: make_hf_fixtures.py [--output DIR] [--only NAME...] [--any-version]

Each folder holds config.json, generation_config.json, model.safetensors (as transformers saves them) and expected.safetensors:
input_ids (T), logits (T, V) of one float32 pass over them, greedy_ids (N): the continuation by the largest logit, one full pass
per token. Shapes are odd on purpose: three query heads to a key head, heads wider than hidden/heads, tied and untied heads, biases,
windows shorter than the text. The files in the tree are from transformers 5.23.0; another version needs --any-version.
"""
import argparse
import json
import pathlib
import shutil
import sys

PINNED = "5.23.0"
LLAMA = dict(vocab_size=96, hidden_size=36, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
             max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
WIDE = dict(LLAMA, hidden_size=24, num_attention_heads=3, num_key_value_heads=1, head_dim=16)
GPT = dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=95, eos_token_id=95)
NEOX = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64,
            bos_token_id=0, eos_token_id=2)
OPT = dict(vocab_size=96, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, pad_token_id=1,
           bos_token_id=2, eos_token_id=2)


def llama3(original):
    return dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=original)


def longrope(pairs, theta=10000.0, **more):
    return dict(rope_type="longrope", rope_theta=theta, short_factor=[1.0 + 0.05 * i for i in range(pairs)],
                long_factor=[1.5 + 0.75 * i for i in range(pairs)], **more)


# name -> (config class, its keys, stored dtype)
CASES = {
    "llama": ("LlamaConfig", dict(LLAMA, head_dim=8, attention_bias=True, mlp_bias=True, rope_parameters=llama3(32), eos_token_id=[2, 5, 7],
                                  pad_token_id=None), "float32"),
    "llama_tied": ("LlamaConfig", dict(WIDE, hidden_size=36, tie_word_embeddings=True, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
                   "float16"),
    "llama_yarn": ("LlamaConfig", dict(LLAMA, num_attention_heads=3, num_key_value_heads=3, rope_parameters=dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)), "bfloat16"),
    "mistral": ("MistralConfig", dict(LLAMA, head_dim=16, sliding_window=5), "bfloat16"),
    "mistral_full": ("MistralConfig", dict(LLAMA, sliding_window=None, tie_word_embeddings=True), "bfloat16"),
    "mixtral": ("MixtralConfig", dict(LLAMA, hidden_size=24, intermediate_size=20, num_local_experts=4, num_experts_per_tok=2, rms_norm_eps=1e-5), "bfloat16"),
    "qwen2": ("Qwen2Config", dict(LLAMA, tie_word_embeddings=True), "bfloat16"),
    "qwen2_window": ("Qwen2Config", dict(LLAMA, hidden_size=24, num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1), "bfloat16"),
    "qwen3": ("Qwen3Config", dict(WIDE, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6)), "bfloat16"),
    "qwen3_moe": ("Qwen3MoeConfig", dict(WIDE, num_hidden_layers=3, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=12, norm_topk_prob=True,
                                         mlp_only_layers=[0]), "bfloat16"),
    "qwen3_moe_raw": ("Qwen3MoeConfig", dict(WIDE, num_hidden_layers=2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12,
                                             norm_topk_prob=False, decoder_sparse_step=2), "bfloat16"),
    "phi3": ("Phi3Config", dict(LLAMA, rms_norm_eps=1e-5, sliding_window=9), "bfloat16"),
    "phi3_longrope": ("Phi3Config", dict(LLAMA, original_max_position_embeddings=64, tie_word_embeddings=True,
                                         rope_parameters=longrope(2, partial_rotary_factor=0.75)), "bfloat16"),
    "phi3_beyond": ("Phi3Config", dict(LLAMA, original_max_position_embeddings=10, rope_parameters=longrope(3)), "bfloat16"),
    "gpt2": ("GPT2Config", dict(GPT, n_inner=40), "float32"),
    "gptj": ("GPTJConfig", dict(GPT, n_head=2, rotary_dim=8), "bfloat16"),
    "gpt_neox": ("GPTNeoXConfig", dict(NEOX, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25)), "bfloat16"),
    "gpt_neox_serial": ("GPTNeoXConfig", dict(NEOX, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new",
                                              rope_parameters=dict(rope_type="default", rope_theta=25000.0, partial_rotary_factor=1.0)), "bfloat16"),
    "opt": ("OPTConfig", dict(OPT), "bfloat16"),
    "opt_350m": ("OPTConfig", dict(OPT, do_layer_norm_before=False, word_embed_proj_dim=20), "bfloat16"),
    "gemma": ("GemmaConfig", dict(WIDE), "bfloat16"),
    "gemma2": ("Gemma2Config", dict(WIDE, num_hidden_layers=3, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=5.0,
                                    final_logit_softcapping=3.0), "bfloat16"),
    "gemma3": ("Gemma3TextConfig", dict(WIDE, num_hidden_layers=4, query_pre_attn_scalar=12, sliding_window=5, layer_types=[
        "sliding_attention", "sliding_attention", "full_attention", "sliding_attention"], rope_parameters={
            "sliding_attention": dict(rope_type="default", rope_theta=10000.0),
            "full_attention": dict(rope_type="linear", rope_theta=1e6, factor=8.0)}), "bfloat16"),
    "stablelm": ("StableLmConfig", dict(LLAMA, hidden_size=48, use_qkv_bias=True, rope_parameters=dict(
        rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25)), "bfloat16"),
    "stablelm_parallel": ("StableLmConfig", dict(LLAMA, hidden_size=48, use_parallel_residual=True, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)), "bfloat16"),
    "olmo2": ("Olmo2Config", dict(LLAMA, num_attention_heads=6, num_key_value_heads=2), "bfloat16"),
}


def randomise(model, torch, generator):
    """Every parameter such that leaving it out would show in the logits."""
    unit_offset = model.config.model_type.startswith("gemma")
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1 and name.endswith("weight"):
            value = 0.25 * noise + (0.0 if unit_offset else 1.0)
        elif parameter.dim() == 1:
            value = 0.25 * noise
        elif "embed" in name or "wte" in name or "wpe" in name:
            value = (0.1 if unit_offset else 0.5) * noise  # Gemma scales its embeddings up
        else:
            value = noise * 1.3 / parameter.shape[-1] ** 0.5
        parameter.data.copy_(value)


def make(name, folder):
    import torch
    import transformers
    from safetensors.torch import save_file
    kind, keys, dtype = CASES[name]
    for attempt in range(20):
        generator = torch.Generator().manual_seed(1000 * attempt + sum(name.encode()))
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**keys), attn_implementation="eager").eval()
        randomise(model, torch, generator)
        for parameter in model.parameters():  # to what the file can hold; buffers (frequencies) stay exact
            parameter.data = parameter.data.to(getattr(torch, dtype)).float()
        ids = torch.randint(3, 90, (1, 17), generator=generator)
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0].float()
            text, margin = ids.clone(), float("inf")
            for _ in range(12):
                last = model(text, use_cache=False).logits[0, -1].float()
                best = last.topk(2).values
                margin = min(margin, (best[0] - best[1]).item())
                text = torch.cat([text, last.argmax().view(1, 1)], 1)
        if margin > 2e-3 and len(set(text[0, 17:].tolist())) > 3:
            break
    else:
        sys.exit(f"{name}: no seed gives a clear greedy continuation")
    shutil.rmtree(folder, ignore_errors=True)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    save_file({"input_ids": ids[0], "logits": logits.contiguous(), "greedy_ids": text[0, 17:].contiguous()}, folder / "expected.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:18} {size / 1024:7.1f} KiB  largest logit {logits.abs().max():.3f}  narrowest choice {margin:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "fixtures" / "hf")
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--any-version", action="store_true")
    options = parser.parse_args()
    import transformers
    if transformers.__version__ != PINNED and not options.any_version:
        sys.exit(f"transformers is {transformers.__version__}, the fixtures are made with {PINNED} (--any-version to go on)")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in options.only:
        make(name, options.output / name)


if __name__ == "__main__":
    main()
