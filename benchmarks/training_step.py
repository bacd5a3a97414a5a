#!/usr/bin/env python3
"""The training step of `llm` beside PyTorch's, in one run, as ratios.

Every arm is a process of its own that stays alive and works only when told: a line "go" on its stdin makes it run --steps
steps, one JSON object per step on its stdout. The arms take turns, round after round, in an order that shifts by one each round, and
each round also measures the machine's ceilings, because speeds drift within minutes. What counts is the ratio of two
arms within a round: its median over the rounds, and its lower quartile. Prints a markdown section, ready for docs/performance.md.

  llm bf16, llm fp32       build/benchmarks/train_step_bench --precision bf16-mixed | 32-true
  torch bf16, torch fp32   benchmarks/peers/torch_training_step.py, eager (--compile adds two compiled arms)
  ceilings                 build/benchmarks/ceilings

Build first: cmake --build build --target train_step_bench ceilings
"""
import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHAPE = {"hidden-size": 384, "num-hidden-layers": 6, "num-attention-heads": 6, "intermediate-size": 1024, "vocab-size": 8192,
         "batch-size": 8, "seq-length": 256}
GOALS = [("llm bf16", "torch bf16", 1.4), ("llm bf16", "torch fp32", 2.8), ("llm fp32", "torch fp32", 1.15)]


class Arm:
    """One process that is told to work by a line on its stdin."""

    def __init__(self, name, command, lines_per_round, environment):
        self.name, self.command, self.lines_per_round = name, command, lines_per_round
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        except OSError as error:
            sys.exit(f"training_step.py: error: cannot start {command[0]}: {error.strerror}\nhint: {__doc__.strip().splitlines()[-1]}")
        self.rounds = []

    def work(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        records = []
        while len(records) < self.lines_per_round:
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"training_step.py: error: '{self.name}' ended with status {self.process.wait()} after {len(self.rounds)} rounds")
            if line.startswith("{"):
                records.append(json.loads(line))
        return records

    def measure(self):
        self.rounds.append(self.work())

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def speeds(self):
        """Tokens per second of each round: the median of its steps."""
        return [statistics.median(step["tokens_per_second"] for step in steps) for steps in self.rounds]


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def flop_per_token(shape, parameters):
    """6 N + 12 L d T, with N without the table of embeddings and no discount for the causal half."""
    weights = parameters - shape["vocab-size"] * shape["hidden-size"]
    return 6 * weights + 12 * shape["num-hidden-layers"] * shape["hidden-size"] * shape["seq-length"]


def cpu_name():
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        facts[key.strip()] = value.strip()
    return f"{facts.get('model name', platform.processor())} (family {facts.get('cpu family')}, model {facts.get('model')})"


