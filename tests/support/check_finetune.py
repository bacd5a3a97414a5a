#!/usr/bin/env python3
"""Fine-tunes a small model of every family and compares the validation loss that the run reports with what transformers computes
from the model that it wrote, over the same documents and the same marks of what is learnt.

usage: check_finetune.py LLM FIXTURES WORK     exit 77 where a package is missing
"""
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys

try:
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

TOLERANCE = 1e-5  # nats; both sides in float32


def write_texts(folder):
    """Questions and answers in 26 letters, and the tokenizer of their characters."""
    draw = random.Random(5)
    word = lambda: "".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(2, 6)))
    rows = [{"prompt": " ".join(word() for _ in range(draw.randint(1, 5))), "response": " ".join(word() for _ in range(draw.randint(1, 4)))}
            for _ in range(24)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "letters.txt").write_text("\n".join(f"{row['prompt']}\n{row['response']}" for row in rows) + "\nthe quick brown fox jumps over a lazy dog\n")


def read_dataset(prefix):
    """[(ids, marks)] of PREFIX.bin, .index and .mask (docs/formats.md)."""
    index = prefix.with_suffix(".index").read_bytes()
    sequences, = struct.unpack_from("<Q", index, 16)
    offsets = struct.unpack_from(f"<{sequences + 1}Q", index, 64)
    data = prefix.with_suffix(".bin").read_bytes()
    bits = prefix.with_suffix(".mask").read_bytes()[64:]
    documents, position = [], 0
    for begin in offsets[:-1]:
        count, = struct.unpack_from("<I", data, begin)
        ids = struct.unpack_from(f"<{count}i", data, begin + 4)
        marks = [bits[(position + i) // 8] >> ((position + i) % 8) & 1 for i in range(count)]
        position += count
        documents.append((ids, marks))
    return documents


def transformers_loss(model_path, documents):
    model = transformers.AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32, attn_implementation="eager").eval()
    nll, tokens = 0.0, 0
    with torch.no_grad():
        for ids, marks in documents:
            input_ids = torch.tensor([ids])
            logits = model(input_ids=input_ids, use_cache=False).logits[0, :-1].double()
            losses = torch.nn.functional.cross_entropy(logits, input_ids[0, 1:], reduction="none")
            learnt = torch.tensor(marks[1:], dtype=torch.bool)
            nll, tokens = nll + losses[learnt].sum().item(), tokens + int(learnt.sum())
    return nll / tokens


def main():
    program, fixtures, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_texts(work)
    run = lambda *arguments: subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True)
    run("train-tokenizer", "--input", work / "letters.txt", "--output", work / "tokenizer.model", "--model-type", "char", "--byte-fallback", "false",
        "--vocab-size", 64)
    wrong = 0
    for family in sorted(path for path in fixtures.iterdir() if (path / "config.json").exists()):
        out = work / family.name
        try:
            run("finetune", "--model-path", family, "--tokenizer-path", work / "tokenizer.model", "--data-path", work / "pairs.jsonl",
                "--validation-path", work / "pairs.jsonl", "--chat-template", "none", "--output-dir", out, "--max-steps", 3, "--learning-rate", 0.005,
                "--gradient-accumulation-steps", 2, "--precision", "32-true", "--seed", 1)
        except subprocess.CalledProcessError as error:
            print(f"{family.name}: {error.stderr.strip().splitlines()[-2:]}")
            wrong += 1
            continue
        last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
        theirs = transformers_loss(out / "final", read_dataset(out / "data" / "val"))
        equal = abs(theirs - last["val_loss"]) <= TOLERANCE
        print(f"{family.name:<18} ours {last['val_loss']:.6f}  transformers {theirs:.6f}{'' if equal else '  DIFFERENT'}")
        wrong += 0 if equal else 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
