"""Goldens for pairs of texts: what transformers' AutoTokenizer gives for two texts, whole and cut to a length as
run_glue.py has it (truncation=True: from the longer text), with token types.

tests/golden/pairs/ holds texts.jsonl (a pair a line) and expected.jsonl (a line for each tokenizer, which lies in another
golden, and length: {tokenizer, max_length, hashes}; a hash is of ids, then types, as components.py has it).
"""
import sys

from transformers import AutoTokenizer

from common import GOLDEN, dump, fresh, write_lines
from components import fnv
from lines import LINES

OUT = GOLDEN / "pairs"
LENGTHS = (0, 9, 16)


def texts():
    """Long and short, the empty text on either side, and the same text twice."""
    chosen = [line for line in LINES if len(line) < 120][::5][:44]
    pairs = [[a, chosen[(5 * i + 2) % len(chosen)]] for i, a in enumerate(chosen)]
    return [*pairs, ["", "a"], ["a", ""], ["", ""], ["one two three", "one two three"], ["x " * 30, "y"], ["x", "y " * 30]]


def main():
    fresh(OUT)
    pairs, lines = texts(), []
    write_lines(OUT / "texts.jsonl", map(dump, pairs))
    for directory in sorted((GOLDEN / "tokenizer_files" / "encode").iterdir()):
        t = AutoTokenizer.from_pretrained(str(directory))
        for most in LENGTHS:
            options = dict(truncation=True, max_length=most) if most else {}
            # As lists: of one text and an empty string transformers makes one text, of lists pairs.
            e = t([a for a, _ in pairs], [b for _, b in pairs], return_token_type_ids=True, **options)
            assert not most or max(map(len, e["input_ids"])) <= most
            hashes = ["%04x" % fnv(ids + types) for ids, types in zip(e["input_ids"], e["token_type_ids"])]
            lines.append(dump(dict(tokenizer=str(directory.relative_to(GOLDEN)), max_length=most, hashes="".join(hashes))))
        print(directory.name, t("one", "two", return_token_type_ids=True))
    write_lines(OUT / "expected.jsonl", lines)


if __name__ == "__main__":
    sys.exit(main())
