#!/usr/bin/env python3
"""Does training lose anything by being fast? The loss of `llm pretrain`, in float32 and in mixed bf16, beside a plain float32 PyTorch run.

Same text, same shape, same optimizer settings; windows and first values are drawn by each program itself, so runs are compared by seeds: each
arm runs once per seed, and the mean loss of the last 20 steps counts. The arms agree if their means over the seeds lie no further apart than the seeds of
the reference do among themselves. Prints a markdown section, ready for docs/performance.md, and fails if an arm does not agree.

    benchmarks/loss_parity.py --python PYTHON_WITH_TORCH TEXT
"""
import argparse
import datetime
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAIL = 20


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"loss_parity.py: error: {shlex.join(map(str, command))} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def config(options, vocab_size, precision, seed):
    return {
        "seed": seed,
        "threads": options.threads,
        "model": {"vocab_size": vocab_size, "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384,
                  "max_position_embeddings": 64, "dropout": 0.0},
        "training": {"batch_size": 16, "gradient_accumulation_steps": 1, "max_steps": options.steps, "precision": precision, "eval_steps": 0,
                     "max_grad_norm": 1.0},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1, "betas": [0.9, 0.95], "epsilon": 1e-8},
        "scheduler": {"name": "constant", "warmup_steps": 20},
        "logging": {"logging_steps": 1},
    }


def llm_losses(options, folder, vocab_size, precision, seed):
    name = f"{precision}-{seed}"
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config(options, vocab_size, precision, seed)))
    run([options.llm, "pretrain", "--config", path, "--data-path", folder / "data", "--tokenizer-path", folder / "tokenizer.model", "--output-dir",
         folder / name, "--quiet"])
    return [json.loads(line)["loss"] for line in (folder / name / "metrics.jsonl").read_text().splitlines()]


def torch_losses(options, folder, vocab_size, seed):
    out = run([options.python, ROOT / "benchmarks/peers/torch_reference_run.py", "--data", folder / "data", "--vocab-size", vocab_size, "--steps",
               options.steps, "--seed", seed, "--threads", options.threads])
    return [float(line) for line in out.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", help="a text file of a few hundred kB or more")
    parser.add_argument("--llm", default=str(ROOT / "build/bin/llm"))
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--vocab-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run([options.llm, "train-tokenizer", "--input", options.text, "--output", folder / "tokenizer.model", "--vocab-size", options.vocab_size])
        run([options.llm, "prepare-data", "--input", options.text, "--tokenizer-path", folder / "tokenizer.model", "--output", folder / "data"])
        arms = {"torch fp32": [], "llm 32-true": [], "llm bf16-mixed": []}
        for seed in range(1, options.seeds + 1):
            arms["torch fp32"].append(torch_losses(options, folder, options.vocab_size, seed))
            arms["llm 32-true"].append(llm_losses(options, folder, options.vocab_size, "32-true", seed))
            arms["llm bf16-mixed"].append(llm_losses(options, folder, options.vocab_size, "bf16-mixed", seed))
            print(f"seed {seed}: " + ", ".join(f"{name} {statistics.mean(runs[-1][-TAIL:]):.4f}" for name, runs in arms.items()), file=sys.stderr)
    means = {name: [statistics.mean(losses[-TAIL:]) for losses in runs] for name, runs in arms.items()}
    reference = means["torch fp32"]
    spread = max(reference) - min(reference)
    print(f"Loss after {options.steps} steps (mean of the last {TAIL}), {options.seeds} seeds; {datetime.date.today()}, "
          f"`{shlex.join(['benchmarks/loss_parity.py'] + sys.argv[1:])}`\n")
    print("| arm | mean | lowest seed | highest seed | from the reference |\n|---|---|---|---|---|")
    agree = True
    for name, values in means.items():
        distance = statistics.mean(values) - statistics.mean(reference)
        agree = agree and abs(distance) <= spread
        print(f"| {name} | {statistics.mean(values):.4f} | {min(values):.4f} | {max(values):.4f} | {distance:+.4f} |")
    print(f"\nSpread of the reference's seeds: {spread:.4f}; {'both arms lie within it' if agree else 'NOT all arms lie within it'}.")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
