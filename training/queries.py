"""Several kinds of queries for each passage, so that the model meets what people type."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from dataclasses import dataclass, field

QUESTIONS = (
    "what is {}",
    "what is {}?",
    "What does {} mean?",
    "how to {}",
    "How do I {}?",
    "how does {} work?",
    "is there a tool for {}",
    "which one is a {}?",
    "where can I find {}",
    "why {}?",
    "looking for {}",
    "tell me about {}",
    "Can you explain {}?",
)
ASKING = (
    "who",
    "what",
    "when",
    "where",
    "why",
    "how",
    "which",
    "how many",
    "is",
    "does",
    "in which",
)
FILLERS = ("the", "a", "of", "is", "was", "in", "for", "does", "to", "and")


@dataclass
class Item:
    """A passage as the model sees it, and the queries it answers."""

    title: str
    text: str
    queries: list[tuple[str, str]] = field(default_factory=list)  # (kind, query)


def document_frequencies(texts: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(re.findall(r"[a-z][a-z0-9+-]+", text.lower())))
    return counts


def make(passages: list[dict[str, str]], seed: int) -> list[Item]:
    """Queries of each passage: title, question, a sentence taken out, keywords, rough question."""
    frequencies = document_frequencies([p["text"] for p in passages])
    total = len(passages)
    items = []
    for number, passage in enumerate(passages):
        rng = random.Random(f"{seed}-{number}")
        title, text = passage["title"], passage["text"]
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", text)
        item = Item(title, text)
        long_enough = [s for s in sentences if 5 <= len(s.split()) <= 40]
        if len(sentences) >= 3 and long_enough:
            # The sentence leaves the passage: else finding it would only take copying.
            taken = rng.choice(long_enough)
            sentences.remove(taken)
            item.text = " ".join(sentences)
            item.queries.append(("sentence", " ".join(taken.split()[:32])))
        item.queries.append(("title", title))
        if rng.random() < 0.5:
            words = title.lower() if rng.random() < 0.7 else title
            item.queries.append(("question", rng.choice(QUESTIONS).format(words)))

        def informative(words: str, rng: random.Random = rng) -> list[str]:
            found = list(dict.fromkeys(re.findall(r"[A-Za-z][A-Za-z0-9+-]+", words)))
            weighed = [
                (rng.random() ** (1 / math.log(total / (1 + frequencies[w.lower()]) + 1)), w)
                for w in found
                if frequencies[w.lower()] < 0.1 * total
            ]
            chosen = {w for _, w in sorted(weighed, reverse=True)[: rng.randint(1, 5)]}
            return [w for w in found if w in chosen]

        if rng.random() < 0.5:
            words = informative(item.text)
            if rng.random() < 0.5:
                rng.shuffle(words)
            if words:
                item.queries.append(("keywords", " ".join(words).lower()))
        else:
            words = informative(rng.choice(sentences))
            if len(words) >= 2:
                for _ in range(rng.randint(1, 3)):
                    words.insert(rng.randint(0, len(words)), rng.choice(FILLERS))
                item.queries.append(("rough question", f"{rng.choice(ASKING)} {' '.join(words)}?"))
        items.append(item)
    return items


def short_pairs(items: list[Item], count: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of a query and a *short* text: titles, and tag-like phrases of one to three words.

    Collections of tags, names or headings are searched with longer texts than they hold.
    """
    frequencies = document_frequencies([item.text for item in items])
    rng = random.Random(f"{seed}-short")
    pairs = []
    for item in rng.sample(items, min(count, len(items))):
        sentences = [query for kind, query in item.queries if kind == "sentence"]
        body = sentences[0] if sentences else " ".join(item.text.split()[:32])
        if rng.random() < 0.4:
            pairs.append((body, item.title))
            continue
        words = (item.title if rng.random() < 0.5 else item.text).split()[:30]
        plain = [w.strip(".,;:()\"'").lower() for w in words]
        telling = [frequencies[w] < 0.02 * len(items) and w.isalpha() for w in plain]
        starts = [i for i, good in enumerate(telling) if good]
        if not starts:
            continue
        start = rng.choice(starts)
        ends = [i for i in range(start, min(start + 3, len(words))) if telling[i]]
        phrase = " ".join(words[start : rng.choice(ends) + 1]).strip(".,;:()\"'")
        pairs.append((item.title if rng.random() < 0.7 else body, phrase))
    return pairs
