#!/usr/bin/env python3
"""Writes the characters on which Hugging Face's tokenizers and Unicode 14 (Python 3.11, the oldest table we meet) disagree.

usage: make_unicode_differences.py [lib/tokenizer/unicode_differences.cpp]      (needs the package tokenizers, 0.23, and Python 3.11)

tokenizers reads several Unicode tables: its regexes know Unicode 16, its normalisers Unicode 9, Punctuation Unicode 8. The output is C++.
"""
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0", "Python 3.11 is needed"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split()
SCRIPTS = ("Han Hiragana Katakana Latin Cyrillic Arabic Devanagari Kannada Telugu Lao Balinese Khmer Armenian Georgian Greek Hebrew "
           "Thai Hangul Bopomofo Common Inherited").split()


def matching(pattern):
    """Code points that are a match by themselves."""
    found = set()
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    for start in range(0, len(POINTS), 20000):
        chunk = POINTS[start:start + 20000]
        kept = set("".join(piece for piece, _ in split.pre_tokenize_str("\0".join(map(chr, chunk)))))
        found.update(c for c in chunk if chr(c) not in kept)
    return found


def isolated(pre_tokenizer):
    """Code points that become pieces of their own between two letters."""
    found = set()
    for start in range(0, len(POINTS), 2000):
        text = "x".join(["", *map(chr, POINTS[start:start + 2000]), ""])
        found.update(ord(piece) for piece, _ in pre_tokenizer.pre_tokenize_str(text) if len(piece) == 1 and piece != "x")
    return found


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def rows(items, width=100):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line])


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else "lib/tokenizer/unicode_differences.cpp"
    category = {c: name for name in CATEGORIES for c in matching(rf"\p{{{name}}}")}
    script = {c: name for name in SCRIPTS for c in matching(rf"\p{{{name}}}")}
    later = {c: name for c, name in category.items() if unicodedata.category(chr(c)) == "Cn"}
    stand_ins = {}  # the first old character of the same category, length and script; of any script for the rest
    for c in POINTS:
        old = unicodedata.category(chr(c))
        if c > 0x7F and old == category.get(c):
            length = len(chr(c).encode())
            stand_ins.setdefault((old, length, script.get(c)), c)
            if script.get(c) is None:
                stand_ins.setdefault((old, length), c)
    for c in POINTS:
        if c > 0x7F and unicodedata.category(chr(c)) == category.get(c):
            stand_ins.setdefault((category[c], len(chr(c).encode())), c)
    same = {}
    for c, name in later.items():
        key = (name, len(chr(c).encode()))
        same.setdefault((name, stand_ins.get((*key, script.get(c))) or stand_ins[key]), set()).add(c)
    later_rows = sorted((*r, name, stand_in) for (name, stand_in), points in same.items() for r in ranges(points))
    is_mark = {c for c, name in category.items() if name[0] == "M"}
    accents = normalizers.StripAccents()
    unknown = {c for c in is_mark if accents.normalize_str(chr(c)) != ""} | set(later)
    for form in ("NFD", "NFKC", "NFKD"):
        normalizer = getattr(normalizers, form)()
        unknown |= {c for c in POINTS if normalizer.normalize_str(chr(c)) != unicodedata.normalize(form, chr(c))}
    also_accents = {c for c in POINTS if c not in is_mark and accents.normalize_str(chr(c)) == ""}
    assert also_accents == {0x1CF2, 0x1CF3}, "text_rewriter.cpp knows these two"
    punctuation = {c for c, name in category.items() if name[0] == "P"} | {c for c in range(33, 127) if not chr(c).isalnum()}
    odd_punctuation = isolated(pre_tokenizers.Punctuation("isolated")) ^ punctuation
    odd_digits = isolated(pre_tokenizers.Digits(True)) ^ {c for c, name in category.items() if name[0] == "N"}
    lower = normalizers.Lowercase()
    changes = {c: ord(lower.normalize_str(chr(c))) for c in POINTS if lower.normalize_str(chr(c)) != chr(c).lower()}
    lower_rows = []
    for c, to in sorted(changes.items()):
        if lower_rows and lower_rows[-1][1] == c - 1 and lower_rows[-1][2] == to - c:
            lower_rows[-1][1] = c
        else:
            lower_rows.append([c, c, to - c])

    def plain(points):
        return rows(f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(points))
    with open(target, "w", encoding="utf-8") as out:
        out.write(f"""// The lists of unicode_differences.h, made by tests/support/make_unicode_differences.py.
#include "tokenizer/unicode_differences.h"

#include "tokenizer/unicode_text.h"

namespace llm::unicode {{
namespace {{

// Characters of Unicode 15 to 16 with class and stand-in.
constexpr LaterCharacters kLater[] = {{
{rows(f"{{0x{a:X}, 0x{b:X}, {dict(L='letter', M='mark', N='number', P='punctuation').get(n[0], 'no_class')}, {'true' if n[0] in 'LM' or n in ('Nd', 'Pc') else 'false'}, 0x{s:X}}}" for a, b, n, s in later_rows)}
}};

constexpr Range kUnknownToNormalizers[] = {{
{plain(unknown)}
}};

constexpr Range kOddPunctuation[] = {{
{plain(odd_punctuation)}
}};

constexpr Range kOddDigits[] = {{
{plain(odd_digits)}
}};

constexpr LowerCase kLowerCase[] = {{
{rows(f"{{0x{a:X}, 0x{b:X}, {d}}}" for a, b, d in lower_rows)}
}};

}}  // namespace

std::span<const LaterCharacters> later_characters() {{ return kLater; }}
std::span<const Range> unknown_to_normalizers() {{ return kUnknownToNormalizers; }}
std::span<const Range> odd_punctuation() {{ return kOddPunctuation; }}
std::span<const Range> odd_digits() {{ return kOddDigits; }}
std::span<const LowerCase> other_lower_case() {{ return kLowerCase; }}

}}  // namespace llm::unicode
""")
    print(len(later_rows), "later ranges;", len(ranges(unknown)), "unknown;", len(ranges(odd_punctuation)), "punctuation;", len(lower_rows), "lower")


if __name__ == "__main__":
    main()
