"""Opens models that `llm convert` wrote with transformers: no message about missing, unexpected or mis-shaped keys, the same logits.

usage: check_hf_export.py PROGRAM FIXTURES WORK RUN [NAME...]
PROGRAM is the llm binary, FIXTURES tests/fixtures/hf, WORK a folder to write to, RUN a run trained here, whose exported tokenizer must cut texts there
as it does here. Exit 0: all equal; 1: some are not; 77: no transformers here.
"""
import pathlib
import subprocess
import sys

BOUND = 1e-4


def converted(program, source, target, *options):
    subprocess.run([program, "convert", source, "--output", target, "--overwrite", "--quiet", *options], check=True,
                   stdout=subprocess.DEVNULL)
    return target


def faults(directory, ids, wanted, bound):
    """What transformers has to say about the directory, as a list of words; empty where all is well."""
    import torch
    import transformers
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True, attn_implementation="eager")
    found = [f"{kind} {sorted(map(str, names))[:3]}" for kind, names in info.items() if names]
    with torch.no_grad():
        difference = (model.eval()(ids[None], use_cache=False).logits[0].float() - wanted).abs().max().item()
    if not difference <= bound:
        found.append(f"logits differ by {difference:.1e}")
    return found, difference


TEXTS = ("Line 7: the cat number 49 sat on the mat", "  two  spaces, a\ttab\nand lines\n\n", "Grüße, 東京, 👍🏽", "</s> stays text")


def tokenizer_faults(program, directory):
    """Texts that transformers cuts into other tokens than this program does."""
    import transformers
    theirs, wrong = transformers.AutoTokenizer.from_pretrained(directory), []
    for text in TEXTS:
        rows = subprocess.run([program, "inspect", directory, "--tokens", text], check=True, capture_output=True, text=True).stdout
        ours = [int(row.split()[0]) for row in rows.splitlines()[1:] if row[:7].strip().isdigit()]
        ids = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
        if ids != ours or theirs.decode(ids) != text:
            wrong.append(f"{text!r} is {ids} there and {ours} here")
    return wrong


def main():
    program, fixtures, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    try:
        import transformers
        from safetensors.torch import load_file
    except ImportError as error:
        print(f"skipped: {error}")
        return 77
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    work.mkdir(parents=True, exist_ok=True)
    names = sys.argv[5:] or sorted(folder.name for folder in fixtures.iterdir() if folder.is_dir())
    found = tokenizer_faults(program, converted(program, sys.argv[4], work / "run"))
    print(f"{'tokenizer of a run':28} {'; '.join(found) or f'the same ids for {len(TEXTS)} texts'}")
    wrong = bool(found)
    for name in names:
        expected = load_file(fixtures / name / "expected.safetensors")
        # Through this program's own reading and writing: whole in float32, then in shards.
        whole = converted(program, fixtures / name, work / name, "--type", "f32")
        shards = converted(program, whole, work / f"{name}-shards", "--max-shard-size", "30KB")
        for form in (whole, shards):
            found, difference = faults(form, expected["input_ids"], expected["logits"], BOUND)
            wrong += bool(found)
            print(f"{form.name:28} logits {difference:.1e}  {'; '.join(found) or 'no message'}")
    print(f"{len(names)} models, transformers {transformers.__version__}, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
