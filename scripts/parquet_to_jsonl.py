#!/usr/bin/env python3
"""Parquet or Arrow/Feather files to JSON Lines on standard output, for `llm prepare-data --input -` and its kin.

    scripts/parquet_to_jsonl.py part-*.parquet > data.jsonl
    scripts/parquet_to_jsonl.py --columns text part-*.parquet | llm prepare-data --input - --tokenizer-path tokenizer.model

Needs pyarrow (pip install pyarrow). Reads batch by batch, so memory stays small.
"""
import argparse
import base64
import datetime
import decimal
import json
import sys


def batches(path, columns):
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    with open(path, "rb") as file:
        magic = file.read(6)
    if magic[:4] == b"PAR1":
        yield from parquet.ParquetFile(path).iter_batches(batch_size=1024, columns=columns)
        return
    with arrow.memory_map(path) as source:
        reader = arrow.ipc.open_file(source) if magic == b"ARROW1" else arrow.ipc.open_stream(source)
        whole = (reader.get_batch(i) for i in range(reader.num_record_batches)) if magic == b"ARROW1" else reader
        for batch in whole:
            yield batch.select(columns) if columns else batch


def plain(value):
    """What JSON has no form for."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--columns", help="only these, separated by commas")
    arguments = parser.parse_args()
    columns = arguments.columns.split(",") if arguments.columns else None
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        sys.exit("parquet_to_jsonl: pyarrow is missing: pip install pyarrow")
    for path in arguments.files:
        for batch in batches(path, columns):
            for row in batch.to_pylist():
                sys.stdout.write(json.dumps(row, ensure_ascii=False, default=plain) + "\n")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)
