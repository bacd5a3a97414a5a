"""Writes the inputs of the fuzz target tokenizer_json: small good files with every kind of part, and bad ones.

usage: make_tokenizer_corpus.py [TARGET]      (fuzz/corpus/tokenizer_json)
"""
import base64
import json
import pathlib
import sys

MARK = "\u2581"
END = {"id": 5, "content": "</s>", "special": True, "normalized": False}


def small(**changes):
    document = {
        "version": "1.0", "added_tokens": [END], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "post_processor": None, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", "ab c"]}}
    document.update(changes)
    return document


def model(**changes):
    document = small()
    document["model"].update(changes)
    return document


def split(pattern, **more):
    return small(pre_tokenizer={"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False, **more})


def normalizer(*steps):
    return small(normalizer={"type": "Sequence", "normalizers": list(steps)})


def unigram(**changes):
    pieces = [["<unk>", 0.0], ["a", -1.0], ["b", -2.0], ["ab", -2.5], [MARK, -1.5], ["</s>", 0.0]]
    return small(pre_tokenizer={"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always"}, decoder={"type": "Metaspace", "replacement": MARK},
                 model={"type": "Unigram", "unk_id": 0, "vocab": pieces, **changes})


def sentencepiece():
    pieces = ["<unk>", "<s>", "a", "b", MARK, "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["ab", MARK + "a"]
    return {"added_tokens": [END, {"id": 0, "content": "<unk>", "special": True}, {"id": 1, "content": "<s>", "special": True}],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK},
                                                               {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]},
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"},
                                                         {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": {p: i for i, p in enumerate(pieces)},
                      "merges": [["a", "b"], [MARK, "a"]]}}


def inputs():
    yield "good_bytes", small()
    yield "good_pairs", model(merges=[["a", "b"], ["ab", "c"]], ignore_merges=True)
    yield "good_unknown", model(unk_token="c", fuse_unk=True)
    yield "good_suffix", model(end_of_word_suffix="b", continuing_subword_prefix="a")
    yield "good_sentencepiece", sentencepiece()
    yield "good_unigram", unigram()
    yield "good_unigram_bytes", unigram(byte_fallback=True)
    yield "unigram_without_unk", unigram(unk_id=None)
    yield "unigram_unk_outside", unigram(unk_id=77)
    yield "good_llama3", split(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    yield "good_split_removed", split(r"\s+", behavior="Removed")
    yield "good_split_next", split(r"a", behavior="MergedWithNext", invert=True)
    yield "empty_matches", split(r"x*|$")
    yield "exploding_pattern", split(r"(?:a+)+$|(?:a|aa)+b")
    yield "bad_pattern", split(r"a|(b")
    yield "pattern_of_sets", split(r"[a-z&&[^c]]")
    yield "recursive_pattern", split(r"((?1)|a)")
    yield "lookbehind", split(r"(?<=a)b|(?<!c)\s")
    yield "good_forms", normalizer({"type": "NFKC"}, {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Nmt"},
                                   {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "a"},
                                   {"type": "Append", "append": "b"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    yield "charsmap", normalizer({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\x04\0\0\0\0\x04\0\0a\0").decode()})
    yield "charsmap_damaged", normalizer({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff\xff\xff\xff\0\0").decode()})
    yield "charsmap_no_base64", normalizer({"type": "Precompiled", "precompiled_charsmap": "a!b"})
    yield "good_steps", small(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "Whitespace"},
        {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}, {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "ByteLevel"}]})
    yield "good_added", small(added_tokens=[END, {"id": 6, "content": "the", "single_word": True, "lstrip": True, "rstrip": True, "normalized": True},
                                            {"id": 7, "content": "  ", "normalized": False}])
    yield "added_overlap", small(added_tokens=[{**END, "id": 4}])
    yield "added_gap", small(added_tokens=[{**END, "id": 1999999}])
    yield "added_empty", small(added_tokens=[END, {"id": 6, "content": ""}])
    yield "id_negative", model(vocab={"a": -1})
    yield "id_huge", model(vocab={"a": 18446744073709551615})
    yield "id_twice", model(vocab={"a": 0, "b": 0})
    yield "merge_unknown", model(merges=["a b", "a xyz"])
    yield "merge_joint_unknown", model(merges=["b c"])
    yield "merge_of_one", model(merges=["ab"])
    yield "merge_twice", model(merges=["a b", "a b", "ab c"])
    yield "merge_special", model(vocab={"a": 0, "b": 1, "<": 2, "/s>": 3, "x": 4, "</s>": 5}, merges=["< /s>"])
    yield "wordpiece", model(type="WordPiece")
    yield "dropout", model(dropout=0.5)
    yield "no_model", {"version": "1.0"}
    yield "types_mixed", {"model": [], "added_tokens": {}}
    yield "unknown_step", small(pre_tokenizer={"type": "UnicodeScripts"})
    nested = {"type": "ByteLevel"}
    for _ in range(25):
        nested = {"type": "Sequence", "pretokenizers": [nested, nested] if _ < 4 else [nested]}
    yield "nested_sequences", small(pre_tokenizer=nested)
    yield "template_without_text", small(post_processor={"type": "TemplateProcessing", "single": [], "special_tokens": {}})
    yield "template_outside", small(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}],
                                                    "special_tokens": {"x": {"ids": [99]}}})


def main():
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus/tokenizer_json")
    target.mkdir(parents=True, exist_ok=True)
    for name, document in inputs():
        (target / name).write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
    text = json.dumps(small())
    (target / "cut").write_text(text[:len(text) // 2])
    (target / "duplicate_key").write_text(text.replace('"b": 1', '"a": 1'))
    (target / "not_utf8").write_bytes(text.encode().replace(b"abc", b"a\xffc"))
    (target / "deep").write_text('{"model": ' + "[" * 5000)
    ranks = [bytes([b]) for b in range(256)] + [b"th", b"the", b" t", b" the"]
    tiktoken = "".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(ranks))
    (target / "good_tiktoken").write_text(tiktoken)
    (target / "tiktoken_gap").write_text(tiktoken.replace(" 200\n", " 201\n"))
    (target / "tiktoken_twice").write_text(tiktoken + "dGg= 260\n")
    (target / "tiktoken_damaged").write_text(tiktoken.replace("QQ==", "Q!=="))
    (target / "empty").write_text("")


if __name__ == "__main__":
    main()
