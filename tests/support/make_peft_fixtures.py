#!/usr/bin/env python3
"""Makes tests/fixtures/peft: LoRA adapters for the models of tests/fixtures/hf, saved by peft, with what peft computes with them.

usage: make_peft_fixtures.py [--output DIR] [--only NAME...] [--any-version]

Each folder holds adapter_config.json and adapter_model.safetensors as peft saves them, and expected.safetensors as make_hf_fixtures.py
makes it. base_model_name_or_path is the folder of the base beside the others' folder: ../hf/NAME. The files in the tree are from
peft 0.21.2 and transformers 5.23.0; other versions need --any-version.
"""
import argparse
import json
import pathlib
import shutil
import sys

PINNED = ("0.21.2", "5.23.0")
HF = pathlib.Path(__file__).parent.parent / "fixtures" / "hf"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# name -> (base, keys of LoraConfig, stored dtype)
CASES = {
    "llama_all": ("llama", dict(r=4, lora_alpha=6, target_modules=ALL, lora_dropout=0.1, rank_pattern={"model.layers.1.self_attn.q_proj": 7},
                                alpha_pattern={"o_proj": 9}), "float32"),
    "llama_qv": ("llama", dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]), "float32"),
    "llama_regex": ("llama_tied", dict(r=3, lora_alpha=4, use_rslora=True, target_modules=r".*layers\.1\.(self_attn|mlp)\.(q|k|down)_proj"), "float16"),
    "phi3_fused": ("phi3", dict(r=4, lora_alpha=4, target_modules=["qkv_proj", "gate_up_proj", "o_proj"]), "bfloat16"),
    "gpt2_columns": ("gpt2", dict(r=4, lora_alpha=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True), "float32"),
    "gpt_neox_heads": ("gpt_neox", dict(r=4, lora_alpha=8, target_modules=["query_key_value", "dense"]), "bfloat16"),
    "gptj_pairs": ("gptj", dict(r=4, lora_alpha=4, target_modules=["q_proj", "k_proj"]), "bfloat16"),
    "gemma2_norms": ("gemma2", dict(r=2, lora_alpha=4, target_modules=ALL), "bfloat16"),
    "mixtral_attention": ("mixtral", dict(r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"]), "bfloat16"),
}


def make(name, folder):
    import peft
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
    base, keys, dtype = CASES[name]
    for attempt in range(20):
        generator = torch.Generator().manual_seed(1000 * attempt + sum(name.encode()))
        model = transformers.AutoModelForCausalLM.from_pretrained(HF / base, dtype=torch.float32, attn_implementation="eager").eval()
        plain_ids = load_file(HF / base / "expected.safetensors")["input_ids"][None]
        with torch.no_grad():
            plain = model(plain_ids, use_cache=False).logits[0].float()
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **keys)).eval()
        for label, parameter in model.named_parameters():
            if "lora_" in label:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.data.copy_((noise * 0.8 / parameter.shape[-1] ** 0.5).to(getattr(torch, dtype)))
        with torch.no_grad():
            logits = model(plain_ids, use_cache=False).logits[0].float()
            text, margin = plain_ids.clone(), float("inf")
            for _ in range(12):
                last = model(text, use_cache=False).logits[0, -1].float()
                best = last.topk(2).values
                margin = min(margin, (best[0] - best[1]).item())
                text = torch.cat([text, last.argmax().view(1, 1)], 1)
        change = (logits - plain).abs().max().item()
        if margin > 2e-3 and change > 0.2:
            break
    else:
        sys.exit(f"{name}: no seed gives a clear greedy continuation")
    shutil.rmtree(folder, ignore_errors=True)
    for label, parameter in model.named_parameters():
        if "lora_" in label:
            parameter.data = parameter.data.to(getattr(torch, dtype))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = f"../../hf/{base}"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({"input_ids": plain_ids[0], "logits": logits.contiguous(), "greedy_ids": text[0, plain_ids.shape[1]:].contiguous()},
              folder / "expected.safetensors")
    print(f"{name:18} base {base:12} changes logits by {change:.3f}  narrowest choice {margin:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=HF.parent / "peft")
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--any-version", action="store_true")
    options = parser.parse_args()
    import peft
    import transformers
    found = (peft.__version__, transformers.__version__)
    if found != PINNED and not options.any_version:
        sys.exit(f"peft and transformers are {found}, the fixtures are made with {PINNED} (--any-version to go on)")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in options.only:
        make(name, options.output / name)


if __name__ == "__main__":
    main()
