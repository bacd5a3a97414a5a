#!/usr/bin/env python3
"""From the start of the program to its first token, of `llm` and llama.cpp, on a model that lies in the page cache.

usage: load_time.py --model FILE.gguf [--llama-cpp PROGRAMS] [--rounds N] [--threads N]
       load_time.py --model DIRECTORY --peer-model FILE.gguf ...    a Hugging Face directory and the same model for llama.cpp

A process per measurement, from its start to its end with one token printed; the programs take turns, round after round, because the
machine's speed drifts. What counts is the ratio within a round: median and quartiles. Beside them: the start of each program with
nothing to load, and what opening the container with all checks takes (container_checks), as a share of the time to the first token
without the program's own start. Prints markdown.

  llm            llm generate --max-tokens 1
  llama.cpp      llama-completion -n 1, with its warm-up run and without; PROGRAMS is the folder that holds it

A model of the 349M shape with random weights:  benchmarks/peers/make_llama.py DIR; llm convert DIR --output FILE.gguf --type bf16
Build first: cmake --build build --target llm container_checks
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "Once upon a time"


def seconds(command):
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"load_time.py: error: {' '.join(map(str, command))}\n{done.stderr.decode(errors='replace')[-1000:]}")
    return time.perf_counter() - start


def quartiles(values):
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} ({lower:.3f}-{upper:.3f})"


def read_through(model):
    """Into the page cache; returns the bytes."""
    files = [path for path in model.iterdir() if path.is_file()] if model.is_dir() else [model]
    for path in files:
        with open(path, "rb") as file:
            while file.read(1 << 24):
                pass
    return sum(path.stat().st_size for path in files)


def arms(args):
    program = args.build / "bin" / "llm"
    all_arms = {"llm": [program, "generate", "--model-path", args.model, "--prompt", PROMPT, "--max-tokens", 1, "--temperature", 0, "--threads", args.threads,
                        "--quiet"],
                "llm, nothing to load": [program, "generate", "--help"]}
    if args.llama_cpp:
        peer = args.llama_cpp / "llama-completion"
        load = [peer, "-m", args.peer_model or args.model, "-p", PROMPT, "-n", 1, "--temp", 0, "-t", args.threads, "-c", 512, "-no-cnv"]
        all_arms |= {"llama.cpp": [*load, "--no-warmup"], "llama.cpp with its warm-up": load, "llama.cpp, nothing to load": [peer, "--version"]}
    return all_arms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--peer-model", type=Path)
    parser.add_argument("--llama-cpp", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    size = read_through(args.model)
    if args.peer_model:
        read_through(args.peer_model)
    times = {name: [] for name in arms(args)}
    for command in arms(args).values():
        seconds(command)
    for _ in range(args.rounds):
        for name, command in arms(args).items():
            times[name].append(seconds(command))
    print(f"{args.model.name}, {size / 2**20:.0f} MiB in the page cache, {args.threads} threads, {args.rounds} rounds\n")
    print("| program | seconds, median (quartiles) | llm / program |\n|---|---|---|")
    for name, values in times.items():
        ratio = "" if name.startswith("llm") else quartiles([ours / theirs for ours, theirs in zip(times["llm"], values)])
        print(f"| {name} | {quartiles(values)} | {'' if 'nothing' in name else ratio} |")
    if args.model.is_dir():
        return
    checks = json.loads(subprocess.run([args.build / "benchmarks" / "container_checks", args.model], capture_output=True, text=True, check=True).stdout)
    loading = statistics.median(times["llm"]) - statistics.median(times["llm, nothing to load"])
    print(f"\nOpening with all checks: {checks['microseconds'] / 1000:.1f} ms for {checks['tensors']} tensors, "
          f"{checks['microseconds'] / 1e4 / loading:.1f} % of the {loading:.2f} s between the program's start and its first token.")


if __name__ == "__main__":
    main()
