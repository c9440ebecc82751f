"""Goldens for the models of tokenizers and for the files they are read from, as HF tokenizers and
transformers take them.

tests/golden/tokenizer_models/ holds, as tests/golden/tokenizer does (tokenizer.py; its lines.jsonl serves
both),
    encoders.txt           names of the directories under encode/
    encode/NAME/           a tokenizer directory, and beside its files ids.jsonl and the like
"""
import random
import sys

from tokenizers import Tokenizer, models, pre_tokenizers

import tokenizer as goldens
from common import GOLDEN, dump, fresh, write_lines
from lines import LINES

OUT = GOLDEN / "tokenizer_models"
BYTES = [f"<0x{i:02X}>" for i in range(256)]


def characters(count):
    """The most frequent characters of the lines, so that some stay unknown."""
    seen = {}
    for c in "".join(LINES):
        seen[c] = seen.get(c, 0) + 1
    return [c for c, _ in sorted(seen.items(), key=lambda x: (-x[1], x[0]))[:count]]


def pieces(rng, count, most):
    """Substrings of the lines."""
    out = {}
    while len(out) < count:
        line = rng.choice(LINES)
        if len(line) < 2:
            continue
        at = rng.randrange(len(line) - 1)
        out[line[at:at + rng.randint(2, most)]] = None
    return list(out)


def save(name, model, pre=None):
    t = Tokenizer(model)
    if pre:
        t.pre_tokenizer = pre
    goldens.OUT, kept = OUT, goldens.OUT
    goldens.write_encoder(name, t, decode=True)
    goldens.OUT = kept


def bpe(rng, **options):
    """Merges made at random: of entries there are already, so that any order of ranks comes up."""
    prefix = options.get("continuing_subword_prefix") or ""
    suffix = options.get("end_of_word_suffix") or ""
    vocab = ["<unk>"] + (BYTES if options.get("byte_fallback") else [])
    chars = characters(120)
    vocab += chars + [prefix + c for c in chars if prefix] + [c + suffix for c in chars if suffix]
    vocab += [prefix + c + suffix for c in chars if prefix and suffix]
    ids = {t: i for i, t in enumerate(vocab)}
    merges = []
    for piece in pieces(rng, 1500, 7):
        at = rng.randint(1, len(piece) - 1)
        first, rest = rng.choice(["", prefix]) + piece[:at], prefix + piece[at:] + rng.choice(["", suffix])
        if first in ids and rest in ids and (first, rest) not in merges:
            merges.append((first, rest))
            ids.setdefault(first + rest[len(prefix):], len(ids))
    rng.shuffle(merges)
    return models.BPE(vocab=ids, merges=merges, **options)


def wordpiece(rng, **options):
    prefix = options.get("continuing_subword_prefix", "##")
    vocab = {"[UNK]": 0}
    for c in characters(100):
        for t in (c, prefix + c):
            vocab.setdefault(t, len(vocab))
    for piece in pieces(rng, 800, 6):
        vocab.setdefault(rng.choice(["", prefix]) + piece.strip(), len(vocab))
    return models.WordPiece(vocab=vocab, unk_token="[UNK]", **options)


def unigram(rng, unk_id=2, byte_fallback=False, ties=False):
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(b, 0.0) for b in BYTES if byte_fallback]
    for piece in characters(120 if unk_id is not None else 100000) + pieces(rng, 1200, 9):
        score = -float(rng.randint(1, 4)) if ties else -rng.uniform(2, 14)
        if piece not in dict(vocab):
            vocab.append((piece, score))
    return models.Unigram(vocab, unk_id, byte_fallback)


def wordlevel():
    words = sorted({w for line in LINES for w in line.split()})[::3]
    return models.WordLevel(vocab={w: i for i, w in enumerate(["<unk>", *words])}, unk_token="<unk>")


def write_models():
    rng = random.Random(7)
    split, whitespace = pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Whitespace()
    save("wordlevel", wordlevel(), pre_tokenizers.WhitespaceSplit())
    save("wordpiece", wordpiece(rng), whitespace)
    save("wordpiece_plain", wordpiece(rng))
    save("wordpiece_other", wordpiece(rng, continuing_subword_prefix="", max_input_chars_per_word=7), whitespace)
    save("bpe_chars", bpe(rng, unk_token="<unk>"))
    save("bpe_no_unk", bpe(rng))
    save("bpe_fused", bpe(rng, unk_token="<unk>", fuse_unk=True))
    save("bpe_fallback", bpe(rng, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    save("bpe_affixes", bpe(rng, unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
         pre_tokenizers.WhitespaceSplit())
    save("bpe_whole", bpe(rng, unk_token="<unk>", ignore_merges=True), pre_tokenizers.WhitespaceSplit())
    save("unigram", unigram(rng))
    save("unigram_ties", unigram(rng, ties=True))
    save("unigram_fallback", unigram(rng, byte_fallback=True))
    save("unigram_split", unigram(rng), split)
    save("unigram_no_unk", unigram(rng, unk_id=None))


def main():
    fresh(OUT)
    write_models()
    write_lines(OUT / "encoders.txt", sorted(p.name for p in (OUT / "encode").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
