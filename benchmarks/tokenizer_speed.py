#!/usr/bin/env python3
"""Encoding and training speed of our tokenizer beside tokenizers, tiktoken and SentencePiece, in one run, as ratios.

usage: tokenizer_speed.py TEXT [--rounds 7] [--sentencepiece-model FILE] [--vocab-size 8000]

One thread each (training: as many as the peer takes, RAYON_NUM_THREADS). The arms take turns, round after round; what counts is the
ratio within a round: its median and lower quartile. A byte-level BPE of --vocab-size pieces is trained on TEXT by Hugging Face's
trainer and used by all arms (tiktoken gets the same merges as ranks), with the patterns of GPT-2 and of Llama 3. Needs the Python
packages tokenizers, tiktoken and sentencepiece, and: cmake --build build --target tokenizer_bench
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import sentencepiece  # noqa: E402
import tiktoken  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
LLAMA3 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]


class Program:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(list(map(str, arguments)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"tokenizer_speed.py: error: tokenizer_bench ended with status {self.process.wait()}")
        return json.loads(line)["seconds"]


def timed(action):
    def run():
        start = time.perf_counter()
        action()
        return time.perf_counter() - start
    return run


def new_peer(pattern):
    peer = Tokenizer(models.BPE())
    if pattern == GPT2:
        peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        peer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                                      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    peer.decoder = decoders.ByteLevel()
    return peer


def train_peer(pattern, texts, size):
    peer = new_peer(pattern)
    peer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIALS, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return peer


def as_tiktoken(peer, pattern):
    """tiktoken wants ranks in the order of the merges; ids differ, the cuts do not."""
    alphabet = {}
    spare = 0
    for byte in range(256):
        printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        alphabet[chr(byte if printable else 256 + spare)] = byte
        spare += not printable
    pieces = sorted(peer.get_vocab().items(), key=lambda item: item[1])
    ranks = {}
    for text, _ in pieces:
        if text not in SPECIALS:
            ranks[bytes(alphabet[c] for c in text)] = len(ranks)
    return tiktoken.Encoding("same", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def rounds(arms, count):
    for action in arms.values():
        action()  # caches and clocks
    results = {name: [] for name in arms}
    names = list(arms)
    for i in range(count):
        for name in names[i % len(names):] + names[:i % len(names)]:
            results[name].append(arms[name]())
    return results


def report(title, results, ours, size):
    print(f"\n{title}\n\n| arm | MB/s (median) | ours is ... times as fast: median (lower quartile) |\n|---|---|---|")
    for name, seconds in results.items():
        ratios = sorted(s / o for s, o in zip(seconds, results[ours]))
        ratio = "" if name == ours else f"{statistics.median(ratios):.2f} ({ratios[len(ratios) // 4]:.2f})"
        print(f"| {name} | {size / statistics.median(seconds) / 1e6:.1f} | {ratio} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--sentencepiece-model", type=Path)
    parser.add_argument("--bench", default=str(ROOT / "build/benchmarks/tokenizer_bench"))
    args = parser.parse_args()
    text = args.text.read_text(encoding="utf-8")
    for special in SPECIALS:  # that tokenizers cuts out and tiktoken does not
        text = text.replace(special, special.strip("<>/"))
    size = len(text.encode())
    lines = text.splitlines(keepends=True)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    print(f"{datetime.date.today()}, {cpu}, {os.cpu_count()} CPUs; {args.text.name}, {size:,} bytes; vocabulary {args.vocab_size}; "
          f"{args.rounds} rounds\n\n    {' '.join(sys.argv)}")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "text.txt"
        source.write_text(text, encoding="utf-8")
        for name, pattern in (("GPT-2", GPT2), ("Llama 3", LLAMA3)):
            peer = train_peer(pattern, [text], args.vocab_size)
            path = Path(folder) / name.replace(" ", "")
            path.mkdir()
            peer.save(str(path / "tokenizer.json"))
            other = as_tiktoken(peer, pattern)
            # tiktoken ranks pieces, not merges: a piece that two merges make may cut a word in another place.
            counts = len(other.encode_ordinary(text)), len(peer.encode(text).ids)
            assert abs(counts[0] - counts[1]) < 1e-3 * counts[1], counts
            whole = {"llm": Program(args.bench, "encode", path, source), "tokenizers": timed(lambda: peer.encode(text)),
                     "tiktoken": timed(lambda: other.encode_ordinary(text))}
            report(f"**{name}, the text as one string**", rounds(whole, args.rounds), "llm", size)
            apart = {"llm": Program(args.bench, "lines", path, source), "tokenizers": timed(lambda: [peer.encode(line) for line in lines]),
                     "tiktoken": timed(lambda: [other.encode_ordinary(line) for line in lines])}
            report(f"**{name}, line by line ({len(lines):,} lines)**", rounds(apart, args.rounds), "llm", size)
        if args.sentencepiece_model:
            model = sentencepiece.SentencePieceProcessor(model_file=str(args.sentencepiece_model))
            arms = {"llm": Program(args.bench, "lines", args.sentencepiece_model, source),
                    "sentencepiece": timed(lambda: [model.encode(line) for line in lines])}
            report(f"**{args.sentencepiece_model.name}, line by line**", rounds(arms, args.rounds), "llm", size)
        training = {"llm": Program(args.bench, "train", args.vocab_size, source)}
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        training["tokenizers"] = timed(lambda: train_peer(GPT2, [text], args.vocab_size))
        report(f"**Training {args.vocab_size} pieces**", rounds(training, max(3, args.rounds // 2)), "llm", size)
        for name, hard in (("1 MB of one letter", "a" * 1_000_000), ("1 MB without a space", "".join(text.split())[:1_000_000])):
            path = Path(folder) / "hard.txt"
            path.write_text(hard, encoding="utf-8")
            seconds = Program(args.bench, "encode", Path(folder) / "GPT-2", path)()
            half = Path(folder) / "half.txt"
            half.write_text(hard[:len(hard) // 2], encoding="utf-8")
            half_seconds = Program(args.bench, "encode", Path(folder) / "GPT-2", half)()
            print(f"\n{name}: {seconds * 1e3:.0f} ms, half of it {half_seconds * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
