"""Trains a small tokenizer of each kind with Hugging Face's tokenizers and records what it makes of hard texts.

usage: make_tokenizer_fixtures.py [TARGET]      (tests/data/tokenizers; needs the package tokenizers, 0.23)

Each TARGET/<kind>/tokenizer.json comes with tokenizer_config.json and ids.json: a list of [text, ids, ids with the
template], where ids are those of encode(text, add_special_tokens=False). Deterministic.
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"""
         r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"""
         r""" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
MARK = "\u2581"

WORDS = ("the cat sat on a mat and it's we'll don't I've they're she'd CAN'T value 2024 3.14 100000 x_y foo(bar) naïve café "
         "Straße İstanbul Ελλάδα Москва 東京 日本語 한국어 हिन्दी العربية e\u0301 ﬁne Ａｂｃ ① ½ 🙂 👨‍👩‍👧 🏳️‍🌈 a\u0301b #tag @user "
         "https://example.org/?q=1&r=2 <b>bold</b> {json: [1,2]} -- ... !? $5 50% +1 \u200b zero Ⅳ ㍿ ｶﾞ ſ K").split(" ")
GAPS = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", " \n", "\t", "\r\n", "", "\u00a0", "\u3000", "    "]


def prose(rng, words):
    return "".join(rng.choice(WORDS) + rng.choice(GAPS) for _ in range(words))


def texts():
    rng = random.Random(7)
    out = ["", " ", "  ", "a", " a", "a ", "Hello, world!", "it's IT'S 'ſ we'LL", "1 12 123 1234 12345", "x = y\n\n\n  z\t\t1",
           "<s>not special</s> <|im_end|> <tool> TAG tagged  TAG  x", "\u2581literal mark\u2581", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 4,
           "\x00\x01\x7f", "e\u0301\u0302 \u1112\u1161\u11ab", "  lead and trail  ", "\r\n\r\n x \r", "\u180e\u2028\u2029\x85 end", "ÀÈÌ Ǆ ŒUVRE İ"]
    # Characters that came with different versions of Unicode, which normalisers, Punctuation and regexes know differently well.
    out += ["a\U0001E4D0\U0001E4F8b 7\U0001E4F9", "x\U00031350y \U0002EBF0", "\ua7cb\ua7dc \U00010D50\U00010D65", "\u0897\u08d3a\u0898e\u07fd",
            "\u32ff \u3300", "w\u2e43w\u2e4fw\u166dw\u061dw", "\U00011935\U00011930 \U00011938", "\U00011DE0\U00011DE9 \U00016EA0",
            "\u1cf2\u1cf3 \U0001171E", "\U00010D40\U00010D41 1\U00010D6E", "2\u00b2\u00bcx\u24b6\u200dy"]
    out += [prose(rng, rng.randrange(1, 14)) for _ in range(60)]
    for _ in range(60):  # any characters
        out.append("".join(chr(c) for c in (rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x3000), rng.randrange(0x3000, 0xD800),
                   rng.randrange(0xE000, 0xFFFE), rng.randrange(0x10000, 0x1FA00)]) for _ in range(rng.randrange(1, 25)))))
    return out


def corpus():
    rng = random.Random(3)
    return [prose(rng, 40) for _ in range(200)]


SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]


def template(tokenizer, bos="<s>", eos=None):
    single = f"{bos} $A" + (f" {eos}" if eos else "")
    names = [bos] + ([eos] if eos else [])
    return processors.TemplateProcessing(single=single, pair=single + " $B", special_tokens=[(n, tokenizer.token_to_id(n)) for n in names])


def byte_bpe(pre, size=600, normalizer=None, ignore_merges=False, post=None):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIALS, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if post:
        t.post_processor = post(t)
    return t


def sequence(pattern, **more):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated", **more),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def sentencepiece_bpe(prepend, pre=None, decoder_strip=True, size=700, steps=None):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = steps if steps is not None else ([normalizers.Prepend(MARK)] if prepend else []) + [normalizers.Replace(" ", MARK)]
    t.normalizer = normalizers.Sequence(steps) if steps else None
    t.pre_tokenizer = pre or pre_tokenizers.Split(MARK, "merged_with_next")  # while training only, see below
    chain = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoders.Sequence(chain + ([decoders.Strip(" ", 1, 0)] if decoder_strip else []))
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIALS + bytes_, show_progress=False, limit_alphabet=60))
    document = json.loads(t.to_str())
    document["added_tokens"] = [a for a in document["added_tokens"] if a["content"] in SPECIALS]
    if pre is None:
        document["pre_tokenizer"] = None
    t = Tokenizer.from_str(json.dumps(document))
    t.post_processor = template(t)
    return t


def unigram(byte_fallback, charsmap=None):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always")
    t.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme="always")
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if byte_fallback else []
    t.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=500 + len(bytes_), special_tokens=SPECIALS + bytes_, unk_token="<unk>", show_progress=False))
    document = json.loads(t.to_str())
    document["added_tokens"] = [a for a in document["added_tokens"] if a["content"] in SPECIALS]
    document["model"]["byte_fallback"] = byte_fallback
    for piece in document["model"]["vocab"]:
        piece[1] = round(piece[1], 4)
    t = Tokenizer.from_str(json.dumps(document))
    t.post_processor = template(t, eos="</s>")
    return t


def with_added(t):
    t.add_special_tokens([AddedToken("<|im_end|>", special=True, normalized=False), AddedToken("<|end|>", rstrip=True, special=True)])
    t.add_tokens([AddedToken("<tool>"), AddedToken("TAG", single_word=True), AddedToken("tagged", lstrip=True, rstrip=True),
                  AddedToken("Straße", normalized=True), AddedToken("  ", normalized=False)])
    return t


def word_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(True)])
    t.decoder = decoders.BPEDecoder("</w>")
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIALS, show_progress=False, end_of_word_suffix="</w>", limit_alphabet=50))
    return t


def kinds():
    yield "gpt2", byte_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))
    yield "gpt2_prefix", with_added(byte_bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)))
    yield "llama3", byte_bpe(sequence(LLAMA3), ignore_merges=True, post=template)
    yield "qwen2", with_added(byte_bpe(sequence(QWEN2), normalizer=normalizers.NFC()))
    yield "gpt4o", byte_bpe(sequence(GPT4O))
    yield "starcoder", byte_bpe(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    yield "llama2", sentencepiece_bpe(True)
    yield "gemma", with_added(sentencepiece_bpe(False, pre=pre_tokenizers.Split(" ", "merged_with_previous"), decoder_strip=False))
    yield "mistral_metaspace", with_added(sentencepiece_bpe(False, pre=pre_tokenizers.Metaspace(MARK, "first", True), steps=[]))
    yield "unigram", unigram(False)
    yield "unigram_bytes", unigram(True)
    yield "words", word_bpe()


def main():
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data/tokenizers")
    for name, tokenizer in kinds():
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}) + "\n")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        rows = [[t, tokenizer.encode(t, add_special_tokens=False).ids, tokenizer.encode(t).ids] for t in texts()]
        rows = [row + [tokenizer.decode(row[1], skip_special_tokens=True)] for row in rows]
        (folder / "ids.json").write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n")
        print(name, tokenizer.get_vocab_size(), sum(len(r[1]) for r in rows))


if __name__ == "__main__":
    main()
