#!/usr/bin/env python3
"""Keeps the tree in README.md true: rewrites it from what is on disk.

usage: scripts/readme_tree.py [--check]
What an entry is said to be stays as it stands in README.md; a new one takes the first sentence of its file's opening comment, a new folder the word
"new" for somebody to replace. Sources with a header share one entry. --check writes nothing and exits 1 where the tree would change.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["apps", "lib", "config", "scripts", "tests", "fuzz", "benchmarks", "examples", "cmake", "docs", ".ci"]
SOURCES = {"apps", "lib"}  # every file is an entry; elsewhere those that README.md names already and new scripts and headers
UNSEEN = re.compile(r"^tests/(data|fixtures)/.|/corpus|__pycache__|^fuzz/corpus")
WIDTH = 24


def opening(path):
    """The first sentence of the comment a file begins with."""
    words = []
    for line in path.read_text(errors="replace").splitlines()[:12]:
        text = re.sub(r'^(//|#!?|"""|<!--)\s?', "", line) if re.match(r'^(//|#|""")', line) else None
        if line.startswith("#!") or line.startswith("#include") or line.startswith("#pragma"):
            continue
        if text is None or (not text.strip() and words):
            break
        words.append(text.strip())
    sentence = re.split(r"(?<=[^.])\. |[:.]$|: ", " ".join(words).strip('" '))[0].rstrip(".:")
    if len(sentence) > 100:
        sentence = re.split(r"[,;?] ", sentence)[0]
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def read_tree(lines):
    said, folder = {}, ""
    for line in lines:
        match = re.match(r"^( *)(\S+)(?:\s+(.*))?$", line)
        if match:
            folder = folder if match[1] else match[2]
            said[folder + match[2] if match[1] else match[2]] = match[3] or ""
    return said


def entries(folder, said):
    """(shown name, description) of the files of one folder."""
    found = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith(".clang"):
            continue
        place = folder.relative_to(ROOT).as_posix() + "/"
        name = path.stem if place.split("/")[0] in SOURCES else path.name
        known = said.get(place + name)
        wanted = place.split("/")[0] in SOURCES or known is not None or (
            path.suffix in {".sh", ".py", ".h"} and not path.name.endswith("_test.sh") and "bad_inputs" not in place)
        if wanted and (name not in found or path.suffix == ".h"):
            found[name] = known or opening(path)
    return found.items()


def build(said):
    lines = []
    for top in FOLDERS:
        for folder in [ROOT / top] + sorted(path for path in (ROOT / top).rglob("*") if path.is_dir()):
            place = folder.relative_to(ROOT).as_posix() + "/"
            if UNSEEN.search(place) and place not in said:
                continue
            lines.append(f"{place:<{WIDTH}}  {said.get(place) or 'new'}".rstrip())
            lines += [f"  {name:<{WIDTH - 2}}  {text}".rstrip() for name, text in entries(folder, said)]
    return lines


def main():
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, rest = text.split("## The tree\n", 1)
    lead, old, after = rest.split("```", 2)
    new = "\n" + "\n".join(build(read_tree(old.strip("\n").splitlines()))) + "\n"
    if new == old:
        return 0
    if "--check" in sys.argv:
        print("README.md: the tree is not what is on disk; scripts/readme_tree.py rewrites it")
        return 1
    readme.write_text(before + "## The tree\n" + lead + "```" + new + "```" + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
