#!/usr/bin/env python3
"""Compares plait with transformers' AutoTokenizer on real vocabularies, which are not part of the project.

    real_vocabularies.py PLAIT DIRECTORY...

A DIRECTORY holds what AutoTokenizer opens (tokenizer.json, vocab.json with merges.txt, vocab.txt, tokenizer.model). Ids and
texts of hard lines (lines.py) have to be equal, with special tokens and without.
"""
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

from common import dump
from lines import LINES, MORE

TEXTS = LINES + MORE


def run(plait, name, command, lines, *options):
    with tempfile.TemporaryDirectory() as d:
        source, target = Path(d) / "in", Path(d) / "out"
        source.write_text("".join(dump(line) + "\n" for line in lines))
        subprocess.run([plait, "tokenizer", command, "--tokenizer_name", name, "--input", source, "--output", target, *options],
                       check=True)
        return [json.loads(line) for line in target.read_text().split("\n")[:-1]]


def differences(what, texts, wanted, found):
    wrong = [t for t in zip(texts, wanted, found) if t[1] != t[2]]
    for text, a, b in wrong[:5]:
        print(f"  {what}: {text!r:.120}\n    transformers {a!r:.300}\n    plait        {b!r:.300}")
    return len(wrong)


def compare(plait, name):
    t = AutoTokenizer.from_pretrained(name)
    count = 0
    for special in (True, False):
        options = [] if special else ["--no_add_special_tokens"]
        ids = [t.encode(line, add_special_tokens=special) for line in TEXTS]
        count += differences("ids", TEXTS, ids, run(plait, name, "encode", TEXTS, *options))
    for skip in (True, False):
        options = [] if skip else ["--no_skip_special_tokens"]
        texts = [t.decode(i, skip_special_tokens=skip) for i in ids]
        count += differences("text", ids, texts, run(plait, name, "decode", ids, *options))
    print(f"{name}: {type(t).__name__}, {len(TEXTS)} lines, {count} differences")
    return count


def main():
    plait = shutil.which(sys.argv[1]) or sys.argv[1]
    return 1 if sum(compare(plait, name) for name in sys.argv[2:]) else 0


if __name__ == "__main__":
    sys.exit(main())
