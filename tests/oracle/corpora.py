"""Texts to train tokenizers on: written here, put together from sentence frames by a fixed order of choices.

english    prose with contractions, numbers, quotations, blank lines, CRLF lines, trailing blanks
japanese   prose in kanji, hiragana and katakana, full-width punctuation, ideographic spaces
mixed      many scripts, emoji sequences, combining marks, control characters, code, long runs, text of
           special tokens; no line feed at the end
"""


class Choices:
    """A small linear congruential generator: the same choices in every Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) * n >> 31

    def of(self, items):
        return items[self.below(len(items))]

    def fill(self, frame, slots):
        out = frame
        for key, items in slots.items():
            while "{" + key + "}" in out:
                out = out.replace("{" + key + "}", self.of(items), 1)
        return out


def invented(seed, syllables, count, longest):
    """Words that no language has: a vocabulary larger than one would like to write."""
    c = Choices(seed)
    return ["".join(c.of(syllables) for _ in range(1 + c.below(longest))) for _ in range(count)]


ENGLISH = [
    "The {n} {v} near the {p}, and nobody {w} why.",
    "In {y}, {x} bought {d} {n}s for ${d}.{d} each; that's {d}% more than last year.",
    "\"I don't {t} it,\" {x} said, \"but we'll {t} the {n} before {m}.\"",
    "They've {w} that {x}'s {n} wasn't {a} enough, so they're building a {a}er one.",
    "It's {a}, isn't it? You'd {t} so if you'd seen the {p} in {m}.",
    "{x} walked from the {p} to the {p}; the {a} road took {d} hours and {d} minutes.",
    "A {a} {n} is worth more than {d} {a} {n}s -- so my {f} used to say...",
    "What {x} {w} about the {n} (and the {n}) was never written down.",
    "Every {m} the {f} of the {p} counts its {n}s: {d}, {d}, {d} and so on.",
    "She'll {t} you; he can't; I'm not sure; they'd rather {t} the {n} again and again.",
    "Without the {n}, the {p} is only a {a} place with {d} {n}s and an unhappy {f}.",
    "The {g} of {g} {w} that {g} and {g} were {g}; see {g}.",
    "{g} {g}, {g}! {g} {x}'s {g}",
    "\tNote {d}: {n}, {n}, {n} & {n} -- see page {y}.",
]
ENGLISH_SYLLABLES = ["ba", "ran", "tel", "sor", "mi", "dle", "ven", "tion", "ous", "pre", "con", "ing", "ly"]
ENGLISH_SLOTS = dict(
    g=invented(3, ENGLISH_SYLLABLES, 260, 4),
    n=["lantern", "river", "engine", "letter", "garden", "window", "machine", "sparrow", "harbour", "teapot",
       "notebook", "bridge", "candle", "wheel", "orchard", "thimble", "lamp", "tokenizer"],
    v=["waited", "stood", "shone", "slept", "turned", "rattled", "was found", "grew", "disappeared"],
    p=["station", "valley", "library", "old mill", "kitchen", "north gate", "market", "island", "workshop"],
    w=["knew", "remembered", "believed", "wondered", "explained", "forgot", "thought"],
    t=["understand", "repair", "finish", "measure", "remember", "rethink", "reach"],
    x=["Ada", "Mr. Thorne", "Ines", "the baker", "Dr. O'Neil", "Wilhelmina", "my neighbour", "Kofi"],
    a=["small", "quiet", "bright", "slow", "cold", "green", "narrow", "deep", "strong", "plain"],
    m=["Monday", "spring", "noon", "the evening", "November", "the first snow"],
    f=["grandmother", "keeper", "teacher", "clockmaker", "captain"],
    y=["1871", "1904", "1999", "2024", "863", "12,500"],
    d=["2", "3", "7", "10", "12", "48", "150", "365", "1000"])

JAPANESE = [
    "{p}の{n}は{a}ので、{x}は{t}ことにした。",
    "「{n}を{t}のは{a}ですね」と{x}が言いました。",
    "{y}年{d}月{d}日、{x}は{p}で{n}を{d}個買った。",
    "{p}から{p}まで歩いて{d}分かかりますが、{n}があれば{d}分で着きます。",
    "{x}さんの{n}、とても{a}でしょう?",
    "　朝の{p}には誰もいない。{n}だけが{a}光っている。",
    "コンピューターで{n}を{t}と、メモリーが{d}ギガバイト必要になる。",
    "{n}と{n}と{n}――どれも{x}にとって{a}ものだった。",
    "{g}と{g}の{n}を{g}と呼ぶ。",
    "もし{n}が{a}なら、{p}へ行って{t}つもりです。",
    "ｶﾀｶﾅと全角ＡＢＣ１２３、それから「{n}」という言葉を{t}。",
]
JAPANESE_SYLLABLES = list("アイカキクサシスタチトナニマミラリルロンー")
JAPANESE_SLOTS = dict(
    g=invented(4, JAPANESE_SYLLABLES, 120, 5),
    n=["時計", "手紙", "りんご", "ランプ", "機械", "古い本", "自転車", "鉛筆", "窓", "コーヒー", "辞書", "夕日"],
    p=["駅", "図書館", "谷", "市場", "台所", "北の門", "海辺の町", "工場", "東京", "公園"],
    x=["私", "田中", "隣の人", "祖母", "船長", "あの子", "彼女", "先生"],
    a=["小さい", "静かな", "明るい", "とても古い", "冷たい", "深い", "大切な", "遠い"],
    t=["直す", "読む", "数える", "考え直す", "思い出す", "作る", "届ける"],
    y=["二〇二四", "1998", "昭和三十", "2001"],
    d=["三", "五", "10", "12", "二十", "48", "7"])

MIXED = [
    "{e}{e} {l} {e}",
    "{l}: {l}, {l}!",
    "def {c}({c}, {c}=None):\n    return {c}[{c}] + 0x{d}f{d}  # {l}",
    "<p class=\"{c}\">{l} &amp; {e}</p>",
    "{r}",
    "{l}\t{d}\t{d}.{d}e-{d}\t{e}",
    "{r} {l} {r}",
    "https://example.org/{c}/{c}?{c}={d}#{c}",
    "  {l}   {l}    {e}     ",
    "{k}{l}{k}{l}",
    "{g} {g}{g} {g}",
    "{c}_{c}-{c}.{c}@{c}",
]
MIXED_SLOTS = dict(
    g=invented(5, ["qu", "ö", "ж", "ні", "ε", "ха", "_", "X", "zz", "й", "9", "θ"], 160, 5),
    l=["שלום עולם", "مرحبا بالعالم", "Привет, мир", "Γειά σου Κόσμε", "नमस्ते दुनिया", "สวัสดีชาวโลก",
       "안녕하세요 세계", "你好，世界", "e\u0301te\u0301 de\u0301ja\u0300", "Zürich straße", "İstanbul ıssız",
       "o\u0302\u0323n A\u030a", "ﬁne oﬃce", "naïve café", "x² + y³ ≈ ½", "ἀρχή", "ქართული", "አማርኛ",
       "ភាសាខ្មែរ", "தமிழ்", "<s>", "<mask>"],
    e=["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇯🇵🇧🇷", "❤️", "1️⃣", "👨🏿‍🚀", "☃", "🫠", "✅"],
    c=["index", "value", "my_list", "forEach", "HTMLParser", "i", "tmp2", "parseInt", "self", "x"],
    d=["0", "1", "42", "255", "3", "1024", "٣٤", "१२"],
    k=["\x01", "\x07", "\x0b", "\x0c", "\x1b[0m", "\x7f", "\u0085", "\u00a0", "\u2028", "\u200b", "\ufeff",
       "\u3000", "\ue000", "\x00"],
    r=["RUN"])
RUNS = ["a", "ab", "=", "-=", " ", "\t", "!", "ha", "ー", "💧", ".", "0", "aab", "\u0301", "\r"]


def prose(frames, slots, seed, sentences, paragraph, join):
    c = Choices(seed)
    lines, line = [], []
    for _ in range(sentences):
        line.append(c.fill(c.of(frames), slots))
        if c.below(paragraph) == 0:
            lines.append(join.join(line))
            line = []
            if c.below(3) == 0:
                lines.append("")
    return lines + [join.join(line)]


def english():
    lines = prose(ENGLISH, ENGLISH_SLOTS, 11, 330, 4, " ")
    lines[5:9] = [s + "\r" for s in lines[5:9]]
    lines[12:15] = [s + "   " for s in lines[12:15]]
    return "\n".join(lines) + "\n"


def japanese():
    return "\n".join(prose(JAPANESE, JAPANESE_SLOTS, 12, 220, 4, "")) + "\n"


def mixed():
    c = Choices(13)
    lines = []
    for _ in range(380):
        line = c.fill(c.of(MIXED), MIXED_SLOTS)
        while "RUN" in line:
            line = line.replace("RUN", c.of(RUNS) * (1 + c.below(28)), 1)
        lines.append(line)
    return "\n".join(lines)
