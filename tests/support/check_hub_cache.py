#!/usr/bin/env python3
"""Compares a cache that `llm download` filled with what huggingface_hub makes of the same server.

usage: check_hub_cache.py CACHE REPO, with HF_ENDPOINT set. Exit 77 where huggingface_hub is not installed.
Names, links, and the bytes of blobs and refs must be equal. Locks, and the listings that newer versions keep
(trees/, .no_exist/), are each program's own business.
"""
import os
import sys
import tempfile

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_XET"] = "1"
try:
    import huggingface_hub
except ImportError:
    sys.exit(77)


def tree(cache):
    found = {}
    for folder, folders, files in os.walk(cache):
        folders[:] = [name for name in folders if name not in (".locks", ".no_exist", "trees")]
        for name in files:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, cache)
            if name == "CACHEDIR.TAG":
                continue
            found[key] = "-> " + os.readlink(path) if os.path.islink(path) else open(path, "rb").read()
    return found


cache, repo = sys.argv[1:]
ours = tree(cache)
with tempfile.TemporaryDirectory() as other:
    huggingface_hub.snapshot_download(repo, cache_dir=other)
    theirs = tree(other)
for key in sorted(ours.keys() | theirs.keys()):
    if ours.get(key) != theirs.get(key):
        sys.exit(f"{key}: {str(ours.get(key))[:80]} here, {str(theirs.get(key))[:80]} from huggingface_hub")

# What one program loaded, the other finds without a request.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
path = huggingface_hub.snapshot_download(repo, cache_dir=cache, local_files_only=True)
info = huggingface_hub.scan_cache_dir(cache)
assert not info.warnings, info.warnings
assert os.path.exists(os.path.join(path, "config.json")), path
print(f"huggingface_hub {huggingface_hub.__version__}: the same {len(ours)} files and links")
