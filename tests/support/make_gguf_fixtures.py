"""Writes tests/gguf/files/: blocks and metadata as the gguf package (PyPI) writes and reads them.
usage: make_gguf_fixtures.py [OUT_DIR]     needs: gguf==0.19.0, numpy"""
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFValueType as T

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "gguf" / "files"
READ = [Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.MXFP4]
WRITTEN = [Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0]
# Where a block's float16 scales lie: random bytes there could be NaN, which no model holds.
SCALES = {Q.F16: [0], Q.Q8_0: [0], Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2],
          Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}


def random_blocks(kind, random):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    count = 3 if values == 256 else 8 if values > 1 else 64
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES.get(kind, []):
        scale = (random.standard_normal(count) * 10.0 ** random.integers(-4, 2, count))
        blocks[:, at:at + 2] = scale.astype(np.float16).reshape(-1, 1).view(np.uint8)
    if kind == Q.BF16:
        blocks = (random.standard_normal(count).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        blocks = blocks.reshape(-1, 1).view(np.uint8)
    if kind == Q.MXFP4:
        blocks[:, 0] = [0, 1, 2, 120, 127, 128, 200, 254]
    return blocks.reshape(1, -1)


def source(random):
    """Blocks of 32: ordinary weights, ties, one sign, zeros, tiny and huge numbers."""
    rows = [random.standard_normal(32) * 0.02, random.standard_normal(32), np.zeros(32),
            np.arange(32) / 8 - 2, np.full(32, -1.5), np.abs(random.standard_normal(32)),
            random.standard_normal(32) * 1e-7, random.standard_normal(32) * 1e3,
            np.where(np.arange(32) % 2, 127, -127), np.arange(32) * 0.5 - 8,
            np.append(random.standard_normal(31) * 1e-30, 1e-38), np.append(np.zeros(31), 1e-3)]
    rows += [random.standard_normal(32) * 0.05 for _ in range(52)]
    return np.concatenate(rows).astype(np.float32).reshape(2, -1)


def write_blocks(path):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "blocks")
    for kind in READ:
        blocks = random_blocks(kind, random)
        with np.errstate(all="ignore"):
            expected = gguf.dequantize(blocks, kind).reshape(1, -1).astype(np.float32)
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
        writer.add_tensor(kind.name + ".expected", expected)
    numbers = source(random)
    writer.add_tensor("source", numbers)
    for kind in WRITTEN:
        with np.errstate(all="ignore"):
            made = gguf.quantize(numbers, kind)
        writer.add_tensor("source." + kind.name, made.view(np.uint8).reshape(2, -1), raw_dtype=kind)
    finish(writer)


def write_metadata(path):
    writer = gguf.GGUFWriter(path, "metadata")
    writer.add_custom_alignment(64)
    numbers = {"uint8": (T.UINT8, 200), "int8": (T.INT8, -100), "uint16": (T.UINT16, 60000),
               "int16": (T.INT16, -30000), "uint32": (T.UINT32, 4000000000), "int32": (T.INT32, -2000000000),
               "float32": (T.FLOAT32, 0.1), "bool": (T.BOOL, True), "uint64": (T.UINT64, 2**64 - 1),
               "int64": (T.INT64, -2**63), "float64": (T.FLOAT64, 0.1), "string": (T.STRING, "Grüße\n")}
    for name, (kind, value) in numbers.items():
        writer.add_key_value("one." + name, value, kind)
    arrays = {"uint8": (T.UINT8, [1, 2, 255]), "int16": (T.INT16, [-1, 5]), "uint32": (T.UINT32, [7]),
              "int32": (T.INT32, [-5, 6, 7]), "float32": (T.FLOAT32, [0.5, -1.25]), "bool": (T.BOOL, [True, False]),
              "int64": (T.INT64, [-9, 9]), "float64": (T.FLOAT64, [1e300, 2.0]),
              "string": (T.STRING, ["", "a", "▁b"])}
    for name, (kind, value) in arrays.items():
        writer.add_key_value("many." + name, value, T.ARRAY, sub_type=kind)
    writer.add_tensor("scalar", np.array(3.5, dtype=np.float32).reshape(1))
    writer.add_tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("cube", np.arange(24, dtype=np.float16).reshape(2, 3, 4))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_blocks(OUT / "blocks.gguf")
    write_metadata(OUT / "metadata.gguf")
