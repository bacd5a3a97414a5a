#!/usr/bin/env python3
"""Compares our ids and decoded texts with those of Hugging Face's tokenizers: on files, line by line and whole, and on random UTF-8.

usage: check_tokenizer_parity.py TOKENIZER_DIR... [--texts FILE...] [--random 20000] [--bench build/benchmarks/tokenizer_bench]

Each TOKENIZER_DIR holds tokenizer.json. Needs the package tokenizers (0.23) and the program tokenizer_bench
(cmake --build build --target tokenizer_bench). Prints one line per tokenizer and set of texts. Decoded texts are compared where they are
valid UTF-8 there. Exit 1 at a difference, 77 without the package.
"""
import argparse
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

try:
    from tokenizers import Tokenizer
except ImportError:
    print("skipped: this Python has no package tokenizers")
    sys.exit(77)

PARTS = ["'s", "'LL", " ", "  ", "\n", "\r\n", "\t", "word", "Word", "é", "e\u0301", "12", "4567", "½", "٣", "!", "...", "$", "_", "\u00a0", "\u3000",
         "東京", "\u1112\u1161\u11ab", "한국", "🙂", "👨‍👩‍👧", "ſ", "\u2028", "\u200b", "Ⅳ", "ﬁ", "Ａ", "हिन्दी", "<s>", "</s>", "<|im_end|>", "\u2581", "\x00", "İ"]

# All planes with characters in them, and places where versions of Unicode differ.
AREAS = [(0x250, 0x3000), (0x3000, 0x10000), (0x10000, 0x20000), (0x20000, 0x32400), (0x897, 0x8E2), (0x1E4D0, 0x1E5FB), (0xA7CB, 0xA7DD), (0x10D40, 0x10D90)]


def random_text(rng):
    out = []
    for _ in range(rng.randrange(0, 30)):
        kind = rng.random()
        if kind < 0.7:
            out.append(rng.choice(PARTS))
        elif kind < 0.85:
            out.append(chr(rng.randrange(1, 0x250)))
        else:
            low, high = rng.choice(AREAS)
            code = rng.randrange(low, high)
            out.append(chr(code) if not 0xD800 <= code < 0xE000 else "x")
    return "".join(out)


def read_text(path):
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    return data.decode("utf-8", errors="replace")


class Ours:
    def __init__(self, bench, folder):
        self.process = subprocess.Popen([bench, "ids", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self, text):
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"tokenizer_bench ended with status {self.process.wait()} on {text[:200]!r}")
        return json.loads(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--texts", nargs="*", type=Path, default=[])
    parser.add_argument("--random", type=int, default=20000)
    parser.add_argument("--bench", default="build/benchmarks/tokenizer_bench")
    args = parser.parse_args()
    sets = {}
    for path in args.texts:
        text = read_text(path)
        sets[path.name] = text.splitlines(keepends=True) + [text]
    rng = random.Random(99)
    sets["random UTF-8"] = [random_text(rng) for _ in range(args.random)]
    wrong = 0
    for folder in args.folders:
        peer, ours = Tokenizer.from_file(str(folder / "tokenizer.json")), Ours(args.bench, folder)
        peer.no_truncation()
        for name, texts in sets.items():
            different, tokens = [], 0
            for text in texts:
                expected = peer.encode(text, add_special_tokens=False).ids
                tokens += len(expected)
                ids, decoded = ours.answer(text)
                back = peer.decode(expected, skip_special_tokens=True)
                if ids != expected or (decoded != back and "\ufffd" not in back):
                    different.append(text)
            print(f"{folder.name:20} {name:24} {len(texts):6} texts {tokens:9} tokens  {len(different)} different")
            for text in different[:3]:
                shown = text if len(text) < 200 else text[:200] + "..."
                print("   ", json.dumps(shown), "\n     ours ", ours.answer(text)[0][:40], "\n     peer ", peer.encode(text, add_special_tokens=False).ids[:40])
            wrong += len(different)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
