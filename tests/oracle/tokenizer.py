"""Goldens for tokenizers: byte-level BPE training, encoding and decoding as HF tokenizers does them.

tests/golden/tokenizer/ holds
    english.txt japanese.txt mixed.txt    what the tokenizers are trained on (corpora.py)
    train.json             a list of {name, files, vocab_size, min_frequency, special_tokens, max_token_length?}
    trained/NAME.json      the tokenizer.json HF writes for each (`model` has vocabulary and merges)
    lines.jsonl            hard lines, a JSON string a line (lines.py)
    encoders.txt           names of the directories under encode/
    encode/NAME/           a tokenizer directory, and beside its files
        ids.jsonl              ids of lines.jsonl, an array a line
        ids_bare.jsonl         the same with add_special_tokens off, where that differs
        decoded.jsonl, decoded_all.jsonl          for some: these ids as text again, special tokens skipped
                                                  and not
        broken_ids.jsonl, broken_decoded.jsonl    for `mixed`: ids whose bytes are no UTF-8, and what they
                                                  decode to: U+FFFD for each maximal part

Training is checked against bpe_reference.py, entry for entry.
"""
import json
import sys

from tokenizers import AddedToken, ByteLevelBPETokenizer, Tokenizer, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

import bpe_reference
import corpora
from common import GOLDEN, dump, fresh, write_lines
from lines import LINES

OUT = GOLDEN / "tokenizer"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
TRAIN = [
    ("english_400", ["english.txt"], 400, 2, []),
    ("english_900", ["english.txt"], 900, 2, SPECIAL),
    ("english_all", ["english.txt"], 2000, 2, SPECIAL),
    ("english_rare", ["english.txt"], 50265, 7, SPECIAL),
    ("japanese_900", ["japanese.txt"], 900, 2, SPECIAL),
    ("japanese_once", ["japanese.txt"], 2000, 1, ["<s>"]),
    ("mixed_700", ["mixed.txt"], 700, 2, SPECIAL),
    ("mixed_once", ["mixed.txt"], 2000, 1, SPECIAL),
    ("three_files", ["english.txt", "japanese.txt", "mixed.txt"], 1000, 2, SPECIAL),
    ("special_words", ["english.txt"], 500, 2, ["<s>", "the", "a", "ing", "tion", "Ġthe", "日本"]),
    ("bytes_only", ["english.txt"], 100, 2, SPECIAL),
    ("short_tokens", ["english.txt", "japanese.txt"], 700, 2, SPECIAL, 5),
    ("pairs_only", ["mixed.txt"], 2000, 2, ["<s>"], 2),
]
TRAIN_KEYS = ("name", "files", "vocab_size", "min_frequency", "special_tokens", "max_token_length")


