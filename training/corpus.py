"""The text the model is trained on: titled passages, each in a training or a held-out part."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from debian import DOC_PACKAGES, Archive, descriptions
from documents import sections

HELD_OUT_PERCENT = 6
CHUNK_CHARACTERS = 900
CHUNKS_PER_SECTION = 12
PASSAGES_PER_SOURCE = {"debian-descriptions": 25_000, "anarchism": 5_000}
PASSAGES_PER_OTHER_SOURCE = 2_500
# A heading that stands above this many passages ("Notes", "Examples") says nothing.
GENERIC_TITLE = 20


def part_of(group: str) -> str:
    """A group (a source package, a file) is held out whole, by a hash of its name."""
    percent = int(hashlib.sha1(group.encode()).hexdigest(), 16) % 100
    return "held_out" if percent < HELD_OUT_PERCENT else "train"


def clean(text: str) -> str:
    text = re.sub(r"https?://\S+|[¶\uf0c1]", "", text)
    return " ".join(text.split())


def clean_title(title: str) -> str:
    """Without section numbers, brackets around the whole, and final points."""
    title = re.sub(r"^(chapter )?([A-Z]\.)?\d[\d.]*\s+|^[A-Z]\.\s+", "", clean(title), flags=re.I)
    return title.strip("(). :")


def chunks(text: str) -> Iterator[str]:
    """Cut at sentence borders into pieces of at most about CHUNK_CHARACTERS."""
    piece = ""
    for sentence in re.split(r"(?<=[.!?]) ", text):
        if piece and len(piece) + len(sentence) > CHUNK_CHARACTERS:
            yield piece
            piece = ""
        piece = f"{piece} {sentence[:CHUNK_CHARACTERS]}".strip()
    yield piece


def build(directory: Path) -> list[dict[str, str]]:
    """Return the passages, building `directory`/corpus.json on the first call."""
    target = directory / "corpus.json"
    if target.exists():
        return json.loads(target.read_text())
    archive = Archive(directory)
    archive.update()
    raw = list(descriptions(archive))
    versions = {}
    for package in DOC_PACKAGES:
        root, versions[package] = archive.documentation(package)
        for name, (title, body) in sections(root):
            raw.append(
                {"group": f"{package}/{name}", "source": package, "title": title, "text": body}
            )

    titles = Counter(clean_title(passage["title"]).lower() for passage in raw)
    passages, seen = [], set()
    for passage in raw:
        title = clean_title(passage["title"])
        if not 3 <= len(title) <= 150 or titles[title.lower()] >= GENERIC_TITLE:
            continue
        for text in islice(chunks(clean(passage["text"])), CHUNKS_PER_SECTION):
            # Too short, seen, or mostly numbers, signatures and code: not prose.
            prose = sum(c.isalpha() or c == " " for c in text) >= 0.85 * len(text)
            if len(text.split()) < 12 or text[:150].lower() in seen or not prose:
                continue
            seen.add(text[:150].lower())
            fields = {"title": title, "text": text, "part": part_of(passage["group"])}
            passages.append({**passage, **fields})

    random.Random(0).shuffle(passages)
    kept: Counter[str] = Counter()
    limited = []
    for passage in passages:
        source = passage["source"]
        kept[source] += 1
        if kept[source] <= PASSAGES_PER_SOURCE.get(source, PASSAGES_PER_OTHER_SOURCE):
            limited.append(passage)
    passages = limited

    counts = Counter((p["source"], p["part"]) for p in passages)
    summary = {
        "versions": versions,
        "passages": {f"{s} {p}": n for (s, p), n in sorted(counts.items())},
    }
    (directory / "corpus-summary.json").write_text(json.dumps(summary, indent=1))
    target.write_text(json.dumps(passages))
    return passages


if __name__ == "__main__":
    import sys

    build(Path(sys.argv[1]))
    print((Path(sys.argv[1]) / "corpus-summary.json").read_text())
