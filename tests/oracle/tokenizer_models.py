"""Goldens for the models of tokenizers and for the files they are read from, as HF tokenizers and
transformers take them.

tests/golden/tokenizer_models/ holds, as tests/golden/tokenizer does (tokenizer.py; its lines.jsonl serves
both),
    encoders.txt           names of the directories under encode/
    encode/NAME/           a tokenizer directory, and beside its files ids.jsonl and the like
    train/NAME.json        what training on mixed.txt gives: {type, vocab_size, specials, vocab, merges}
"""
import json
import random
import sys
from collections import Counter

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

import bpe_reference

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


class WordPieceTraining(bpe_reference.Training):
    """WordPieceTrainer is BpeTrainer with "##" before what does not begin a word. HF's own result changes from
    run to run: the tokens "##c" get their ids in the order of a table without one. Here: by code point."""

    def __init__(self, words, special_tokens, limit):
        chars, self.texts = Counter(), list(special_tokens)
        for word, count in words.items():
            chars.update({c: n * count for c, n in Counter(word).items()})
        kept = sorted(sorted(chars, key=lambda c: (-chars[c], c))[:limit])
        inside = {c for w in words for c in w[1:]}
        for t in kept + ["##" + c for c in kept if c in inside]:
            if t not in self.texts:
                self.texts.append(t)
        self.ids = {t: i for i, t in enumerate(self.texts)}
        forms = [[("##" if i else "") + c for i, c in enumerate(w) if c in kept] for w in words]
        self.words = [[self.ids[c] for c in w] for w in forms]
        self.start(words)

    def joined(self, left, right):
        return left + right.removeprefix("##")


def own_pipeline(kind):
    """What each type takes where nothing else is said: BertWordPieceTokenizer's, SentencePieceBPETokenizer's, and
    that of the T5 recipe of transformers' examples."""
    meta = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    if kind == "wordpiece":
        return normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    if kind == "sentencepiece_bpe":
        return normalizers.NFKC(), meta
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    return (normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces, normalizers.Lowercase()]),
            pre_tokenizers.Sequence([meta, pre_tokenizers.Digits(True), pre_tokenizers.Punctuation()]))


def write_training(own):
    """Three trainers, on words as ByteLevel cuts them or with the pipelines of their own. The Unigram's scores
    hold to the last digits, but for characters that EM gave up: those get theirs in the order of a table
    without one."""
    files = [str(goldens.OUT / "mixed.txt")]
    plain = (normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
             pre_tokenizers.ByteLevel(add_prefix_space=False))
    for kind, size in (("sentencepiece_bpe", 700), ("wordpiece", 700), ("unigram", 600)):
        specials = ["[PAD]", "[UNK]"] if kind == "wordpiece" else ["<pad>", "</s>", "<unk>"]
        common = dict(vocab_size=size, special_tokens=specials, show_progress=False)
        if kind == "unigram":
            t, trainer = Tokenizer(models.Unigram()), trainers.UnigramTrainer(unk_token="<unk>", **common)
        elif kind == "wordpiece":
            t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            trainer = trainers.WordPieceTrainer(min_frequency=2, limit_alphabet=150, **common)
        else:
            t = Tokenizer(models.BPE())
            trainer = trainers.BpeTrainer(min_frequency=2, **common)
        t.normalizer, t.pre_tokenizer = own_pipeline(kind) if own else plain
        t.train(files, trainer)
        model = json.loads(t.to_str())["model"]
        if kind == "wordpiece":
            model = wordpiece_reference(files[0], t, size, specials, model)
        out = dict(type=kind, vocab_size=size, specials=specials, vocab=model["vocab"],
                   merges=model.get("merges", []))
        (OUT / "train" / f"{kind}{'_own' if own else ''}.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")


def wordpiece_reference(path, t, size, specials, model):
    words = Counter()
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            words.update(w for w, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(line)))
    training = WordPieceTraining(words, specials, 150)
    bpe_reference.run(training, size, 2)
    common = len(set(training.ids) & set(model["vocab"]))
    print(f"wordpiece: {common} of {len(training.ids)} entries are HF's of this run")
    assert common > 0.9 * len(training.ids)
    return dict(vocab=training.ids)


def main():
    fresh(OUT)
    write_models()
    (OUT / "train").mkdir()
    write_training(False)
    write_training(True)
    write_lines(OUT / "encoders.txt", sorted(p.name for p in (OUT / "encode").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
