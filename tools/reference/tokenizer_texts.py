"""Texts that small tokenizers are trained on, and texts that they are tried with. All our own."""

import seeded

WORDS = """the river of a valley keeps and records every morning when water rises over stones it's
we'll they've I'm you'd don't number 7 42 365 2024 1000000 page pages cache caches token tokens
draft drafts verify verified quantized retrieval window windows budget layer layers streaming
naïve café façade Zürich straße Ελλάδα λόγος Москва вода река 東京 日本語 中文 字符 नमस्ते नदी مرحبا ماء
שלום ไทย น้ำ 한국어 물 🙂 👍🏽 🇪🇺 ½ € — … “quoted” (in brackets) [x] {y} a_b x=1; if(i<10) return;
https://example.org/a?b=c&d=e e-mail@host 3.14 1,000 50% C++ #tag""".split()

TEXTS = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", " \n ", "\r\n", "a", " a", "a ", "  a  b   c    ",
    "Hello world", " Hello world", "Hello  world ", "Hello\nworld", "hello\n\n\nworld\n",
    "verifiable unreachable", "unverifiable unreachable, verifiables",
    "the river of a valley", "The River OF A Valley", "it's we'll they've I'm you'd DON'T IT'S",
    "I'M'LL'RE ' 's 'S 'ſ", "0 1 12 123 1234 12345 123456 1234567", "3.14159, 1,000,000; 50%",
    "²³¹ ½ Ⅷ ٣٤٥ १२३ ௧", "naïve café façade", "nai\u0308ve cafe\u0301 fac\u0327ade",
    "A\u030angstro\u0308m \u212b \u2126 \ufb01", "\u1100\u1161\u11a8 \uac01", "q\u0307\u0323 q\u0323\u0307",
    "東京は日本語です。", "中文字符，没有空格", "नमस्ते नदी", "مرحبا ماء", "שלום עולם", "ไทยน้ำ",
    "한국어 물", "🙂", "👍🏽", "👨‍👩‍👧‍👦 🇪🇺 e\u20e3", "\u200b\u200d\ufeff\u00a0x\u3000y\u2003z\u0085w", "a\u2028b\u2029c",
    "\u0000\u0001\u001f\u007f", "<0x41><0xFF> <0x0A>", "▁", "▁▁a▁ b", "a▁b", "Ġ Ċ ĉ", "\ue000\uf8ff",
    "\U0001f9ff\U0010ffff\U000e0041", "if(i<10)\n\treturn x[ i ];  // done\n\n}", "a_b__c___d",
    "!!!???...,,,;;;", "((((a))))", "--- === ***", "“quoted” ‘single’ — …",
    "https://example.org/a?b=c&d=e#f", "tokens" * 20, "ab" * 50, " " * 37 + "x" + " " * 9,
    "\n \n  \n   x", "x \n", "x  \n  y", " \t \n\t ", "ALLCAPS lower MiXeD", "word.Word,word;Word",
]


def corpus(words):
    """600 sentences of a dozen words."""
    return [" ".join(words[i] for i in seeded.tokens(seed, 12, len(words))) + "."
            for seed in range(1000, 1600)]


def mixed(seed, pieces):
    """Pieces glued with and without spaces: no form that a person would have thought of."""
    glue = ["", "", " ", " ", "  ", "\n", "'", "\t", "1"]
    out = ""
    for number in seeded.tokens(seed, 8, len(pieces) * len(glue)):
        out += pieces[number % len(pieces)] + glue[number // len(pieces)]
    return out


def trials(added):
    """What a tokenizer is tried with; `added` are the spellings of its added tokens."""
    out = list(TEXTS)
    for token in added:
        out += [token, token * 2, f"a{token}b", f" {token} ", f"a {token} b", f"a  {token}\n\tb",
                f"{token}a", f"the {token}", f"({token})", f"é{token}é", f"1{token}_", token[:-1],
                f"\n{token}\n", token.upper(), token.lower()]
    pieces = WORDS + added + ["▁", "\u0301", "\ufffd", "\U0001f468\u200d", "ſ"]
    out += [mixed(seed, pieces) for seed in range(2000, 2060)]
    return list(dict.fromkeys(out))
