"""Trains byte-level BPE on a text with HF tokenizers and with plait, and compares entry for entry:

    compare_training.py TEXT... [--vocab_size 50265] [--min_frequency 2] [--plait build/release/plait]

Prints both times and the first difference; exits 1 when there is one. Not part of the tests: for large texts.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer

PLAIT = Path(__file__).resolve().parent.parent.parent / "build" / "release" / "plait"


def model_of(path):
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    return model["vocab"], merges


def with_hf(args, path):
    start = time.time()
    t = ByteLevelBPETokenizer()
    t.train(args.files, vocab_size=args.vocab_size, min_frequency=args.min_frequency, show_progress=False,
            special_tokens=args.special_tokens.split(",") if args.special_tokens else [])
    t.save(str(path))
    return time.time() - start


def with_plait(args, path):
    start = time.time()
    options = dict(vocab_size=args.vocab_size, min_frequency=args.min_frequency, output_dir=path,
                   special_tokens=args.special_tokens)
    flat = [str(x) for key, value in options.items() for x in (f"--{key}", value)]
    subprocess.run([args.plait, "tokenizer", "train", "--files", *args.files, *flat], check=True)
    return time.time() - start


def first_difference(kind, a, b):
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return f"{kind} {i}: tokenizers {x}, plait {y}"
    return f"{kind}: tokenizers has {len(a)}, plait {len(b)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--vocab_size", type=int, default=50265)
    parser.add_argument("--min_frequency", type=int, default=2)
    parser.add_argument("--special_tokens", default="<s>,<pad>,</s>,<unk>,<mask>")
    parser.add_argument("--plait", default=str(PLAIT))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        theirs, ours = with_hf(args, work / "hf.json"), with_plait(args, work / "plait")
        vocab_a, merges_a = model_of(work / "hf.json")
        vocab_b, merges_b = model_of(work / "plait" / "tokenizer.json")
    size = sum(Path(f).stat().st_size for f in args.files) / 1e6
    print(f"{size:.1f} MB: tokenizers {theirs:.2f} s, plait {ours:.2f} s, {theirs / ours:.1f} times as fast")
    if merges_a != merges_b:
        print(first_difference("merge", merges_a, merges_b))
    if vocab_a != vocab_b:
        print(first_difference("entry", sorted(vocab_a, key=vocab_a.get), sorted(vocab_b, key=vocab_b.get)))
    if (merges_a, vocab_a) == (merges_b, vocab_b):
        print(f"equal: {len(vocab_a)} entries, {len(merges_a)} merges")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
