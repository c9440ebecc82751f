#!/usr/bin/env python3
"""Makes src/tok/unicode_runs.c and unicode_kinds.c: what tokenizers (with the Oniguruma in it) takes each code point for.

    python tests/oracle/unicode_runs.py && script/format     (some minutes)

The tables inside tokenizers come from several versions of Unicode (8 for scripts and for what BertNormalizer and punctuation
are, 12 for combining marks, 16 and 17 elsewhere), so they are not taken from a version but asked for, one code point at a time.
"""
import sys
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, CODES))
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cs".split()
SCRIPTS = """
    Common Inherited Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki
    Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Coptic
    Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic
    Ethiopic Garay Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul
    Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi
    Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Kirat_Rai Lao Latin Lepcha Limbu
    Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin
    Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari
    Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic
    Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya
    Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian
    Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le
    Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Todhri Toto Tulu_Tigalari Ugaritic
    Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square
""".split()


def matching(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return {ord(c) for part, _ in split.pre_tokenize_str(TEXT) for c in part}


def isolated(pre_tokenizer):
    return {c for c in CODES if len(pre_tokenizer.pre_tokenize_str(f"a{chr(c)}a")) > 1}


def removed(normalizer):
    return {c for c in CODES if normalizer.normalize_str(f"a{chr(c)}a") == "aa"}


def bert(**only):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **only})


def by_code(names, pattern):
    table = [0] * 0x110000
    for i, name in enumerate(names):
        try:
            for c in matching(pattern % name):
                table[c] = i
        except Exception as e:
            print(f"{name}: {e}", file=sys.stderr)
    return table


def probe():
    categories = by_code(CATEGORIES, r"\p{%s}")
    categories[0xD800:0xE000] = [CATEGORIES.index("Cs")] * 0x800
    scripts = by_code(["Unknown", *SCRIPTS], r"\p{%s}")
    sets = [matching(p) for p in (r"\w", "[[:alpha:]]", "[[:lower:]]", "[[:upper:]]")]
    sets += [isolated(pre_tokenizers.Punctuation()), removed(normalizers.StripAccents()), removed(bert(strip_accents=True)),
             removed(bert(clean_text=True)), isolated(pre_tokenizers.Digits(True)),
             {c for c in CODES if pre_tokenizers.UnicodeScripts().pre_tokenize_str(chr(c))}]
    flags = [0] * 0x110000
    for bit, members in enumerate(sets):
        for c in members:
            flags[c] |= 1 << bit
    return list(zip(categories, flags, scripts))


HEAD = """/* Made by tests/oracle/unicode_runs.py; do not edit. The form is told in unicode.h. */
#include "tok/unicode.h"
"""
OUT = Path(__file__).resolve().parents[2] / "src" / "tok"


def rows(items, per_line):
    return "".join("    " + " ".join(items[i:i + per_line]) + "\n" for i in range(0, len(items), per_line))


def wrapped(items, width):
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) > width:
            lines.append("")
        lines[-1] += item
    return "".join(f"    {line}\n" for line in lines)


def main():
    values = probe()
    kinds, runs = {}, []
    for code, value in enumerate(values):
        if code == 0 or value != values[code - 1]:
            runs.append(code << 11 | kinds.setdefault(value, len(kinds)))
    assert len(kinds) < 1 << 11
    (OUT / "unicode_runs.c").write_text(
        f"{HEAD}\n/* clang-format off */\nconst uint32_t unicode_runs[UNICODE_RUN_COUNT] = {{\n"
        + wrapped([f"0x{r:x}," for r in runs], 106) + "};\n/* clang-format on */\n")
    records = ["{ %d, %d, %d }," % (category, script, flags) for category, flags, script in kinds]
    (OUT / "unicode_kinds.c").write_text(
        f"{HEAD}\n#include <stddef.h>\n\nconst struct unicode_kind unicode_kinds[{len(kinds)}] = {{\n{rows(records, 7)}}};\n"
        "\nconst uint8_t unicode_ascii[128] = {\n" + rows([f"{kinds[v]}," for v in values[:128]], 20) + "};\n"
        "\nconst char *const unicode_categories[] = {\n" + rows([f'"{c}",' for c in CATEGORIES], 15) + "    NULL,\n};\n"
        "\nconst char *const unicode_scripts[] = {\n" + rows([f'"{n}",' for n in ("Unknown", *SCRIPTS)], 5) + "    NULL,\n};\n")
    print(len(runs), "runs (UNICODE_RUN_COUNT)", len(kinds), "kinds")


main()
