"""Texts and pairs that trip tokenizers, packers and truncation, all deterministic."""

# ruff: noqa: RUF001 (letters that look alike are the point)
from __future__ import annotations

import numpy as np

_PROSE = """
Paris is the capital and most populous city of France. The museum on the left bank keeps
paintings, drawings and early photographs. A retriever finds candidate documents, a ranker reads
the query together with each of them and orders them again. Neural networks learn weights by
gradient descent; transformers attend to every word of a sentence at once. The river carried
boats, grain and gossip from the mountains to the sea. How many people live in Berlin? In 2019
it had 3,520,031 inhabitants, more than Hamburg, Munich or Cologne. Fashion, gastronomy, finance
and science made the old town rich. Rain fell on the harbour while the orchestra rehearsed the
second movement. What is the boiling point of water at 4,000 metres? She wrote seven novels,
three of which were published under another name. The quick brown fox jumps over the lazy dog.
Programming languages differ in how they treat memory, errors and concurrency. Honey never
spoils if the jar is closed. Quantum mechanics describes particles as waves; chemistry explains
why iron rusts and bread rises. Football, tennis and cycling are popular; chess is quieter. The
parliament voted against the amendment, yes or no, after a long debate. Astronomers measured the
distance to the nearest galaxy again and found it slightly larger. An unbelievable,
uncomfortable, unthinkable misunderstanding internationally reclassified counterproductive
telecommunications.
"""

_WORLD = [
    "Où est le café près de l'hôtel à Besançon, s'il vous plaît ?",
    "Straße, Übergröße, Mädchen und schöne Grüße aus Köln.",
    "El niño comió piñas en Málaga y bebió agua.",
    "Москва является столицей и крупнейшим городом России.",
    "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    "東京は日本の首都です。人口は約1400万人。",
    "巴黎是法国的首都和人口最多的城市。",
    "서울은 대한민국의 수도이다.",
    "القاهرة هي عاصمة مصر وأكبر مدنها.",
    "नई दिल्ली भारत की राजधानी है।",
    "I ♥ N.Y. 😀👩\u200d👩\u200d👧🇫🇷 and π ≈ 3.14159…",
]

_SENTENCES = [s.strip() + "." for s in " ".join(_PROSE.split()).split(".") if s.strip()]
_WORDS = " ".join(_PROSE.split()).split()

#: One text per way of being awkward.
NASTY = [
    "",
    " ",
    " \t\n  ",
    "a",
    ".",
    "paris",
    "  leading and trailing blanks  ",
    "line one\nline two\r\nline three\ttab",
    "UPPER lower MiXeD Case",
    "e\u0301 combining, é precomposed, ﬁ ligature, ① circled, Ⅳ roman, ﹏ odd",
    "soft\u00adhyphen zero\u200bwidth no\u00a0break\u3000ideographic \ufeffbom",
    "control \x00 \x01 \x07 \x1b \x7f \x85 characters",
    "\ufffd replacement and private \ue000 use",
    "naïve façade coöperate Ångström İstanbul ß ſ",
    "don't can't won't it's we'll I'd you've they're 'quoted' \"double\" ``ticks''",
    "snake_case kebab-case a/b\\c <tag> </tag> {x} [y] (z) #1 @you 50% $9.99 a+b=c a&b",
    "0 00 007 1,234,567.89 1e-9 2019-11-23T09:51:00Z 192.168.0.1",
    "the the the the the the the the the the the the",
    "!!!???...,,,;;;:::",
    "[CLS] [SEP] [PAD] [UNK] [MASK] <s> </s> <pad> <unk> <mask> <|endoftext|> <bos> <eos>",
    "before [SEP] after and <mask> between",
    "▁already ▁metaspaced Ġbyte Ċlevel ##wordpiece",
    "x" * 150,
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "日本語とEnglishの混在text",
    "👩🏽\u200d🚀 👨\u200d👩\u200d👧\u200d👦 🏴\u200d☠️ ☃️",
    "مرحبا \u202eright to left\u202c שלום",
    "ก็ ขอบคุณ ไทย ไม่มีวรรค",
    "https://example.org/a?b=c&d=%20e#f me@example.org",
    "a\u0300\u0301\u0302\u0303\u0304\u0305 zalgo",
    *_WORLD,
]


def training_corpus(sentences: int = 1500, seed: int = 7) -> list[str]:
    """Text to train small tokenizers on: prose, other scripts, and shuffled words."""
    draw = np.random.default_rng(seed)
    shuffled = [words(int(n), draw) for n in draw.integers(3, 25, sentences)]
    return _SENTENCES * 6 + _WORLD * 8 + shuffled


def words(count: int, draw: np.random.Generator) -> str:
    """`count` words of prose in random order."""
    return " ".join(draw.choice(_WORDS, count).tolist())


def random_pairs(count: int, shortest: int = 1, longest: int = 40, seed: int = 0):
    """Ordinary pairs: a short query and a document of `shortest`..`longest` words."""
    draw = np.random.default_rng(seed)
    return [
        (
            words(int(draw.integers(1, 12)), draw),
            words(int(draw.integers(shortest, longest + 1)), draw),
        )
        for _ in range(count)
    ]


def length_pairs(seed: int = 1) -> list[tuple[str, str]]:
    """Pairs from empty to far over a 64-token limit, on either side and on both."""
    draw = np.random.default_rng(seed)
    lengths = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 90), (90, 0), (3, 20), (20, 3), (20, 20)]
    lengths += [
        (25, 36),
        (36, 25),
        (30, 31),
        (70, 5),
        (5, 70),
        (70, 70),
        (71, 70),
        (70, 71),
        (1, 300),
    ]
    return [(words(a, draw) if a else "", words(b, draw) if b else "") for a, b in lengths]


def nasty_pairs() -> list[tuple[str, str]]:
    """Every awkward text once as a query and once as a document."""
    turned = NASTY[7:] + NASTY[:7]
    return list(zip(NASTY, turned, strict=True))


def all_pairs() -> list[tuple[str, str]]:
    """What a parity test scores: awkward texts, all lengths, and ordinary pairs."""
    return nasty_pairs() + length_pairs() + random_pairs(24)
