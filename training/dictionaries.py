"""Two dictionaries among Debian's packages: computing (FOLDOC) and general English (WordNet).

The documentation packages speak of programs; these speak of everything else."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator
from pathlib import Path

from corpus import clean, part_of
from debian import Archive

SYNSETS, ENTRIES = 9_000, 3_000
ENTRY_WORDS = 60


def computing(root: Path) -> Iterator[dict[str, str]]:
    """Headwords stand at the left margin, their articles below them, indented."""
    packed = (root / "usr/share/dictd/foldoc.dict.dz").read_bytes()
    text = gzip.decompress(packed).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text):
        title, _, body = entry.partition("\n")
        body = re.sub(r"<[a-z, -]+>|/[^/\s]+/|\[[^]]*\]|\(\d{4}-\d\d-\d\d\)|[{}]", " ", body)
        words = clean(body).split()[:ENTRY_WORDS]
        yield {"title": title.strip(), "text": " ".join(words)}


def english(root: Path) -> Iterator[dict[str, str]]:
    """A set of synonyms is titled by its first word; examples follow its definition."""
    for name in ("noun", "verb", "adj"):
        for line in (root / f"usr/share/wordnet/data.{name}").read_text().splitlines():
            if not line.startswith(" "):
                fields, _, gloss = line.partition("|")
                word = re.sub(r"\(\w+\)$", "", fields.split()[4]).replace("_", " ")
                yield {"title": word, "text": clean(re.sub(r'[";]', " ", gloss))}


def passages(archive: Archive, part: str, seed: int) -> list[dict[str, str]]:
    """Entries of one part, in random order. Some begin with their headword, as documents do whose
    title is searched too."""
    found = []
    sources = (
        ("wordnet-base", english, SYNSETS, 5),
        ("dict-foldoc", computing, ENTRIES, 12),
    )
    for package, reader, count, words in sources:
        rng = random.Random(f"{seed}-{package}")
        entries = [
            entry
            for entry in reader(archive.documentation(package)[0])
            if len(entry["text"].split()) >= words and part_of(entry["title"]) == part
        ]
        for entry in rng.sample(entries, min(count, len(entries))):
            if rng.random() < 0.3:
                entry["text"] = f"{entry['title']} {entry['text']}"
            found.append(entry)
    random.Random(seed).shuffle(found)
    return found