def train_all():
    made, cases = {}, [dict(zip(TRAIN_KEYS, case)) for case in TRAIN]
    for case in cases:
        files = [str(OUT / f) for f in case["files"]]
        t = ByteLevelBPETokenizer()
        options = {k: case[k] for k in TRAIN_KEYS[2:] if k in case}
        t._tokenizer.train(files, trainer=trainers.BpeTrainer(
            show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options))
        check_training(case, files, json.loads(t.to_str())["model"])
        t.save(str(OUT / "trained" / f"{case['name']}.json"), pretty=False)
        made[case["name"]] = t
    (OUT / "train.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
    return made


def check_training(case, files, model):
    words = sum((bpe_reference.words_of(f) for f in files), start=bpe_reference.Counter())
    vocab, merges, counts = bpe_reference.train(words, *[case[k] for k in TRAIN_KEYS[2:] if k in case])
    assert vocab == model["vocab"], case["name"]
    assert merges == [tuple(m) for m in model["merges"]], case["name"]
    assert counts["ties"] > 20 or not merges, case["name"]
    print(f"{case['name']:16s} {len(vocab):5d} entries, {len(merges):5d} merges, {counts['ties']} ties, "
          f"{counts['repeats']} merges onto a token that was there")


def copy_of(t) -> Tokenizer:
    return Tokenizer.from_str(t.to_str())


def with_prefix(t):
    t = copy_of(t)
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    return t


def with_roberta(t):
    t = copy_of(t)
    ends = dict(sep=("</s>", t.token_to_id("</s>")), cls_token=("<s>", t.token_to_id("<s>")))
    t.post_processor = processors.RobertaProcessing(trim_offsets=True, add_prefix_space=True, **ends)
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return t


def with_added(t):
    """Added tokens with every flag: overlapping, inside words, with blanks, with letters beyond ASCII."""
    t = copy_of(t)
    t.add_special_tokens([
        AddedToken("<|endoftext|>", special=True),
        AddedToken("<a><b>", special=True),
        AddedToken("<ent>", lstrip=True, special=True)])
    t.add_tokens([
        AddedToken("<tail>", rstrip=True),
        AddedToken("<both>", lstrip=True, rstrip=True),
        AddedToken("word", single_word=True),
        AddedToken("velvet", single_word=True, lstrip=True),
        AddedToken("Héllo", normalized=False),
        AddedToken("two words", normalized=True),
        *map(AddedToken, ["<a>", "<a b>", "[NEW]", "日本", "👍🏽"])])
    return t


def with_template(t):
    t = copy_of(t)
    ends = [(s, t.token_to_id(s)) for s in ("<s>", "</s>")]
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s> </s>", special_tokens=ends)
    return t


def with_cut(t, direction, pad_direction):
    """Truncation and padding settings stored in tokenizer.json."""
    t = with_roberta(t)
    t.enable_truncation(12, direction=direction)
    t.enable_padding(direction=pad_direction, length=16, pad_id=t.token_to_id("<pad>"), pad_token="<pad>")
    return t


def without_regex(t):
    t = copy_of(t)
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return t


def with_normalizer(t):
    t = with_added(t)
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    return t


def write_encoder(name, t, decode=False):
    path = fresh(OUT / "encode" / name)
    t = t if isinstance(t, Tokenizer) else copy_of(t)
    t.save(str(path / "tokenizer.json"), pretty=False)
    # read back, for tokenizers reads a score with an error in its last bit, which decides between equal sums
    write_ids(path, Tokenizer.from_file(str(path / "tokenizer.json")), decode)


def write_ids(path, t, decode):
    ids = [t.encode(line).ids for line in LINES]
    bare = [t.encode(line, add_special_tokens=False).ids for line in LINES]
    write_lines(path / "ids.jsonl", map(dump, ids))
    if bare != ids:
        write_lines(path / "ids_bare.jsonl", map(dump, bare))
    if decode:
        write_lines(path / "decoded.jsonl", (dump(t.decode(i, skip_special_tokens=True)) for i in ids))
        write_lines(path / "decoded_all.jsonl", (dump(t.decode(i, skip_special_tokens=False)) for i in ids))


BROKEN = """
    e38182 e381 e3 8182 e38141 f09f9880 f09f98 f09f f0 f09f9841 c080 c3 c3c3a9 eda080 edbfbf f4908080
    f5808080 ff fe 80 bf80 e08080 f0808080 e0a0 41e38142 e38182e381 f09f98f09f9880 c3a9 61ff62ff efbfbd
    efbfbf 00 f48fbfbf e28080ff dfbf f8888080 e182e182ac
""".split()


def write_broken(name):
    """Ids of single bytes that do not make up UTF-8."""
    path = OUT / "encode" / name
    t = Tokenizer.from_file(str(path / "tokenizer.json"))
    letters = byte_letters()
    ids = [[t.token_to_id(letters[b]) for b in bytes.fromhex(h)] for h in BROKEN]
    decoded = [t.decode(i) for i in ids]
    for h, text in zip(BROKEN, decoded):
        assert text == bytes.fromhex(h).decode("utf-8", "replace"), h
    write_lines(path / "broken_ids.jsonl", map(dump, ids))
    write_lines(path / "broken_decoded.jsonl", map(dump, decoded))


def byte_letters():
    """Byte -> the character that stands for it (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def write_gpt2_files(trained):
    """vocab.json + merges.txt, opened by transformers' AutoTokenizer: with a tokenizer_config.json, and with
    a config.json alone, where GPT-2's defaults add <|endoftext|>."""
    for name in ("gpt2_files", "gpt2_files_prefix", "gpt2_files_bare"):
        path = fresh(OUT / "encode" / name)
        trained["mixed_700"].save_model(str(path))
        if name == "gpt2_files_bare":
            (path / "config.json").write_text('{"model_type": "gpt2"}\n')
        else:
            keys = dict(tokenizer_class="GPT2Tokenizer", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                        pad_token="<pad>", add_prefix_space=name == "gpt2_files_prefix", model_max_length=64)
            (path / "tokenizer_config.json").write_text(json.dumps(keys, indent=2) + "\n")
        opened = AutoTokenizer.from_pretrained(str(path))
        assert opened.is_fast
        write_ids(path, opened.backend_tokenizer, name == "gpt2_files_bare")
        for line in LINES:
            assert opened.encode(line) == opened.backend_tokenizer.encode(line).ids


def main():
    fresh(OUT)
    (OUT / "trained").mkdir()
    for name in ("english", "japanese", "mixed"):
        (OUT / f"{name}.txt").write_bytes(getattr(corpora, name)().encode())
    write_lines(OUT / "lines.jsonl", map(dump, LINES))
    trained = train_all()
    mixed = trained["mixed_700"]
    write_encoder("english", trained["english_900"])
    write_encoder("japanese", trained["japanese_900"])
    write_encoder("mixed", mixed, decode=True)
    write_broken("mixed")
    write_encoder("mixed_prefix", with_prefix(mixed), decode=True)
    write_encoder("mixed_roberta", with_roberta(mixed), decode=True)
    write_encoder("mixed_added", with_added(mixed), decode=True)
    write_encoder("mixed_template", with_template(mixed))
    write_encoder("mixed_cut_right", with_cut(mixed, "right", "right"))
    write_encoder("mixed_cut_left", with_cut(mixed, "left", "left"))
    write_encoder("mixed_no_regex", without_regex(mixed))
    write_encoder("mixed_normalizer", with_normalizer(mixed))
    write_gpt2_files(trained)
    write_lines(OUT / "encoders.txt", sorted(p.name for p in (OUT / "encode").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
