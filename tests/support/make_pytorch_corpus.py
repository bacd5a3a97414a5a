"""Writes fuzz/corpus/unpickler/: PyTorch .bin files, good ones and one per way to be bad.
usage: make_pytorch_corpus.py [OUT_DIR]   needs: torch (for the good ones)"""
import collections, io, struct, sys, zipfile
from pathlib import Path

import torch

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "fuzz" / "corpus" / "unpickler"
OUT.mkdir(parents=True, exist_ok=True)


def put(name, data):
    (OUT / name).write_bytes(data)


def saved(state, **how):
    out = io.BytesIO()
    torch.save(state, out, **how)
    return out.getvalue()


def archive(pickle, storages=(("0", bytes(16)),), more=(), folder="m"):
    """A ZIP file as torch.save lays it out, around any pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, content in ((f"{folder}/data.pkl", pickle), *((f"{folder}/data/{key}", data) for key, data in storages), *more):
            file.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


# ---- pickles by hand: protocol 2 ----
def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value):
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(8, "little", signed=True)
    return b"\x8a\x08" + raw


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def numbers(values):
    return b"(" + b"".join(integer(v) for v in values) + b"t"


def storage(key="0", elements=4, kind="FloatStorage"):
    return b"(" + text("storage") + named("torch", kind) + text(key) + text("cpu") + integer(elements) + b"tQ"


def tensor(shape=(2, 2), strides=(2, 1), offset=0, where=None):
    return (named("torch._utils", "_rebuild_tensor_v2") + b"(" + (where or storage()) + integer(offset) + numbers(shape) + numbers(strides)
            + b"\x89" + named("collections", "OrderedDict") + b")R" + b"tR")


def state(*items):
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in items) + b"u."


def one(value):
    return archive(state(("a", value)))


# ---- good ----
def good_state():
    base = torch.arange(12.0).view(3, 4)
    values = collections.OrderedDict(
        a=base, transposed=base.t(), shared=base[1:], bf16=torch.arange(3).to(torch.bfloat16), half=torch.ones(2, dtype=torch.float16),
        parameter=torch.nn.Parameter(torch.tensor([1.5, -2.0])), scalar=torch.tensor(7.0), empty=torch.zeros(0, 4), ids=torch.arange(4))
    values._metadata = collections.OrderedDict({"": {"version": 1}})
    return values


put("good_archive", saved(good_state()))
put("good_stream", saved(good_state(), _use_new_zipfile_serialization=False))
put("good_protocol_4", saved(good_state(), pickle_protocol=4))
put("good_plain_dictionary", saved(dict(good_state())))
put("good_float8", saved({"w": torch.tensor([0.5, -2.0, 448.0]).to(torch.float8_e4m3fn)}))
put("good_by_hand", one(tensor()))

# ---- names and calls ----
put("name_os_system", archive(b"\x80\x02" + named("os", "system") + text("true") + b"\x85R."))
put("name_on_stack", archive(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."))
put("name_builtins_eval", archive(state(("a", named("builtins", "eval") + b"(" + text("1") + b"tR"))))
put("name_torch_load", archive(state(("a", named("torch", "load") + b"(" + text("x") + b"tR"))))
put("name_numpy", archive(state(("a", named("numpy.core.multiarray", "_reconstruct") + b")R"))))
put("name_module", archive(b"\x80\x02" + named("transformers.modeling_utils", "PreTrainedModel") + b")R."))
put("name_control", archive(b"\x80\x02" + b"cos\x1b[2J\nsystem\n."))
put("name_endless", archive(b"\x80\x02c" + b"a" * 400))
put("opcode_inst", archive(b"\x80\x02(" + text("true") + b"ios\nsystem\n."))
put("opcode_obj", archive(b"\x80\x02(o."))
put("opcode_newobj", archive(b"\x80\x02" + named("collections", "OrderedDict") + b")\x81."))
put("opcode_ext", archive(b"\x80\x02\x82\x01."))
put("opcode_unknown", archive(b"\x80\x02\xff."))
put("opcode_text_persid", archive(b"\x80\x02Pmodule\n."))
put("call_storage", archive(state(("a", named("torch", "FloatStorage") + integer(4) + b"\x85R"))))
put("call_number", archive(state(("a", integer(4) + integer(4) + b"\x85R"))))
put("build_tensor", archive(b"\x80\x02" + tensor() + b"}b."))
put("persistent_module", archive(b"\x80\x02(" + text("module") + named("torch", "FloatStorage") + text("0") + text("cpu") + integer(4) + b"tQ."))

# ---- the machine ----
put("cut", archive(state(("a", tensor()))[:-20]))
put("no_stop", archive(b"\x80\x02}"))
put("empty_pickle", archive(b""))
put("text_past_end", archive(b"\x80\x02X\xff\xff\xff\x7fa."))
put("long_text_past_end", archive(b"\x80\x04\x8d" + struct.pack("<Q", 2**64 - 1) + b"a."))
put("nothing_to_pop", archive(b"\x80\x02R."))
put("below_mark", archive(b"\x80\x02K\x01(\x85."))
put("no_mark", archive(b"\x80\x02K\x01t."))
put("no_memo", archive(b"\x80\x02h\x07."))
put("left_over", archive(b"\x80\x02}}."))
put("newer_protocol", archive(b"\x80\x09}."))
put("not_utf8", archive(b"\x80\x02U\x02\xff\xfe."))
put("self_reference", archive(b"\x80\x02]q\x00h\x00a."))
put("deep", archive(b"\x80\x02" + b"(" * 5000 + b"t" * 5000 + b"."))
put("repeated_list", archive(b"\x80\x02" + b"](" + b"N" * 200 + b"eq\x00" + (named("collections", "OrderedDict") + b"h\x00\x85R0") + b"."))

# ---- tensors ----
put("offset_outside", one(tensor(offset=1)))
put("offset_negative", one(tensor(offset=-1)))
put("offset_huge", one(tensor(offset=2**62)))
put("stride_outside", one(tensor(strides=(3, 1))))
put("stride_negative", one(tensor(strides=(-2, 1))))
put("stride_wraps", one(tensor(strides=(2**62, 2**62))))
put("stride_zero_expands", one(tensor(shape=(2**31, 2**31), strides=(0, 0))))
put("shape_negative", one(tensor(shape=(-1, 2))))
put("shape_wraps", one(tensor(shape=(2**32, 2**32), strides=(0, 0))))
put("shape_nine", one(tensor(shape=(1,) * 9, strides=(1,) * 9)))
put("shape_longer_than_strides", one(tensor(shape=(2, 2), strides=(1,))))
put("shape_text", one(named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage() + integer(0) + text("2") + numbers((1,)) + b"\x89N" + b"tR"))
put("storage_negative", one(tensor(where=storage(elements=-4))))
put("storage_huge", one(tensor(where=storage(elements=2**62))))
put("storage_longer_than_entry", one(tensor(where=storage(elements=5))))
put("storage_shorter_than_entry", one(tensor(shape=(1,), strides=(1,), where=storage(elements=1))))
put("storage_absent", one(tensor(where=storage(key="7"))))
put("storage_climbs", one(tensor(where=storage(key="../data.pkl"))))
put("storage_two_types", archive(state(("a", tensor()), ("b", tensor(where=storage(kind="IntStorage"))))))
put("storage_complex", one(tensor(where=storage(kind="ComplexFloatStorage"))))

# ---- the dictionary ----
put("top_is_list", archive(b"\x80\x02]."))
put("value_is_number", archive(state(("epoch", integer(3)))))
put("value_is_dictionary", archive(state(("model", b"}"))))
put("key_is_number", archive(b"\x80\x02}(" + integer(1) + tensor() + b"u."))
put("name_twice", archive(state(("a", tensor()), ("a", tensor()))))

# ---- the archive ----
plain = archive(state(("a", tensor())))
directory = plain.index(b"PK\x01\x02")
put("zip_cut", plain[:-30])
put("zip_tail", plain + b"tail")
put("zip_directory_outside", plain[:-6] + struct.pack("<I", 0x7fffffff) + plain[-2:])
put("zip_many_entries", plain[:-12] + b"\xff\xff" + plain[-10:])
put("zip_no_local_header", plain[:directory + 42] + struct.pack("<I", 5) + plain[directory + 46:])
put("zip_local_name_differs", plain.replace(b"m/data.pkl", b"m/dbta.pkl", 1))
put("zip_size_past_end", plain[:directory + 20] + struct.pack("<II", 10**6, 10**6) + plain[directory + 28:])
put("zip_encrypted", plain[:directory + 8] + b"\x01\x00" + plain[directory + 10:])
second = plain.index(b"PK\x01\x02", directory + 4)
put("zip_overlap", plain[:directory + 20] + struct.pack("<II", 300, 300) + plain[directory + 28:])
put("zip_climbs", archive(state(("a", tensor())), more=[("../../etc/x", b"x")]))
put("zip_absolute", archive(state(("a", tensor())), more=[("/etc/x", b"x")]))
put("zip_no_pickle", archive(b".", folder="m").replace(b"data.pkl", b"date.pkl"))
put("zip_big_endian", archive(state(("a", tensor())), more=[("m/byteorder", b"big")]))
out = io.BytesIO()
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
    file.writestr("m/data.pkl", state(("a", tensor())) + b" " * 100)
put("zip_compressed", out.getvalue())
put("zip_entry_twice", archive(state(("a", tensor())), more=[("m/data/1", b"\xff" * 16)]).replace(b"m/data/1", b"m/data/0"))
put("zip_only_magic", b"PK\x03\x04")

# ---- the older form ----
stream = saved(collections.OrderedDict(a=torch.arange(4.0)), _use_new_zipfile_serialization=False)
put("stream_cut", stream[:-3])
put("stream_tail", stream + b"\0\0")
put("stream_wrong_length", stream[:-24] + struct.pack("<Q", 5) + stream[-16:])
put("stream_wrong_magic", stream.replace(b"\x6c\xfc\x9c", b"\x6c\xfc\x9d", 1))
put("stream_newer", stream.replace(b"M\xe9\x03.", b"M\xea\x03.", 1))
put("stream_big_endian", stream.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89", 1))
put("stream_only_magic", stream[:15])
put("empty", b"")
put("json", b'{"a": 1}')
put("text", b"not a model at all\n")
put("git_lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 7\n")
put("html", b"<!DOCTYPE html>\n<html><body>404</body></html>\n")
print(len(list(OUT.iterdir())), "files,", sum(f.stat().st_size for f in OUT.iterdir()), "bytes in", OUT)
