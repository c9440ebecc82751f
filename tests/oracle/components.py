"""Goldens for the components of tokenizer.json, each alone and in the combinations that real models use.

    components.py                         writes tests/golden/components/
    components.py --compare PLAIT [NAME]  runs the program on every case and shows where it differs from tokenizers

tests/golden/components/ holds
    model.json     the model of all cases: a character is a token, another one at the end of a word
    lines.jsonl    hard lines (lines.py)
    encode.jsonl   a case a line: {"name", "sections": members of tokenizer.json, "hashes"}. hashes: for each line
                   the FNV-1a of its ids, folded to 16 bits, in hex
    decode.jsonl   a case a line: {"name", "sections", "tokens": lists of ids, "texts"}
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

from common import GOLDEN, dump, fresh, write_lines
from lines import LINES, MORE

OUT = GOLDEN / "components"
TEXTS = LINES + MORE
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


def plain(name, **members):
    return dict(type=name, **members)


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return plain("Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def replace(pattern, content, kind="Regex"):
    return plain("Replace", pattern={kind: pattern}, content=content)


def bert(clean=True, chinese=True, accents=None, lowercase=True):
    return plain("BertNormalizer", clean_text=clean, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lowercase)


def metaspace(scheme="always", split=True):
    return plain("Metaspace", replacement="\u2581", prepend_scheme=scheme, split=split)


def normalizers(*members):
    return plain("Sequence", normalizers=list(members))


def pre_tokenizers(*members):
    return plain("Sequence", pretokenizers=list(members))


def byte_level(add_prefix_space=False, use_regex=True):
    return plain("ByteLevel", add_prefix_space=add_prefix_space, trim_offsets=True, use_regex=use_regex)


# A table of replacements as sentencepiece writes it (normalization_rule_tsv): accents, ligatures, full width, blanks, an
# emoji, characters that go away, and keys that begin other keys.
CHARSMAP = (
    "AAQAAAAgAAAJCQAACgUAAAEAAIAbAACADRkAACoAAIDMPAIAgAUAACwAAIDMAAIAgR0AAC8AAIBmDQAAGAAAgL15AAAAAACADQAAgKBFAACfHQAA"
    "JwAAgB0AAICwBQAAJQAAgIEhAACEDAIAgIADAOEMAgChCQAAhYACAEEAAICtPQAAgKgDAAcAAICgBQAAAwAAgIAMAgCpwQAAl6wCAICRAAClBQAA"
    "OgAAgKwcAgAfAACAgR0AACIAAIALAACAggkAABQAAICRzAIAFgAAgLYdAAAyAACAvnQCAJ4FAAA2AACAgBUAAJgEAgC8rAMAvfgCAJ90AgARAACA"
    "PwAAAD4AAACRuQEAi0UBAEMAAABCAAAARQAAAEQAAABCAQEARgAAAEkAAABBNQEASwAAAEoAAABNAAAATAAAAE8AAABOAAAAUQAAAFAAAABTAAAA"
    "UgAAAFUAAABUAAAAVwAAAFYAAABZAAAAWAAAAFsAAABaAAAAXQAAAFwAAABfAAAAXgAAAGEAAABgAAAAYwAAAGIAAABlAAAAZAAAAGcAAABvMAAA"
    "aQAAAGGIAgBrAAAAagAAAKY1AQBlrAIAbwAAAG4AAAChAQEAcAAAAHMAAACiBQEAdQAAAHQAAAB3AAAAdgAAAHkAAAB4AAAAewAAAHoAAAB9AAAA"
    "fAAAAH8AAAB+AAAAgQAAAIAAAACDAAAAggAAAIUAAACEAAAAhwAAAIYAAACJAAAAiAAAAIsAAACKAAAAjQAAAIwAAACPAAAAjgAAAJEAAACQAAAA"
    "kwAAAJIAAACVAAAAlAAAAJcAAACWAAAAmQAAAJgAAACbAAAAmgAAAJ0AAACcAAAAnwAAAJ4AAAChAAAAoAAAAKMAAACiAAAApQAAAKQAAACnAAAA"
    "pgAAAKkAAACoAAAAqwAAAKoAAACtAAAArAAAAK8AAACuAAAAsQAAALAAAACzAAAAsgAAALUAAAC0AAAAtwAAALYAAAC5AAAAuAAAALsAAAC6AAAA"
    "vQAAALwAAAC/AAAAvgAAAMEAAADAAAAAwwAAAMIAAADMdAEAxAAAAMcAAADGAAAAyQAAAMgAAADC4AEAwxwBAMSoAQDMAAAAzwAAAM4AAADRAAAA"
    "0AAAANMAAADSAAAA1QAAANQAAADXAAAA1gAAANkAAADYAAAA2wAAAO9AAQDdAAAA3AAAAN8AAADeAAAA4QAAAOAAAADjAAAA4gAAAOUAAADkAAAA"
    "5wAAAO+EAQDpAAAA4dABAOIoAQDjPAEA7QAAAOwAAADmfAEA7gAAAPEAAADwAAAA8wAAAPIAAAD1AAAA9AAAAPcAAAD2AAAA8GwBAPgAAAD7AAAA"
    "+gAAAP0AAAD8AAAA/wAAAP4AAAAAIAAoMSkALi4uADEAMS8yADopAEEAQgBPRgBhAGUAZmkAZmwAaQBzcwB4AMOgAMOpAOOCqwDjgqwA44OL44OB"
    "AOqwgAA="
)
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
CL100K_POSSESSIVE = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"
                     r"\s*[\r\n]|\s+(?!\S)|\s")
QWEN = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
CJK = "[一-龥\u3040-ゟ゠-ヿ]+"

NORMALIZERS = dict(
    nfc=plain("NFC"), nfd=plain("NFD"), nfkc=plain("NFKC"), nfkd=plain("NFKD"), lowercase=plain("Lowercase"),
    strip=plain("Strip", strip_left=True, strip_right=True), lstrip=plain("Strip", strip_left=True, strip_right=False),
    rstrip=plain("Strip", strip_left=False, strip_right=True), strip_none=plain("Strip", strip_left=False, strip_right=False),
    strip_accents=plain("StripAccents"), nfd_strip=normalizers(plain("NFD"), plain("StripAccents")), nmt=plain("Nmt"),
    prepend=plain("Prepend", prepend="\u2581"), prepend_more=plain("Prepend", prepend="x y "),
    replace_blank=replace(" ", "\u2581", "String"), replace_runs=replace(" {2,}", " "), replace_none=replace("", "-", "String"),
    replace_empty=replace("x*", "-"), replace_gone=replace(r"\p{Mn}", ""), replace_double=replace("``", '"', "String"),
    replace_space=replace(r"\s+", " "), replace_lines=replace(r"^|$", "|"),
    bert=bert(), bert_cased=bert(lowercase=False), bert_accents=bert(lowercase=False, accents=True),
    bert_low=bert(accents=False), bert_raw=bert(clean=False), bert_nothing=bert(False, False, False, False),
    byte_level=plain("ByteLevel"), precompiled=plain("Precompiled", precompiled_charsmap=CHARSMAP),
    pegasus=normalizers(plain("Precompiled", precompiled_charsmap=CHARSMAP), replace(" {2,}", "\u2581")),
    llama=normalizers(plain("Prepend", prepend="\u2581"), replace(" ", "\u2581", "String")),
    t5=normalizers(plain("Nmt"), plain("NFKC"), replace(" {2,}", " "), plain("Lowercase")),
    albert=normalizers(replace("``", '"', "String"), replace("''", '"', "String"), plain("NFKD"), plain("StripAccents"),
                       plain("Lowercase")),
)
DIGITS = plain("Digits", individual_digits=True)
PUNCTUATION = plain("Punctuation", behavior="Isolated")
PRE_TOKENIZERS = dict(
    byte_level=byte_level(), bert=plain("BertPreTokenizer"), whitespace=plain("Whitespace"),
    whitespace_split=plain("WhitespaceSplit"), metaspace=metaspace(), metaspace_first=metaspace("first"),
    metaspace_never=metaspace("never"), metaspace_whole=metaspace(split=False), digits=DIGITS,
    digit_runs=plain("Digits", individual_digits=False), delimiter=plain("CharDelimiterSplit", delimiter="a"),
    fixed=plain("FixedLength", length=3), scripts=plain("UnicodeScripts"),
    **{f"punctuation_{b.lower()}": plain("Punctuation", behavior=b) for b in BEHAVIORS},
    **{f"split_{b.lower()}{'_invert' * i}": split(r"\p{L}+|[\n ]", b, bool(i)) for b in BEHAVIORS for i in (0, 1)},
    split_text=split(" ", "MergedWithNext", kind="String"), split_dots=split(". ", "MergedWithPrevious", kind="String"),
    split_all=split("", kind="String"), split_empty=split("a*"), split_before=split("(?=[A-Z])"), split_boundary=split(r"\b"),
    sequence=pre_tokenizers(plain("WhitespaceSplit"), PUNCTUATION, DIGITS),
    t5=pre_tokenizers(metaspace(), DIGITS, PUNCTUATION),
    first_later=pre_tokenizers(plain("WhitespaceSplit"), metaspace("first")),
    first_last=pre_tokenizers(PUNCTUATION, metaspace("first")),
)
PATTERNS = dict(
    gpt2=GPT2, cl100k=CL100K, possessive=CL100K_POSSESSIVE, qwen=QWEN, o200k=O200K, bloom=BLOOM, deepseek=DEEPSEEK, clip=CLIP,
    cjk=CJK, word=r"\w+|[^\w\s]+", word_not=r"\W", digits=r"\d{3}", hexadecimal=r"\h+", space_not=r"\S+",
    dot=".", dot_all="(?m:.)+", any="(?m).{2}", line=r"^.*$", line_break=r"\R", begin=r"\A.", end=r".\z", end_line=r".\Z",
    boundary=r"\b\w", not_boundary=r"\B\w", lazy="a+?b?|<.*?>", counted="[a-z]{2,3}?", at_most="x{,2}y", exact=" {4}",
    brace="a{,}|{key", possessive_all=".++x|a", atomic="(?>a|ab)b|.", ahead=r"\p{L}+(?=\s)", ahead_not=r"\p{L}(?!\p{L})",
    behind=r"(?<=\s)\S", behind_not=r"(?<!\w)\w+", behind_many="(?<=ab|[0-9]{2}|x)[^x]", case="(?i)stra.e|hello|K|[à-ö]",
    case_class="(?i)[a-cé]+", case_off="(?i)h(?-i)ello|(?i:W)orld", extended="(?x) a b # c\n | \\  ", comment="a(?#x)b|q",
    union=r"[a-c[0-9]x]+", intersection=r"[\w&&[^a-z]]+", intersection_range="[a-z&&b-d&&[^c]]+", negated=r"[^\p{L}\p{Nd}]+",
    brackets_first="[]x]+|[^]y]", hyphen="[-a][a-][+--]?", escapes=r"[\t\n\x41\x{e9}\u65e5\0]|\x{1F600}|\.", posix="[[:alpha:]]+",
    posix_not="[[:^alnum:]]+", posix_punct="[[:punct:]]", posix_upper=r"[[:upper:]]|[[:lower:]]{2}", posix_word="[[:word:]]+",
    posix_print="[[:print:]]+", posix_graph="[[:graph:]]+", posix_blank="[[:blank:]]|[[:cntrl:]]", posix_digit="[[:digit:][:xdigit:]]+",
    script=r"\p{Han}+|\p{Hiragana}+|\p{Arabic}+|\p{Greek}", property_long=r"\p{Uppercase_Letter}|\p{^L}{2}|\P{M}",
    category=r"\p{Lu}\p{Ll}+|\p{Sc}|\p{Cf}|\p{Cn}|\p{Co}", alternatives="a|ab|abc|b|", nested="((a|b)*c|d)*e?", empty_loop="(a*)*b",
    empty_loops="(?:a*|b)*c", groups="(?<name>a)(b)|(?'x'c)", dots=".*.*=.*",
    quantified_twice="(?:a{2}){3}|b{2}{2}|a?+", star_star="a**b", newline=r"\n", nothing="(?!)", everything="",
    case_property=r"(?i)\p{Lu}", case_i="(?i)[a-z]+", case_inner="(?i)[a-z&&[^A-K]]", case_late="(?i)[\U00010d50\u0264]",
    properties=r"\p{Punct}|\p{Word}{2}", assigned=r"[[:^graph:]]|\p{Assigned}{3}|\p{Cs}", option_after="a(?i)b|c", behind_word=r"(?<=\bword)s", ahead_many=r"(?=.*x)[a-f]", anchors=r"(?m:^.)|.$",
)
BYTES = byte_level(use_regex=False)
COMBINATIONS = dict(
    bert=dict(normalizer=bert(), pre_tokenizer=plain("BertPreTokenizer")),
    bert_cased=dict(normalizer=bert(lowercase=False), pre_tokenizer=plain("BertPreTokenizer")),
    t5=dict(normalizer=NORMALIZERS["t5"], pre_tokenizer=PRE_TOKENIZERS["t5"]),
    llama_legacy=dict(normalizer=NORMALIZERS["llama"]),
    llama=dict(pre_tokenizer=metaspace("first", False)),
    strip_first=dict(normalizer=plain("Strip", strip_left=True, strip_right=True), pre_tokenizer=metaspace("first")),
    bert_first=dict(normalizer=bert(), pre_tokenizer=pre_tokenizers(plain("BertPreTokenizer"), metaspace("first"))),
    prepend_first=dict(normalizer=plain("Prepend", prepend="ab"), pre_tokenizer=pre_tokenizers(split("b"), metaspace("first"))),
    llama3=dict(pre_tokenizer=pre_tokenizers(split(CL100K), BYTES)),
    qwen=dict(normalizer=plain("NFC"), pre_tokenizer=pre_tokenizers(split(QWEN), BYTES)),
    deepseek=dict(pre_tokenizer=pre_tokenizers(split(r"\p{N}{1,3}"), split(CJK), split(DEEPSEEK), BYTES)),
    bloom=dict(pre_tokenizer=pre_tokenizers(split(BLOOM), BYTES)),
    bytes_twice=dict(normalizer=plain("ByteLevel"), pre_tokenizer=split(GPT2)),
    precompiled_first=dict(normalizer=plain("Precompiled", precompiled_charsmap=CHARSMAP),
                           pre_tokenizer=pre_tokenizers(plain("WhitespaceSplit"), metaspace("first"))),
    gone_first=dict(normalizer=plain("Precompiled", precompiled_charsmap=CHARSMAP), pre_tokenizer=metaspace("first")),
    replaced_first=dict(normalizer=replace("ab|\\u00e9", "xy"), pre_tokenizer=metaspace("first")),
    starcoder=dict(pre_tokenizer=pre_tokenizers(DIGITS, byte_level())),
    prefix_words=dict(pre_tokenizer=pre_tokenizers(plain("WhitespaceSplit"), byte_level(True))),
)


def frame(cls="<s>", sep="</s>"):
    return dict(cls=(cls, IDS[cls]), sep=(sep, IDS[sep]))


def template(single, pair):
    def pieces(text):
        for item in text.split():
            if item[0] == "$":
                yield dict(Sequence=dict(id=item[1], type_id=int(item[-1])))
            else:
                yield dict(SpecialToken=dict(id=item, type_id=0))
    specials = {t: dict(id=t, ids=[IDS[t]], tokens=[t]) for t in sorted(IDS)}
    return plain("TemplateProcessing", single=list(pieces(single)), pair=list(pieces(pair)), special_tokens=specials)


def padding(strategy="BatchLongest", direction="Right", multiple=None):
    return dict(strategy=strategy, direction=direction, pad_to_multiple_of=multiple, pad_id=3, pad_type_id=0, pad_token="<pad>")


def truncation(length, direction="Right", strategy="LongestFirst", stride=0):
    return dict(max_length=length, direction=direction, strategy=strategy, stride=stride)


IDS = {"<s>": 1, "</s>": 2, "<pad>": 3}
ENDS = template("<s> $A:0 </s> </s>", "<s> $A:0 </s> $B:1 </s>")
LENGTHS = dict(
    bert=dict(post_processor=plain("BertProcessing", **frame())),
    roberta=dict(post_processor=plain("RobertaProcessing", trim_offsets=True, add_prefix_space=True, **frame())),
    template=dict(post_processor=ENDS),
    sequence=dict(post_processor=plain("Sequence", processors=[byte_level(), ENDS])),
    cut=dict(truncation=truncation(7)), cut_left=dict(truncation=truncation(7, "Left")), cut_first=dict(truncation=truncation(7, strategy="OnlyFirst")),
    cut_stride=dict(truncation=truncation(7, stride=3), post_processor=ENDS), cut_none=dict(truncation=truncation(0)),
    cut_ends=dict(truncation=truncation(7), post_processor=ENDS), cut_ends_left=dict(truncation=truncation(7, "Left"), post_processor=ENDS),
    cut_odd=dict(truncation=truncation(16), post_processor=ENDS), cut_odd_left=dict(truncation=truncation(15, "Left"), post_processor=ENDS),
    cut_first_ends=dict(truncation=truncation(24, strategy="OnlyFirst"), post_processor=ENDS),
    cut_all=dict(truncation=truncation(3), post_processor=ENDS),
    pad=dict(padding=padding(dict(Fixed=20))), pad_left=dict(padding=padding(dict(Fixed=20), "Left"), post_processor=ENDS),
    pad_multiple=dict(padding=padding(dict(Fixed=20), multiple=8)), pad_longest=dict(padding=padding(multiple=8), truncation=truncation(20)),
    pad_longest_left=dict(padding=padding(direction="Left"), truncation=truncation(30, "Left"), post_processor=ENDS),
)


def added(content, **flags):
    keys = dict(single_word=False, lstrip=False, rstrip=False, normalized=not flags.get("special", False), special=False)
    return {**keys, "content": content, **flags}


ADDED = [
    added("<ent>", lstrip=True, special=True), added("<tail>", rstrip=True), added("<both>", lstrip=True, rstrip=True),
    added("word", single_word=True), added("H\u00e9llo", normalized=False), added("two words"), added("<a>"), added("[NEW]"),
    added("\u65e5\u672c"), added("<mask>", lstrip=True, special=True), added("\u00c9cole"),
]


def cases():
    for name, n in NORMALIZERS.items():
        yield f"normalizer_{name}", dict(normalizer=n)
    for name, p in PRE_TOKENIZERS.items():
        yield f"pre_tokenizer_{name}", dict(pre_tokenizer=p)
    for name, p in PATTERNS.items():
        yield f"pattern_{name}", dict(pre_tokenizer=split(p))
    yield from COMBINATIONS.items()
    for name, sections in LENGTHS.items():
        yield f"length_{name}", sections
    yield "added_none", dict(added_tokens=ADDED)
    for name in ("bert", "t5", "llama", "llama_legacy", "llama3", "strip_first"):
        yield f"added_{name}", dict(COMBINATIONS[name], added_tokens=ADDED)


def letters():
    """Every character of the lines, and of what normalizers make of them."""
    made = set("".join(TEXTS)) | set("\u2581-|xy \"") | {chr(c) for c in range(0x100, 0x144)}
    for n in NORMALIZERS.values():
        t = Tokenizer.from_str(json.dumps(document({"normalizer": n}, plain("BPE", vocab={}, merges=[]))))
        made |= set("".join(t.normalizer.normalize_str(line) for line in TEXTS))
    return sorted(made)


def make_model():
    vocab = {"<unk>": 0, **IDS}
    for c in letters():
        vocab[c] = len(vocab)
        vocab[c + "$$"] = len(vocab)
    return plain("BPE", unk_token="<unk>", end_of_word_suffix="$$", vocab=vocab, merges=[])


def document(sections, model):
    out = dict(version="1.0", truncation=None, padding=None, added_tokens=[], normalizer=None, pre_tokenizer=None,
               post_processor=None, decoder=None)
    out.update(sections)
    vocab = model["vocab"]
    out["added_tokens"] = [dict(id=vocab.get(t["content"], len(vocab) + i), **t) for i, t in enumerate(out["added_tokens"])]
    return dict(out, model=model)


def fnv(numbers):
    h = 0x811C9DC5
    for n in numbers:
        for byte in int(n).to_bytes(4, "little"):
            h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return (h ^ h >> 16) & 0xFFFF


def encode_all(sections, model):
    t = Tokenizer.from_str(json.dumps(document(sections, model)))
    return [e.ids for e in t.encode_batch(TEXTS)]


def pair_hash(t, a, b):
    """Of ids and types; "----": tokenizers refuses it."""
    try:
        e = t.encode(a, b)
    except BaseException:
        return "----"
    return "%04x" % fnv(e.ids + e.type_ids)


# What one text cannot be cut by, and forms that differ for two.
PAIRS = dict(
    none={},
    cut_second=dict(truncation=truncation(24, strategy="OnlySecond"), post_processor=ENDS),
    cut_second_left=dict(truncation=truncation(30, "Left", strategy="OnlySecond")),
    roberta_cut=dict(LENGTHS["roberta"], truncation=truncation(17)), bert_cut=dict(LENGTHS["bert"], truncation=truncation(12, "Left")),
    turned=dict(post_processor=template("<s> $A:1 </s>", "$B:2 <s> </s> $A:1 </s>")),
    twice=dict(post_processor=plain("Sequence", processors=[plain("BertProcessing", **frame()), plain("RobertaProcessing", **frame(
        "</s>", "<s>"), trim_offsets=True, add_prefix_space=True)])),
    pad_type=dict(padding=dict(padding(dict(Fixed=64), "Left"), pad_type_id=5), post_processor=ENDS),
)


def pair_cases():
    for name, sections in PAIRS.items():
        yield f"pair_{name}", sections
    for name, sections in cases():
        if name.startswith("length_"):
            yield name, sections


# ---- decoders ----

TOKENS = ["hello", "##ing", "##", "\u2581the", "\u2581", "\u2581\u2581a", "wor", "ld</w>", "</w>", "<0xE3>", "<0x81>", "<0x82>", "<0x41>",
          "<0xff>", "<0xZZ>", "<0x4>", ".", ",", "!", "?", "'", "n't", "'m", "do", "not", "'s", "'ve", "'re", " ", "  x", "|", "<pad>",
          "a|b", "\u0120world", "\u00e3\u0123", "\u0124", "\u65e5\u672c", "\U0001f600", "\u00e9", "x", "ends ", " both ", "", "a a a"]
DECODERS = dict(
    none=None, word_piece=plain("WordPiece", prefix="##", cleanup=True), word_piece_raw=plain("WordPiece", prefix="##", cleanup=False),
    word_piece_prefix=plain("WordPiece", prefix="\u2581", cleanup=True), byte_level=byte_level(True),
    metaspace=metaspace(), metaspace_first=metaspace("first"), metaspace_never=metaspace("never"), bpe=plain("BPEDecoder", suffix="</w>"),
    byte_fallback=plain("ByteFallback"), fuse=plain("Fuse"), strip=plain("Strip", content=" ", start=1, stop=0),
    strip_x=plain("Strip", content="x", start=2, stop=0), ctc=plain("CTC", pad_token="<pad>", word_delimiter_token="|", cleanup=True),
    ctc_raw=plain("CTC", pad_token="<pad>", word_delimiter_token="|", cleanup=False), replace=replace("\u2581", " ", "String"),
    replace_regex=replace("[a-d]|##", "_"),
    llama=plain("Sequence", decoders=[replace("\u2581", " ", "String"), plain("ByteFallback"), plain("Fuse"),
                                      plain("Strip", content=" ", start=1, stop=0)]),
    fuse_strip=plain("Sequence", decoders=[plain("Fuse"), plain("Strip", content=" ", start=2, stop=0), plain("Fuse")]),
    word_piece_fuse=plain("Sequence", decoders=[plain("WordPiece", prefix="##", cleanup=True), plain("Fuse"), replace(" +", " ")]),
)
DECODE_MODEL = plain("BPE", vocab={t: i for i, t in enumerate(TOKENS)}, merges=[])


def decode_cases():
    rng = random.Random(5)
    lists = [[], [0], [4], [3, 3], [9, 10, 11], [9, 10], [10, 9, 12], [29, 29, 0]]
    lists += [[rng.randrange(len(TOKENS)) for _ in range(rng.randrange(1, 12))] for _ in range(60)]
    for name, decoder in DECODERS.items():
        whole = document(dict(decoder=decoder), DECODE_MODEL)
        t = Tokenizer.from_str(json.dumps(whole))
        yield dict(name=name, document=whole, tokens=lists, texts=[t.decode(ids) for ids in lists])


# ---- comparing ----

def run(plait, directory, whole, command, lines):
    (directory / "tokenizer.json").write_text(json.dumps(whole))
    (directory / "in").write_text("".join(dump(line) + "\n" for line in lines))
    done = subprocess.run([plait, "tokenizer", command, "--tokenizer_name", str(directory), "--input", str(directory / "in"),
                           "--output", str(directory / "out")], capture_output=True, text=True)
    if done.returncode:
        print("   ", done.stderr.strip())
        return [None] * len(lines)
    return [json.loads(line) for line in (directory / "out").read_text().split("\n")[:-1]]


def compare_encoding(plait, directory, model, name, sections):
    names = {i: t for t, i in model["vocab"].items()}
    try:
        wanted = encode_all(sections, model)
    except BaseException as e:
        print(f"{name}: tokenizers refuses it: {str(e)[:200]}")
        return 0
    found = run(plait, directory, document(sections, model), "encode", TEXTS)
    wrong = [i for i in range(len(TEXTS)) if wanted[i] != found[i]]
    if wrong:
        print(f"{name}: {len(wrong)} of {len(TEXTS)} lines differ")
    for i in wrong[:3]:
        print("   ", repr(TEXTS[i])[:200])
        print("      tokenizers", [names.get(t, t) for t in wanted[i]][:60])
        print("      plait     ", [names.get(t, t) for t in found[i] or []][:60])
    return len(wrong)


def compare_decoding(plait, directory, case):
    found = run(plait, directory, case["document"], "decode", case["tokens"])
    wrong = [t for t in zip(case["tokens"], case["texts"], found) if t[1] != t[2]]
    for ids, wanted, text in wrong:
        print("decoder", case["name"], [TOKENS[i] for i in ids], repr(wanted), repr(text))
    return len(wrong)


def compare(plait, only=""):
    model = make_model()
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        differ = sum(compare_encoding(plait, directory, model, *case) for case in cases() if only in case[0])
        differ += sum(compare_decoding(plait, directory, case) for case in decode_cases() if only in case["name"])
    print(f"{differ} differences")
    return differ != 0


def main():
    if sys.argv[1:2] == ["--compare"]:
        return compare(*sys.argv[2:])
    fresh(OUT)
    model = make_model()
    (OUT / "model.json").write_text(dump(model) + "\n")
    write_lines(OUT / "lines.jsonl", map(dump, TEXTS))
    lines = []
    for name, sections in cases():
        whole = document(sections, model)
        hashes = "".join("%04x" % fnv(ids) for ids in encode_all(sections, model))
        lines.append(dict(name=name, sections={k: whole[k] for k in sections}, hashes=hashes))
    lines = {line["name"]: line for line in lines}
    for name, sections in pair_cases():
        whole = document(sections, model)
        t = Tokenizer.from_str(json.dumps(whole))
        line = lines.setdefault(name, dict(name=name, sections={k: whole[k] for k in sections}))
        line["pair_hashes"] = "".join(pair_hash(t, a, TEXTS[(7 * i + 3) % len(TEXTS)]) for i, a in enumerate(TEXTS))
    write_lines(OUT / "encode.jsonl", map(dump, lines.values()))
    write_lines(OUT / "decode.jsonl", map(dump, decode_cases()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