def huge_pages():
    try:
        return Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        return "unknown"


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def report(options, arms, ceilings, parameters, versions):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    print(f"Training step, {parameters / 1e6:.1f}M parameters, batch {SHAPE['batch-size']} x {SHAPE['seq-length']} tokens, {options.threads} threads; "
          f"{options.rounds} rounds of {options.steps} steps per arm, interleaved.\n")
    print(f"- {now}, {cpu_name()}, {os.cpu_count()} CPUs, huge pages {huge_pages()}, torch {', '.join(sorted(versions))}")
    print(f"- `{shlex.join(['benchmarks/training_step.py'] + sys.argv[1:])}`")
    for key, unit in (("fp32_gflops", "GFLOP/s fp32 multiply-add"), ("bf16_gflops", "GFLOP/s bf16 dot"), ("read_gb_s", "GB/s read")):
        values = [steps[0][key] for steps in ceilings.rounds]
        print(f"- ceiling in the same rounds: {statistics.median(values):.0f} {unit} (from {min(values):.0f} to {max(values):.0f})")
    print()
    work = flop_per_token(SHAPE, parameters)
    rows = []
    for arm in arms:
        speeds = arm.speeds()
        key = "bf16_gflops" if "bf16" in arm.name else "fp32_gflops"
        shares = [speed * work / 1e9 / steps[0][key] for speed, steps in zip(speeds, ceilings.rounds) if steps[0][key] > 0]
        share = f"{100 * statistics.median(shares):.0f} %" if shares else "-"
        rows.append([arm.name, f"{statistics.median(speeds):,.0f}", f"{min(speeds):,.0f}", f"{max(speeds):,.0f}",
                     f"{statistics.median(speeds) * work / 1e9:.0f}", share, f"{arm.rounds[-1][-1]['loss']:.3f}"])
    table(["arm", "tok/s, median", "lowest", "highest", "GFLOP/s", "of the ceiling", "last loss"], rows)
    by_name = {arm.name: arm for arm in arms}
    rows, met = [], True
    pairs = GOALS + [(ours, name, None) for ours in ("llm bf16", "llm fp32") for name in by_name if "compiled" in name and ours[-4:] in name]
    for ours, theirs, goal in pairs:
        if ours not in by_name or theirs not in by_name:
            continue
        ratios = [a / b for a, b in zip(by_name[ours].speeds(), by_name[theirs].speeds())]
        low, middle, high = quartiles(ratios)
        met = met and (goal is None or low >= goal)
        rows.append([f"{ours} / {theirs}", f"{middle:.2f}", f"{low:.2f}", f"{high:.2f}", "-" if goal is None else f"{goal:.2f}",
                     "-" if goal is None else "yes" if low >= goal else "median only" if middle >= goal else "no"])
    table(["ratio within a round", "median", "lower quartile", "upper quartile", "goal", "met"], rows)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", default=str(ROOT / "build"), help="where train_step_bench and ceilings were built")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch, for the peers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="steps of each arm per round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="compare with torch.compile too")
    parser.add_argument("--arms", help="only these, by name, separated by commas")
    options = parser.parse_args()
    programs = Path(options.build_dir) / "benchmarks"
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    common = [f"--steps={options.steps}", f"--threads={options.threads}"] + [f"--{key}={value}" for key, value in SHAPE.items()]
    peer = [options.python, str(ROOT / "benchmarks/peers/torch_training_step.py")]
    commands = {"llm bf16": [str(programs / "train_step_bench"), "--precision=bf16-mixed"] + common,
                "llm fp32": [str(programs / "train_step_bench"), "--precision=32-true"] + common,
                "torch bf16": peer + ["--precision=bf16"] + common, "torch fp32": peer + ["--precision=fp32"] + common}
    if options.compile:
        commands |= {"torch bf16 compiled": peer + ["--precision=bf16", "--compile"] + common,
                     "torch fp32 compiled": peer + ["--precision=fp32", "--compile"] + common}
    if options.arms:
        commands = {name: commands[name] for name in options.arms.split(",")}
    arms = [Arm(name, command, options.steps, environment) for name, command in commands.items()]
    ceilings = Arm("ceilings", [str(programs / "ceilings"), "--on-request", "--threads", str(options.threads)], 1, environment)
    parameters, versions = 0, set()
    for arm in arms:  # the first steps of a process fill caches and fault in memory: not counted
        first = arm.work()[-1]
        versions.add(first.get("torch", ""))
        parameters = first.get("parameters", parameters)
    counted = {arm.name: arm.work()[-1].get("parameters", parameters) for arm in arms}
    if len(set(counted.values())) > 1:
        sys.exit(f"training_step.py: error: the arms are of different sizes: {counted}")
    for number in range(options.rounds):
        turn = number % len(arms)
        for arm in [ceilings] + arms[turn:] + arms[:turn]:
            arm.measure()
        print(f"round {number + 1}/{options.rounds}: " + ", ".join(f"{arm.name} {arm.speeds()[-1]:,.0f}" for arm in arms), file=sys.stderr)
    for arm in arms + [ceilings]:
        arm.close()
    sys.exit(0 if report(options, arms, ceilings, parameters, versions - {""}) else 1)


if __name__ == "__main__":
    main()
