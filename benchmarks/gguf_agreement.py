#!/usr/bin/env python3
"""Does a model say the same here and in llama.cpp? Perplexity on a text, logits and greedy continuations, as tables for docs/gguf.md.

usage: gguf_agreement.py --llama-cpp SOURCE --model DIR --text FILE [--context N] [--windows N] [--work DIR] [--only LIST]

  SOURCE   a checkout of llama.cpp with its programs built in build/bin (or name the folder of programs with --programs)
  DIR      a model with a tokenizer; rows of 256 numbers are needed for the K formats

written    DIR goes to GGUF in every format this program writes; llama.cpp's llama-perplexity and window_perplexity count over the same
           windows. The difference of the two must stay within 0.1 %.
read       llama-quantize makes the formats that are only read. llama.cpp multiplies blocks with inputs rounded to 8 bits; here inputs
           stay float32. So three numbers: ours, llama.cpp's on the same file, llama.cpp's on the same weights turned to F32 by
           llama-quantize. The first and the last must agree within 0.1 %.
families   every model of tests/fixtures/hf that GGUF can say, exported in F32: llama.cpp's logits and greedy ids against those that
           transformers computed (expected.safetensors); and the models of tests/model/gguf, written anew, against ours.

Build first: cmake --build build --target llm window_perplexity model_logits. Exit status 1 where something does not agree.
"""
import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = ["f32", "f16", "bf16", "q8_0", "q4_0"]
READ = ["Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
LIMIT = 1e-3
GREEDY, PLACES = 32, 4


def output(*command, check=True):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace")
    if check and done.returncode != 0:
        sys.exit(f"gguf_agreement.py: error: {' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done


class Programs:
    def __init__(self, args, work):
        self.theirs = args.programs or args.llama_cpp / "build" / "bin"
        self.ours = args.build
        self.peer = work / "llama_cpp_logits"
        source = args.llama_cpp
        output("c++", "-std=c++17", "-O2", f"-I{source}/include", f"-I{source}/ggml/include", ROOT / "benchmarks/peers/llama_cpp_logits.cpp", "-o", self.peer,
               f"-L{self.theirs}", "-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{self.theirs}")

    def convert(self, model, to, kind):
        return output(self.ours / "bin" / "llm", "convert", model, "--output", to, "--type", kind, "--overwrite", "--quiet", check=False)

    def our_perplexity(self, args, model, ids):
        text = output(self.ours / "benchmarks" / "window_perplexity", model, args.text, args.context, args.windows, ids).stdout
        return float(re.search(r"perplexity ([\d.]+)", text)[1])

    def their_perplexity(self, args, model):
        extra = ["--chunks", args.windows] if args.windows else []
        done = output(self.theirs / "llama-perplexity", "-m", model, "-f", args.text, "-c", args.context, "-b", args.context, "-ctk", "f32", "-ctv", "f32", "-fa",
                      "off", "-t", args.threads, *extra)
        return float(re.search(r"Final estimate: PPL = ([\d.]+)", done.stdout + done.stderr)[1])

    def quantize(self, model, to, kind, *flags):
        output(self.theirs / "llama-quantize", *flags, model, to, kind, 2)

    def text_ids(self, model, text):
        ids = output(self.theirs / "llama-tokenize", "-m", model, "-f", text, "--ids", "--log-disable", "--no-parse-special", "--no-escape").stdout
        return array("i", json.loads(ids[ids.index("["):]))

    def logits(self, program, model, ids, count):
        """(logits, greedy ids)"""
        with tempfile.TemporaryDirectory() as folder:
            given, out = Path(folder) / "ids", Path(folder) / "out"
            given.write_bytes(ids.tobytes())
            done = output(program, model, given, out, count, check=False)
            if done.returncode != 0:
                return None, done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
            data = out.read_bytes()
        split = len(data) - 4 * count
        return array("f", data[:split]), list(array("i", data[split:]))


def same_greedy(programs, model, ids):
    """From PLACES of the text: how many continuations of 32 ids are the same."""
    same = 0
    for at in range(PLACES):
        first = at * (len(ids) - 48) // PLACES
        part = array("i", [ids[0]]) + ids[first + 1:first + 48]
        _, ours = programs.logits(programs.ours / "benchmarks" / "model_logits", model, part, GREEDY)
        _, theirs = programs.logits(programs.peer, model, part, GREEDY)
        same += ours == theirs
    return same


def written(programs, args, work):
    print("| written | ours | llama.cpp | difference | greedy continuations equal |\n|---|---|---|---|---|")
    agreed, ids_file = True, work / "ids"
    for kind in WRITTEN:
        model = work / f"model-{kind}.gguf"
        done = programs.convert(args.model, model, kind)
        if done.returncode != 0:
            sys.exit(done.stderr)
        ours, theirs = programs.our_perplexity(args, model, ids_file), programs.their_perplexity(args, model)
        ids = array("i", ids_file.read_bytes())
        same = same_greedy(programs, model, ids)
        agreed = agreed and abs(ours / theirs - 1) <= LIMIT
        print(f"| {kind.upper()} | {ours:.4f} | {theirs:.4f} | {(ours / theirs - 1) * 100:+.4f} % | {same} of {PLACES} |", flush=True)
    equal = ids == programs.text_ids(model, args.text)
    print(f"\nToken ids of the whole text ({len(ids)}): {'equal' if equal else 'DIFFERENT'}.\n")
    return agreed and equal


def read(programs, args, work):
    print("| read | ours | llama.cpp, weights as F32 | difference | llama.cpp, blocks with 8-bit inputs |\n|---|---|---|---|---|")
    source, agreed = work / "model-f32.gguf", True
    if not source.exists():
        programs.convert(args.model, source, "f32")
    for kind in READ:
        model, plain = work / f"theirs-{kind}.gguf", work / f"theirs-{kind}-f32.gguf"
        programs.quantize(source, model, kind, "--pure")
        programs.quantize(model, plain, "F32", "--allow-requantize")
        ours = programs.our_perplexity(args, model, work / "ids")
        exact, rounded = programs.their_perplexity(args, plain), programs.their_perplexity(args, model)
        plain.unlink()
        agreed = agreed and abs(ours / exact - 1) <= LIMIT
        print(f"| {kind} | {ours:.4f} | {exact:.4f} | {(ours / exact - 1) * 100:+.4f} % | {rounded:.4f} |", flush=True)
    print()
    return agreed


def safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:8 + size])
    kinds = {"F32": "f", "I64": "q", "I32": "i"}
    return {name: array(kinds[t["dtype"]], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for name, t in tensors.items() if name != "__metadata__"}


def is_too_short_for_long_rope(folder, tokens):
    """llama.cpp rounds contexts up to 256 and chooses the factors by the context, not by the text."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    original = config.get("original_max_position_embeddings", 0) or rope.get("original_max_position_embeddings", 0)
    return rope.get("rope_type") == "longrope" and tokens <= original < 256


def compare(name, programs, model, ids, wanted, greedy):
    limit = 5e-3 if name.startswith("gemma") else 1e-4  # llama.cpp looks GELU up in a table of float16
    logits, got = programs.logits(programs.peer, model, ids, len(greedy))
    if logits is None:
        print(f"| {name} | llama.cpp does not load it: {got[0]} | |", flush=True)
        return False
    cut = got[0] < 0  # a window became the context, which the ids fill
    difference = max(abs(x - y) for x, y in zip(logits, wanted, strict=not cut))
    said = f"(context {len(logits) * len(ids) // len(wanted)})" if cut else f"{len(greedy)} equal" if got == greedy else f"{got} for {greedy}"
    print(f"| {name} | {difference:.1e} | {said} |", flush=True)
    return difference < limit and (cut or got == greedy)


def families(programs, args, work):
    print("| fixture | largest logit difference | greedy ids |\n|---|---|---|")
    agreed = True
    for folder in sorted((ROOT / "tests/fixtures/hf").iterdir()):
        if not (folder / "expected.safetensors").exists():
            continue
        model = work / f"family-{folder.name}.gguf"
        done = programs.convert(folder, model, "f32")
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1].split(".gguf: ")[-1].split(";")[0]
            print(f"| {folder.name} | not written: {reason} | |")
            continue
        expected = safetensors(folder / "expected.safetensors")
        ids, greedy = array("i", expected["input_ids"]), list(expected["greedy_ids"])
        if is_too_short_for_long_rope(folder, len(ids) + len(greedy)):
            print(f"| {folder.name} | (llama.cpp takes the long factors for any context of 256) | |")
            continue
        agreed = compare(folder.name, programs, model, ids, expected["logits"], greedy) and agreed
    for file in sorted((ROOT / "tests/model/gguf").glob("*.gguf")):
        if file.name.endswith(".expected.gguf"):
            continue
        model = work / f"family-{file.stem.replace('phi3', 'phi')}.gguf"  # llama.cpp expects certain tokens of models named phi3
        programs.convert(file, model, "f32")
        ids = array("i", [1] + [3 + (7 * i * i + 11 * i) % 297 for i in range(39)])
        wanted, greedy = programs.logits(programs.ours / "benchmarks" / "model_logits", file, ids, 8)
        agreed = compare(file.name, programs, model, ids, wanted, greedy) and agreed
    print()
    return agreed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", type=Path, required=True)
    parser.add_argument("--programs", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--windows", type=int, default=0, help="0: all of the text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, help="keep the files there")
    parser.add_argument("--only", default="written,read,families")
    args = parser.parse_args()
    if not args.only == "families" and not (args.model and args.text):
        parser.error("--model and --text are needed for perplexities")
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
        programs = Programs(args, work)
        agreed = [part(programs, args, work) for name, part in (("written", written), ("read", read), ("families", families)) if name in args.only.split(",")]
    sys.exit(0 if all(agreed) else 1)


if __name__ == "__main__":
    main()
