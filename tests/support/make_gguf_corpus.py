"""Writes fuzz/corpus/gguf/: one small file per rule of the format, kept or broken.
usage: make_gguf_corpus.py [OUT_DIR]"""
import struct
import sys
from pathlib import Path

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent.parent / "fuzz" / "corpus" / "gguf"
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value % 2**64)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return u64(len(value)) + value


def key(name, kind, value):
    return text(name) + u32(kind) + value


def array(kind, count, elements):
    return u32(kind) + u64(count) + elements


def texts(values):
    return array(STRING, len(values), b"".join(map(text, values)))


def tensor(name, sizes, kind=0, offset=0):
    return text(name) + u32(len(sizes)) + b"".join(map(u64, sizes)) + u32(kind) + u64(offset)


def gguf(keys=(), tensors=(), data=0, version=3, magic=b"GGUF", n_keys=None, n_tensors=None, align=32):
    out = magic + u32(version) + u64(len(tensors) if n_tensors is None else n_tensors) + u64(len(keys) if n_keys is None else n_keys)
    out += b"".join(keys) + b"".join(tensors)
    return out + bytes(-len(out) % align) + b"\x07" * data if data else out


LLAMA = [key("general.architecture", STRING, text("llama")), key("llama.block_count", U32, u32(1)), key("llama.context_length", U32, u32(64)),
         key("llama.embedding_length", U32, u32(32)), key("llama.feed_forward_length", U32, u32(32)),
         key("llama.attention.head_count", U32, u32(2)), key("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
         key("llama.rope.freq_base", F32, struct.pack("<f", 1e4))]
SPM = [key("tokenizer.ggml.model", STRING, text("llama")), key("tokenizer.ggml.tokens", ARRAY, texts(["<unk>", "<s>", "</s>", "a", "▁a", " "])),
       key("tokenizer.ggml.scores", ARRAY, array(F32, 6, struct.pack("<6f", 0, 0, 0, -1, -2, -3))),
       key("tokenizer.ggml.token_type", ARRAY, array(I32, 6, struct.pack("<6i", 2, 3, 3, 1, 1, 4)))]
BPE = [key("tokenizer.ggml.model", STRING, text("gpt2")), key("tokenizer.ggml.pre", STRING, text("llama-bpe")),
       key("tokenizer.ggml.tokens", ARRAY, texts(["a", "b", "ab", "<|end|>"])), key("tokenizer.ggml.merges", ARRAY, texts(["a b"])),
       key("tokenizer.ggml.token_type", ARRAY, array(I32, 4, struct.pack("<4i", 1, 1, 1, 3))), key("tokenizer.ggml.eos_token_id", U32, u32(3)),
       key("tokenizer.chat_template", STRING, text("{{ messages }}"))]
EMBEDDING = tensor("token_embd.weight", [32, 6])
FILES = {
    "good_llama": gguf(LLAMA + SPM, [EMBEDDING], 768),
    "good_rope_factors": gguf(LLAMA + SPM, [EMBEDDING, tensor("rope_freqs.weight", [8], 0, 768)], 800),
    "good_bpe": gguf(BPE), "good_spm": gguf(SPM), "good_empty": gguf(), "good_version_2": gguf(SPM, version=2),
    "good_types": gguf([key("k%d" % i, i, bytes(8)[:size]) for i, size in enumerate([1, 1, 2, 2, 4, 4, 4, 1, 8])]
                       + [key("u64", U64, u64(5)), key("i64", I64, u64(-5)), key("f64", F64, struct.pack("<d", 0.5))]
                       + [key("a%d" % i, ARRAY, array(i, 2, bytes(16)[:2 * size])) for i, size in enumerate([1, 1, 2, 2, 4, 4, 4, 1, 8])]),
    "good_blocks": gguf((), [tensor("q8", [32, 2], 8, 0), tensor("q4k", [256], 12, 96), tensor("bf", [3], 30, 256), tensor("s", [], 0, 288)], 292),
    "empty": b"", "magic": gguf(magic=b"GGML"), "header_cut": gguf()[:20], "version_1": gguf(version=1), "version_9": gguf(version=9),
    "big_endian": gguf(version=0x03000000), "n_tensors": gguf(n_tensors=-1), "n_keys": gguf(n_keys=-1),
    "n_keys_2_40": gguf(SPM, n_keys=2**40), "key_empty": gguf([key("", U8, b"x")]), "key_length": gguf([u64(-1) + b"x" * 20]),
    "key_not_utf8": gguf([key(b"\xff", U8, b"x")]), "key_twice": gguf([key("a", U8, b"x"), key("a", U8, b"y")]),
    "type": gguf([key("a", 99, b"x" * 16)]), "array_type": gguf([key("a", ARRAY, array(99, 1, b"x" * 16))]),
    "nested": gguf([key("a", ARRAY, array(ARRAY, 1, array(U8, 1, b"x" * 16)))]),
    "array_count": gguf([key("a", ARRAY, array(U64, 2**61 + 1, b"x" * 16))]),
    "strings_count": gguf([key("a", ARRAY, array(STRING, 2**40, text("x")))]), "string_length": gguf([key("a", STRING, u64(-1) + b"x" * 16)]),
    "bool": gguf([key("a", BOOL, b"\x02")]), "alignment_13": gguf([key("general.alignment", U32, u32(13))], [tensor("a", [4])], 16),
    "alignment_0": gguf([key("general.alignment", U32, u32(0))]), "alignment_type": gguf([key("general.alignment", F32, u32(32))]),
    "alignment_huge": gguf([key("general.alignment", U32, u32(2**31))], [tensor("a", [4])], 16),
    "alignment_1": gguf([key("general.alignment", U32, u32(1))], [tensor("a", [3], 1)], 6, align=1),
    "dimensions": gguf((), [tensor("a", [1] * 5)], 4), "dimension_0": gguf((), [tensor("a", [0])], 4),
    "dimension_negative": gguf((), [tensor("a", [4, -1])], 4), "ne_too_big": gguf((), [tensor("a", [2**63 - 1, 2])], 4),
    "product_wraps": gguf((), [tensor("a", [4194305, 4194305, 211106198978564])], 16), "nbytes_wraps": gguf((), [tensor("a", [2**62])], 16),
    "sum_wraps": gguf((), [tensor("a", [2**60], 0, 0), tensor("b", [2**60], 0, 2**62), tensor("c", [2**60], 0, 2**63)], 16),
    "format": gguf((), [tensor("a", [32], 77)], 64), "rows": gguf((), [tensor("a", [33], 2)], 64),
    "offset": gguf((), [tensor("a", [4], 0, 5)], 64), "offset_wraps": gguf((), [tensor("a", [4], 0, -32)], 64),
    "overlap": gguf((), [tensor("a", [16]), tensor("b", [16], 0, 32)], 128), "hole": gguf((), [tensor("a", [16]), tensor("b", [16], 0, 128)], 192),
    "tail": gguf((), [tensor("a", [16])], 128), "cut": gguf((), [tensor("a", [16])], 60), "tensor_twice": gguf((), [tensor("a", [16])] * 2, 128),
    "name_long": gguf((), [tensor("a" * 65, [16])], 64), "not_finite": gguf(LLAMA[:-1] + [key("llama.rope.freq_base", F32, u32(0x7FC00000))] + SPM,
                                                                        [EMBEDDING], 768),
    "heads_0": gguf(LLAMA[:5] + [key("llama.attention.head_count", U32, u32(0))], [EMBEDDING], 768),
    "unknown_key": gguf(LLAMA + [key("llama.logit_scale", F32, u32(0))], [EMBEDDING], 768),
    "split": gguf(LLAMA + [key("split.count", U16, b"\x02\x00")], [EMBEDDING], 768),
    "scores_short": gguf(SPM[:2] + [key("tokenizer.ggml.scores", ARRAY, array(F32, 1, bytes(4)))]),
    "token_type_9": gguf(SPM[:3] + [key("tokenizer.ggml.token_type", ARRAY, array(I32, 6, struct.pack("<6i", 2, 3, 3, 1, 1, 9)))]),
    "merge_one_piece": gguf(BPE[:3] + [key("tokenizer.ggml.merges", ARRAY, texts(["ab"]))]),
    "pre_unknown": gguf([BPE[0], key("tokenizer.ggml.pre", STRING, text("nobody"))] + BPE[2:]),
    "eos_beyond": gguf(SPM + [key("tokenizer.ggml.eos_token_id", U32, u32(6))]),
}

if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (OUT / name).write_bytes(content)
