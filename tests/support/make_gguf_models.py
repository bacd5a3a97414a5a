"""Writes tests/model/gguf/: random models of every family that GGUF files hold, as llama.cpp's converter makes them, and what transformers
computes with the same weights.
usage: make_gguf_models.py LLAMA_CPP_SOURCE [OUT_DIR]    needs: torch, transformers, sentencepiece, numpy (and the gguf package of that source)
Each NAME.gguf has NAME.expected.gguf beside it: ids (int32), logits (float32, one row per id), greedy (int32, the continuation of ids)."""
import io
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

LLAMA_CPP = Path(sys.argv[1])
sys.path.insert(0, str(LLAMA_CPP / "gguf-py"))
import gguf  # noqa: E402
import numpy as np  # noqa: E402
import sentencepiece  # noqa: E402
import torch  # noqa: E402
import transformers as hf  # noqa: E402

OUT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent.parent / "model" / "gguf"
VOCAB = 300
SMALL = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
             head_dim=16, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)
LONG = dict(rope_type="longrope", short_factor=[1.0, 1.1, 1.3, 1.7], long_factor=[1.5, 2.0, 3.0, 4.0], original_max_position_embeddings=32,
            rope_theta=10000.0)

# name: config, converter's --outtype
MODELS = {
    "llama": (hf.LlamaConfig(**SMALL, attention_bias=True, rope_theta=20000.0), "f32"),
    "llama3": (hf.LlamaConfig(**SMALL | dict(num_attention_heads=3, num_key_value_heads=1), tie_word_embeddings=True,
                              rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                                                   high_freq_factor=4.0, original_max_position_embeddings=32)), "bf16"),
    "llama_q8_0": (hf.LlamaConfig(**SMALL | dict(hidden_size=32, head_dim=8, num_attention_heads=4, num_key_value_heads=4)), "q8_0"),
    "mistral": (hf.MistralConfig(**SMALL, sliding_window=None), "f16"),
    "qwen2": (hf.Qwen2Config(**{k: v for k, v in SMALL.items() if k != "head_dim"}), "bf16"),
    "qwen3": (hf.Qwen3Config(**SMALL, tie_word_embeddings=True), "bf16"),
    "phi3": (hf.Phi3Config(**{k: v for k, v in SMALL.items() if k != "head_dim"} | dict(pad_token_id=0), sliding_window=None,
                           original_max_position_embeddings=32, rope_parameters=LONG), "bf16"),
    "gemma": (hf.GemmaConfig(**SMALL | dict(pad_token_id=0)), "bf16"),
    "gemma2": (hf.Gemma2Config(**SMALL | dict(pad_token_id=0), sliding_window=5, query_pre_attn_scalar=16), "bf16"),
    "gemma3": (hf.Gemma3TextConfig(**SMALL | dict(pad_token_id=0, num_hidden_layers=7), sliding_window=5, query_pre_attn_scalar=16), "bf16"),
}


def tokenizer_bytes():
    words = "the of and to in a is that it was for on are with as his they at be this from have or by one had not but what all were".split()
    chosen = random.Random(5)
    lines = [" ".join(chosen.choice(words) for _ in range(12)) for _ in range(400)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=VOCAB,
                                             byte_fallback=True, character_coverage=1.0, minloglevel=2, hard_vocab_limit=True)
    return model.getvalue()


def rounded(weight, kind):
    """What the file keeps of a matrix."""
    if kind == "f32" or weight.dim() < 2:
        return weight
    if kind in ("bf16", "f16"):
        return weight.to({"bf16": torch.bfloat16, "f16": torch.float16}[kind]).float()
    numbers = weight.detach().numpy()
    return torch.from_numpy(gguf.dequantize(gguf.quantize(numbers, gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0))


def random_model(config, seed):
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            centre = 1.0 if name.endswith("norm.weight") and not config.model_type.startswith("gemma") else 0.0
            weight.copy_(centre + torch.randn_like(weight) * (0.1 if weight.dim() == 1 else 0.15))
    return model


def write_expected(path, model, kind):
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(rounded(weight, kind))
        ids = torch.tensor([[1] + [3 + (7 * i * i + 11 * i) % (VOCAB - 3) for i in range(19)]])
        logits = model(ids).logits[0]
        greedy = model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=None, pad_token_id=0)[0, ids.shape[1]:]
    writer = gguf.GGUFWriter(path, "expected")
    writer.add_tensor("ids", ids[0].numpy().astype(np.int32))
    writer.add_tensor("logits", logits.numpy().astype(np.float32))
    writer.add_tensor("greedy", greedy.numpy().astype(np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_bytes()
    for seed, (name, (config, kind)) in enumerate(MODELS.items()):
        with tempfile.TemporaryDirectory() as folder:
            model = random_model(config, seed)
            model.save_pretrained(folder)
            (Path(folder) / "tokenizer.model").write_bytes(tokenizer)
            json.dump({"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>",
                       "unk_token": "<unk>"}, open(Path(folder) / "tokenizer_config.json", "w"))
            subprocess.run([sys.executable, LLAMA_CPP / "convert_hf_to_gguf.py", folder, "--outtype", kind, "--outfile", OUT / (name + ".gguf"),
                            "--model-name", name], check=True)
            write_expected(OUT / (name + ".expected.gguf"), model, kind)


if __name__ == "__main__":
    main()
