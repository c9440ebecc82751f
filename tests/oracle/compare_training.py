"""Trains a tokenizer on a text with plait and with HF tokenizers, and compares entry for entry:

    compare_training.py TEXT... [--tokenizer_type byte_level_bpe] [--vocab_size 50265] [--min_frequency 2]
                        [--plait build/release/plait]

Prints both times and the first difference; exits 1 when there is one. Of WordPiece and Unigram the entries are compared,
not their order: there tokenizers itself depends on the order of hash tables (of WordPiece even some of the last entries:
which of two pairs as frequent as each other is merged). Not part of the tests: for large texts.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tokenizers import Tokenizer, models, trainers

PLAIT = Path(__file__).resolve().parent.parent.parent / "build" / "release" / "plait"


def cpu_of(fn):
    """Seconds by the clock, and of the processors."""
    start, before = time.time(), os.times()
    fn()
    after = os.times()
    return time.time() - start, sum(after[:4]) - sum(before[:4])


def model_of(path):
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model.get("merges", [])]
    vocab = model["vocab"]
    return vocab if isinstance(vocab, dict) else dict(vocab), merges


def train_plait(args, path):
    options = dict(limit_alphabet=0, vocab_size=args.vocab_size, min_frequency=args.min_frequency, output_dir=path,
                   special_tokens=args.special_tokens, tokenizer_type=args.tokenizer_type)
    flat = [str(x) for key, value in options.items() for x in (f"--{key}", value)]
    subprocess.run([args.plait, "tokenizer", "train", "--files", *args.files, *flat], check=True)


def train_hf(args, ours, path):
    """With the normalizer, pre-tokenizer and alphabet of our tokenizer."""
    t = Tokenizer.from_file(str(ours))
    specials = args.special_tokens.split(",") if args.special_tokens else []
    common = dict(vocab_size=args.vocab_size, special_tokens=specials, show_progress=False)
    pairs = dict(min_frequency=args.min_frequency, **common)
    if args.tokenizer_type == "unigram":
        t.model = models.Unigram()
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **common)
    elif args.tokenizer_type == "wordpiece":
        t.model = models.WordPiece(unk_token="<unk>")
        trainer = trainers.WordPieceTrainer(**pairs)
    elif args.tokenizer_type == "sentencepiece_bpe":
        t.model = models.BPE()
        trainer = trainers.BpeTrainer(**pairs)
    else:
        t.model = models.BPE()
        trainer = trainers.BpeTrainer(min_frequency=args.min_frequency, initial_alphabet=bytes_alphabet(), **common)
    t.train(args.files, trainer)
    t.save(str(path))


def bytes_alphabet():
    from tokenizers.pre_tokenizers import ByteLevel
    return ByteLevel.alphabet()


def first_difference(kind, a, b):
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return f"{kind} {i}: tokenizers {x}, plait {y}"
    return f"{kind}: tokenizers has {len(a)}, plait {len(b)}"


def compare(kind, hf, ours):
    """The first difference, or None."""
    (vocab_a, merges_a), (vocab_b, merges_b) = hf, ours
    if kind in ("unigram", "wordpiece"):
        if set(vocab_a) != set(vocab_b):
            ours = sorted(set(vocab_b) - set(vocab_a))
            return f"{len(ours)} entries differ: tokenizers {sorted(set(vocab_a) - set(vocab_b))[:5]}, plait {ours[:5]}"
        return None
    if merges_a != merges_b:
        return first_difference("merge", merges_a, merges_b)
    if vocab_a != vocab_b:
        return first_difference("entry", sorted(vocab_a, key=vocab_a.get), sorted(vocab_b, key=vocab_b.get))
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--tokenizer_type", default="byte_level_bpe",
                        choices=["byte_level_bpe", "wordpiece", "unigram", "sentencepiece_bpe"])
    parser.add_argument("--vocab_size", type=int, default=50265)
    parser.add_argument("--min_frequency", type=int, default=2)
    parser.add_argument("--special_tokens", default="<s>,<pad>,</s>,<unk>,<mask>")
    parser.add_argument("--plait", default=str(PLAIT))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ours, hf = Path(work) / "plait", Path(work) / "hf.json"
        plait_time, plait_cpu = cpu_of(lambda: train_plait(args, ours))
        hf_time, hf_cpu = cpu_of(lambda: train_hf(args, ours / "tokenizer.json", hf))
        a, b = model_of(hf), model_of(ours / "tokenizer.json")
    size = sum(Path(f).stat().st_size for f in args.files) / 1e6
    print(f"{args.tokenizer_type}, {size:.1f} MB: tokenizers {hf_time:.2f} s ({hf_cpu:.2f} of processors), plait "
          f"{plait_time:.2f} s ({plait_cpu:.2f}): {hf_time / plait_time:.1f} times as fast, {hf_cpu / plait_cpu:.1f} by "
          "processor time")
    difference = compare(args.tokenizer_type, a, b)
    print(difference or f"equal: {len(b[0])} entries, {len(b[1])} merges")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
