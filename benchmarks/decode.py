#!/usr/bin/env python3
"""Text generation of `llm` beside Hugging Face transformers, in one run, as ratios.

Each arm is a process of its own that works only when told: a line "go" on its stdin gives one JSON object on its stdout. The arms take turns, round after
round, and each round also measures the machine's read speed, because speeds drift within minutes. What counts is the ratio within a
round: its median over the rounds and its lower quartile. Prints a markdown section, ready for docs/performance.md.

  llm            build/benchmarks/decode_bench, all weights read once per token from packed panels
  llm int8 ...   the same with --quantize, one arm for each of the option's words
  transformers   benchmarks/peers/transformers_decode.py, bfloat16, greedy
  ceilings       build/benchmarks/ceilings

A model of the 349M shape with random weights:  benchmarks/peers/make_llama.py DIR
Build first: cmake --build build --target decode_bench ceilings
"""
import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOAL = 2.5


class Arm:
    def __init__(self, name, command, environment):
        self.name, self.rounds = name, []
        try:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        except OSError as error:
            sys.exit(f"decode.py: error: cannot start {command[0]}: {error.strerror}\nhint: {__doc__.strip().splitlines()[-1]}")

    def work(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"decode.py: error: '{self.name}' ended with status {self.process.wait()}")
        return json.loads(line)

    def measure(self):
        self.rounds.append(self.work())

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def values(self, key):
        return [record[key] for record in self.rounds]


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown CPU"


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def report(options, arms, ceilings):
    ours, theirs, coded = arms[0], arms[1], arms[2:]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    first = ours.rounds[0]
    print(f"Decoding, {first['parameters'] / 1e6:.0f}M parameters in {first['dtype']}, batch {options.batch}, prompt 8, {options.new_tokens} new tokens, "
          f"{options.threads} threads; {options.rounds} interleaved rounds.\n")
    print(f"- {now}, {cpu_name()}, {os.cpu_count()} CPUs, torch {theirs.rounds[0]['torch']}")
    print(f"- `{shlex.join(['benchmarks/decode.py'] + sys.argv[1:])}`")
    read = ceilings.values("read_gb_s")
    print(f"- read speed in the same rounds: {statistics.median(read):.1f} GB/s (from {min(read):.1f} to {max(read):.1f})\n")
    row("arm", "decode tok/s, median", "lowest", "highest", "weights read, GB/s", "of the read speed", f"prefill {options.prompt}, tok/s")
    row(*["---"] * 7)
    for arm in arms:
        speeds = arm.values("tokens_per_second")
        shares = [] if arm is theirs else [gb_s / ceiling for gb_s, ceiling in zip(arm.values("gb_s"), read)]
        gb_s = f"{statistics.median(arm.values('gb_s')):.1f}" if shares else "-"
        share = f"{100 * statistics.median(shares):.0f} %" if shares else "-"
        row(arm.name, f"{statistics.median(speeds):.1f}", f"{min(speeds):.1f}", f"{max(speeds):.1f}", gb_s, share,
            f"{statistics.median(arm.values('prefill_tokens_per_second')):.0f}")
    print()
    row("llm / transformers, within a round", "median", "lower quartile", "upper quartile", "goal", "met")
    row(*["---"] * 6)
    met = True
    for name, key, goal in (("decode", "tokens_per_second", GOAL if options.batch == 1 else None), ("prefill", "prefill_tokens_per_second", None)):
        low, middle, high = quartiles([a / b for a, b in zip(ours.values(key), theirs.values(key))])
        met = met and (goal is None or low >= goal)
        row(name, f"{middle:.2f}", f"{low:.2f}", f"{high:.2f}", "-" if goal is None else goal,
            "-" if goal is None else "yes" if low >= goal else "median only" if middle >= goal else "no")
    for arm in coded:
        for name, key in (("decode", "tokens_per_second"), ("prefill", "prefill_tokens_per_second")):
            low, middle, high = quartiles([a / b for a, b in zip(arm.values(key), ours.values(key))])
            row(f"{name}, {arm.name} / llm", f"{middle:.2f}", f"{low:.2f}", f"{high:.2f}", "-", "-")
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model directory")
    parser.add_argument("--build-dir", default=str(ROOT / "build"), help="where decode_bench and ceilings were built")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch and transformers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--quantize", default="", help="arms with weights in codes, separated by commas: int8,fp8,int4")
    options = parser.parse_args()
    programs = Path(options.build_dir) / "benchmarks"
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    common = [options.model, "--threads", options.threads, "--new-tokens", options.new_tokens, "--prompt", options.prompt, "--batch", options.batch]
    arms = [Arm("llm", [programs / "decode_bench"] + common, environment),
            Arm("transformers", [options.python, ROOT / "benchmarks/peers/transformers_decode.py"] + common, environment)]
    for codes in filter(None, options.quantize.split(",")):
        arms.append(Arm(f"llm {codes}", [programs / "decode_bench"] + common + ["--quantize", codes], environment))
    ceilings = Arm("ceilings", [programs / "ceilings", "--on-request", "--threads", options.threads], environment)
    for arm in arms + [ceilings]:
        arm.work()  # the first round of a process fills caches and faults in memory: not counted
    for number in range(options.rounds):
        for arm in [ceilings] + (arms if number % 2 == 0 else arms[::-1]):
            arm.measure()
        print(f"round {number + 1}/{options.rounds}: read {ceilings.rounds[-1]['read_gb_s']:.1f} GB/s, "
              + ", ".join(f"{arm.name} {arm.rounds[-1]['tokens_per_second']:.1f} tok/s" for arm in arms), file=sys.stderr)
    for arm in arms + [ceilings]:
        arm.close()
    sys.exit(0 if report(options, arms, ceilings) else 1)


if __name__ == "__main__":
    main()
