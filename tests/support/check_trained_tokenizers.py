#!/usr/bin/env python3
"""Trains tokenizers with `llm train-tokenizer --hf-output` and opens them with Hugging Face's tokenizers: the same ids, the same merges.

usage: check_trained_tokenizers.py PROGRAM TOKENIZER_BENCH WORK [TEXT]

PROGRAM is the llm binary, WORK a folder to write to, TEXT what to learn from (otherwise sentences made up here). Compared are texts without
what only this program keeps (NUL, U+2581). Exit 0: all equal; 1: some are not; 77: no package tokenizers here.
"""
import json
import pathlib
import random
import subprocess
import sys

try:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
except ImportError:
    print("skipped: this Python has no package tokenizers")
    sys.exit(77)

from check_tokenizer_parity import Ours, random_text

SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
BYTES = ["--byte-fallback", "false"]
KINDS = {"bpe": (420, []), "unigram": (380, []), "bpe without bytes": (300, BYTES), "unigram without bytes": (130, BYTES), "byte-bpe": (420, [])}
WORDS = ("the a cat sat on mat and it's we'll looked at birds 2024 3.14 naïve café Straße Москва 東京 日本語 한국어 हिन्दी 🙂 https://example.org/?q=1 "
         "x_y foo(bar) -- ... water river seven twelve number Line").split()


def made_up(rng):
    return "".join("".join(rng.choice(WORDS) + rng.choice([" ", " ", "  ", ", ", ". "]) for _ in range(rng.randrange(3, 12))) + "\n" for _ in range(1500))


def merges_of(path):
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in json.loads(path.read_text())["model"]["merges"]]


def peer_merges(text, size, work):
    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.train_from_iterator([text], trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIALS, show_progress=False,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    peer.save(str(work / "peer.json"))
    return merges_of(work / "peer.json")


def main():
    program, bench, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(5)
    source = work / "text.txt"
    source.write_text(pathlib.Path(sys.argv[4]).read_text() if len(sys.argv) > 4 else made_up(rng), encoding="utf-8")
    text = source.read_text(encoding="utf-8")
    texts = [line for line in text.splitlines(keepends=True)[:2000]] + [text[:200_000]]
    texts += [t for t in (random_text(rng) for _ in range(2000)) if "\0" not in t and "\u2581" not in t]
    wrong = 0
    for kind, (size, options) in KINDS.items():
        size = 2000 if len(sys.argv) > 4 else size
        model_type = kind.split(" ")[0]
        target = work / kind.replace(" ", "_")
        file = target / ("tokenizer.json" if model_type == "byte-bpe" else "own.model")
        target.mkdir(exist_ok=True)
        subprocess.run([program, "train-tokenizer", "--input", source, "--model-type", model_type, "--vocab-size", str(size), "--output", file,
                        "--hf-output", target / "hf", *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer, ours = Tokenizer.from_file(str(target / "hf" / "tokenizer.json")), Ours(bench, file)
        reread = Ours(bench, target / "hf" / "tokenizer.json")
        different = []
        for sample in texts:
            expected = peer.encode(sample, add_special_tokens=False).ids
            if reread.answer(sample)[0] != expected or (not any(s in sample for s in SPECIALS) and ours.answer(sample)[0] != expected):
                different.append(sample)
        print(f"{kind:22} {len(texts)} texts, {len(different)} with other ids in tokenizers")
        for sample in different[:3]:
            print("   ", json.dumps(sample[:200]), "\n     ours  ", ours.answer(sample)[0][:40], "\n     reread", reread.answer(sample)[0][:40],
                  "\n     peer  ", peer.encode(sample, add_special_tokens=False).ids[:40])
        wrong += len(different)
    mine, theirs = merges_of(work / "byte-bpe" / "tokenizer.json"), peer_merges(text, size, work)
    print(f"byte-bpe: {len(mine)} merges, {'the same' if mine == theirs else 'not those'} of the trainer of tokenizers")
    sys.exit(1 if wrong or mine != theirs or not mine else 0)


if __name__ == "__main__":
    main()
