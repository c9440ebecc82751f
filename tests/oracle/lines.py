"""Hard lines for encoders: what a byte-level BPE has to get right, by kind."""

LINES = [
    "", " ", "  ", "   ", "a", " a", "  a", "a ", "a  ", " a ", "\n", "\n\n", " \n", "\n ", "a\n",
    "a\n\nb", "a \n b", "\t", "\t\t", "a\tb", "\ta", "a\t", " \t ", "\r\n", "a\r\nb", "\r", "a\rb",
    "a\r\r\nb", "line one\nline two\nline three\n", "trailing spaces    ", "    leading spaces",
    "in   the    middle", "tabs\t\tand \t mixed", "x \n\n\n y", "end\n\n\n",

    "Hello world", "Hello, world!", "Hello,world!Again...and again", "The quick brown fox",
    "HELLO WORLD", "camelCaseWord snake_case_word kebab-case-word", "a.b.c", "e.g., i.e., etc.",
    "(parenthesised)", "[x](y){z}<w>", "\"quoted\" 'single' `back`", "50% off!!!", "#hashtag @mention",
    "$100.00", "1+1=2", "a/b\\c|d", "~!@#$%^&*()_+", "well-known re-entry", "user@example.org",
    "https://example.org/a?b=c&d=e#f", "C:\\dir\\file.txt", "x := y == z != w",

    "I'm you're he's she'll we've they'd can't", "I'M YOU'RE HE'S SHE'LL WE'VE THEY'D CAN'T",
    "'s 'S 't 'T 're 'RE 've 'm 'll 'LL 'd", "'", "''", "'''s", "it's's", "rock'n'roll", "O'Neil's",
    "dogs' tails", "it’s they’re", "'sour 'tis 'relax 'velvet 'llama", "don't", " don't", "'don't'",
    "a'b'c", "a 's b", "'\u017f", "'\u212a",

    "0", "1", "12", "123", "1234567890", "3.14159", "1,000,000", "2024-05-17", "12:34:56", "0x1F",
    "1e-10", "v1.2.3", "x2y3z4", "2nd 3rd 4th", "٠١٢٣٤٥", "१२३", "①②③", "Ⅳ ⅷ", "½ ¾", "x² y³", "㊿",
    "一二三", "१a2", "1\u03012",

    "naïve café", "cafe\u0301 na\u0131\u0308ve", "Zürich Straße", "İstanbul ISPARTA ıssız",
    "Ångström A\u030angstro\u0308m", "o\u0302\u0323", "o\u0323\u0302",
    "a\u0300\u0301\u0302\u0303\u0304\u0305", "\u0301", " \u0301", "x\u0301 y",
    "e\u0301\u0301\u0301\u0301", "ﬁnancial ﬂoor", "ŐŰőű", "ǅ ǆ Ǆ", "ß ẞ ſ", "ʰʱʲ", "\u1e9b\u0323",

    "Привет, мир!", "Ελληνικά και άλλα", "ΑΒΓ ἀρχή ᾳ", "ქართული ენა", "Հայերեն", "አማርኛ", "ᏣᎳᎩ", "ᚠᚢᚦ",
    "こんにちは世界", "私は学生です。", "カタカナ ｶﾀｶﾅ ひらがな", "「引用」『二重』", "東京タワー333m", "全角ＡＢＣ１２３", "日本語とEnglishの混在text",
    "中文分词测试", "繁體中文", "你好，世界！", "안녕하세요", "한\u1100\u1161\u11a8", "가나다 ㄱㄴㄷ", "々〆ヶ", "𠮷野家", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𐍈𐌰",
    "\U00020000\U0002a6d6",

    "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "مَرْحَبًا", "السلام عليكم 123", "فارسی\u200cنویسی",
    "اردو میں", "\u202bRTL\u202c text", "abc אבג def", "नमस्ते दुनिया", "क्षत्रिय", "হ্যালো", "வணக்கம்",
    "తెలుగు", "ಕನ್ನಡ", "ไทยไม่มีช่องว่าง", "ភាសាខ្មែរ", "မြန်မာ", "བོད་ཡིག", "ລາວ",

    "😀", "😀😀", "😀 😀", " 😀", "a😀b", "👍🏽", "👩‍👩‍👧‍👦", "👨🏿‍🚀 in space", "🏳️‍🌈🏴‍☠️", "🇯🇵🇧🇷🇩🇪", "❤️ ❤ ♥️",
    "1️⃣2️⃣#️⃣", "☃☂★", "🫠🫡", "🏴\U000e0067\U000e0062\U000e007f", "✅ done", "→←↑↓", "∀x∈ℝ: ∃y",
    "∑∏∫√∞≈≠≤≥", "♔♕♖", "█▓▒░", "┌─┐│└┘", "⠓⠑⠇⠇⠕",

    "\u00a0", "a\u00a0b", " \u00a0 ", "\u3000", "全角\u3000空白", "\u3000\u3000x", "\u2028", "a\u2028b",
    "a\u2029b", "\u2003em\u2002en\u2009thin\u200ahair", "\u1680", "\u202f", "\u205f", "a\u0085b", "\x0b",
    "a\x0cb", "\x1c\x1d\x1e\x1f", "\u180e", "zero\u200bwidth", "\ufeffbom", "a\ufeffb",
    "soft\u00adhyphen", "\u200e\u200f", "word\u2060joiner", " \u3000 \u00a0\t\u2003x", "x \u2028 \n y",
    "\u00a0\u00a0x", " \u00a0x",

    "\x00", "a\x00b", "\x00\x00", "\x01\x02\x03", "\x07bell", "\x1b[31mred\x1b[0m", "\x7f", "\x80\x81",
    "\x9f", "a\x08b", "\ue000", "\ue123 private \uf8ff", "\U000f0000", "\U0010ffff", "\ufffe", "\uffff",
    "\ufffd", "a\ufffd\ufffdb", "\u0378", "\ufdd0", "\u0600\u061c", "\u2066iso\u2069",
    "\ufff9a\ufffab\ufffb", "\U0001d173",

    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a" * 700, " " * 200, "\n" * 60, "\t" * 33, "ab" * 150, "-" * 120,
    "=" * 64 + " title " + "=" * 64, "!" * 40, "0" * 90, "hahahahahahahaha", "😀" * 40, "ー" * 50,
    "\u0301" * 30, ". " * 60, "a " * 80, " a" * 80, "x" + " " * 37 + "y",

    "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<s>a</s>", "a<mask>b", "a <mask> b", "a  <mask>  b",
    " <mask>", "<mask> ", "\n<mask>\n", "<s><s></s>", "<S> </S>", "< s >", "<s", "s>", "<<s>>",
    "<mask><mask>", "the <mask>.</s> next", "<|endoftext|>", "a<|endoftext|>b", "<ent>", " <ent> ",
    "a <ent> b", "x   <ent>   y", "<tail>", "a <tail>   b", "<tail>\n\nb", "<both>", "a   <both>   b",
    "a\u00a0<both>\u3000b", "word", " word ", "sword words word", "word.word,word!",
    "reword word2 word_ _word", "日本", "日本語の日本", "Héllo", "héllo HÉLLO He\u0301llo", "<a>", "<a><b>",
    "<a><b><c>", "<a <a>", "<a b>", "x<a b>y", "[NEW]", "[NEW][NEW] [new]", "👍🏽👍", "two words",
    "two  words two words",

    "def f(x):\n    return x**2  # square\n", "{\"key\": [1, 2.5, null, true]}",
    "SELECT * FROM t WHERE a >= 'b';", "<p class=\"x\">T&amp;C</p>",
    "if (a && b || !c) { d[i++] = *p->q; }", "\\begin{eq} x_{i}^{2} \\end{eq}",
    "| a | b |\n|---|---|\n| 1 | 2 |", "- [ ] todo\n- [x] done",
    "Mixed 日本語 and العربية with emoji 😀 and numbers 123 and\ttabs\nand newlines.",
    "The lantern waited near the station, and nobody knew why.", "時計は静かなので、私は読むことにした。",
    "  def indented():\n\tpass\n", "It's 5 o'clock; we'll meet at 7:30 p.m. (or 8?)...",
]

