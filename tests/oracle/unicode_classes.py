#!/usr/bin/env python3
"""Makes src/tok/unicode_data.c: the classes of code points that pre-tokenizers ask for.

    pip install unicodedata2==16.0.0 && python tests/oracle/unicode_classes.py > src/tok/unicode_data.c

Unicode 16.0 is the version behind tokenizers 0.20 to 0.23 (its regular expressions and its \\s and \\w), so that both split
alike. A word character is what UTS #18 calls \\w: Alphabetic, marks, decimal digits, connector punctuation, join controls;
the alphabetic ones that are neither letters nor marks nor letter numbers are the circled and squared Latin letters.
"""
import unicodedata2

WHITE = {9, 10, 11, 12, 13, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
ALPHABETIC_SYMBOLS = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)}
JOIN = {0x200C, 0x200D}
LETTER, NUMBER, SPACE, WORD = 1, 2, 4, 8


def classes(code):
    category = unicodedata2.category(chr(code))
    word = category[0] in "LM" or category in ("Nd", "Nl", "Pc") or code in ALPHABETIC_SYMBOLS | JOIN
    return (LETTER * (category[0] == "L") | NUMBER * (category[0] == "N") | SPACE * (code in WHITE) | WORD * word)


def unique(items):
    seen = {}
    return [seen.setdefault(item, len(seen)) for item in items], list(seen)


def table(name, kind, values, form, per_line):
    print(f"\nconst {kind} {name}[{len(values)}] = {{")
    for i in range(0, len(values), per_line):
        print("    " + ", ".join(form % v for v in values[i:i + per_line]) + ",")
    print("};")


def main():
    all_classes = [classes(code) for code in range(0x110000)]
    leaves, leaf_rows = unique(tuple(all_classes[i:i + 32]) for i in range(0, 0x110000, 32))
    pages, page_rows = unique(tuple(leaves[i:i + 32]) for i in range(0, len(leaves), 32))
    bits = []
    for row in leaf_rows:
        for half in (row[:16], row[16:]):
            bits.append(sum(value << (4 * i) for i, value in enumerate(half)))
    print(f"/* Made by tests/oracle/unicode_classes.py from Unicode {unicodedata2.unidata_version}; do not edit. The form")
    print(" * is told in unicode.h. */")
    print('#include "tok/unicode.h"')
    table("unicode_pages", "uint8_t", pages, "%d", 26)
    table("unicode_leaves", "uint16_t", [leaf for row in page_rows for leaf in row], "%d", 20)
    table("unicode_bits", "uint64_t", bits, "0x%016x", 5)


main()