# More of the same for normalizers and pre-tokenizers, which look at single characters.
MORE = [
    "\u0300a\u0300", "\u1100\u1161\u11a8\uac00\u11a8", "\u0344\u0340\u0341\u0374\u037e\u0387", "\u212b\u2126\u212a",
    "\ufb1d\ufb2a\ufb4f", "\u1e0b\u0323 \u1e69 s\u0323\u0307 q\u0307\u0323", "\u09c7\u09be \u0b47\u0b3e \u1025\u102e",
    "\u0958\u095f \u0915\u093c", "\u2adc \u1d15e \U0001d15e\U0001d1bc", "\U0001109a \U00011938 \U000110ab",
    "\u01c4 \u01f1 \u1fb3 \u1f80 \u1ffc", "\u0149 \u1e96 \u1f56", "\u2460 \u24b6 \u3251 \u32c0 \u33ff", "\ufdfa \ufdfb",
    "\u3131\u314f \uffa1\uffc2 \uff76\uff9e", "\u2000 \u2001 \u2002\u2003", "\u2f00 \u2ff0 \u2e9f", "\u00b2\u00b3\u00b9\u00bc\u00bd\u00be x\u00b2y",
    "\u1d2c \u1d9c \u2090 \ua7f2 \U00010781", "\u017f\u1e9b \u0131 \u0130 \u03c2\u03c3\u03a3 \u1c80\u1c81", "\u13a0\uab70 \u10a0\u2d00 \u1c90\u10d0",
    "\U00010400\U00010428 \U0001e900\U0001e922 \U00016e40", "\ua64a\u1c88 \u2c2f\u2c5f \ua7c0 \ua7d0 \ua7cb\u0264",
    "stra\u00dfe STRASSE STRA\u1e9eE hELLO kK\u212a", "na\u0308ive\u200d\u200c x\u200dy \u200bz", "\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1ef", "\u0915\u094d\u200d\u0937 \u0e33 \u0eb3", "\u0600\u0661\u0662 \u06dd\u0663", "\r\n\r\n \n\r",
    "a\r\nb\u0301\r\n\u0301c", "x\u0085y\u000bz\u001cw", "\u3002\uff0c\uff01\u3001 \u060c\u061f\u06d4", "a\u00b7b\u30fbc\u2022d", "$+<=>^`|~ \u20ac\u00a3\u00a5 \u00ac\u00b1",
    "\u166d\u1400 \u2e43 \u061d \u111c9", "\u2045x\u2046 \u27e8y\u27e9 \u00abz\u00bb \u201cq\u201d", "12\u066134\u0967\u2460\u00bd\u2167 \U0001d7d8",
    "3.14,15;92 1/2 1\u20442", "v1.2-rc3_final (2024)", "``quoted'' text 'single' \"double\"", "a ' b n't do not 's 've 're 'm",
    "\u2581the \u2581\u2581 a\u2581b", "\u2581", "  \u2581 x", "don\u2019t  stop\u2026 now\u2014or\u2013never", "aAbBcC dEF gHI jKLm", "XMLHttpRequest IOError",
    "aaaaab aaac abcabcd abab", "a" * 3000 + "b", "ab" * 1500 + "c", " " * 1000 + "x", "=.=" * 300, "\u4e00" * 400, "\u0e01\u0e34" * 200,
    "e\u0301" * 300, "\U0001f600\ufe0f\u200d" * 80, "\n" * 500 + "x", "1234567" * 60, "{key} a{,} x{,2}y xxy xy y", "abcabc 0123 ab12x34 \x1f\x00\x7f",
    "word <ent> words H\u00e9llo two words\u00c9cole \u00e9cole [NEW]<a>\u65e5\u672c", "<ent><tail> <both>  x<mask>", "E\u0301cole h\u00c9LLO TWO WORDS",
    "-a- +b+ ]x] ^y $z", "a#b \t c\\d \u00a0e", "\ud7ff\ue000\uffff\U00010000\U000e0001\U000e01ef", "\u0378\u0379 \U0001fbf0 \U0001ccd6 \U00011f02",
    "\u200b\u200b\u00e9\u1add \u0897", "ab ab", "\u0c3c\u1c90a\u0589\u061c \u0953\u0915\u0954 \U0001e5ed",
]
