"""Debian's package tags as a collection of short texts: titles ask for the tags people chose."""

from __future__ import annotations

import random
import re

from corpus import part_of
from debian import Archive, short_description

# Facets whose names are needed to understand their values ("mail::list").
TELLING = "admin biology devel game hardware mail network office science security sound web x11"
# Others that say what a package is about; those left out say how it was packaged.
PLAIN = """accessibility culture field implemented-in interface junior made-of protocol suite use
    works-with works-with-format"""
TELLING_FACETS = frozenset(TELLING.split())
FACETS = TELLING_FACETS | frozenset(PLAIN.split())


def text_of(tag: str) -> str:
    """A tag as words ("works-with::image:vector" is "image vector"), empty if it says nothing."""
    facet, _, name = tag.partition("::")
    if name == "TODO" or facet not in FACETS:
        return ""
    words = re.sub("[:_-]+", " ", name)
    if facet in TELLING_FACETS and facet not in words:
        words = f"{facet} {words}"
    return words.removeprefix("devel lang ")


def collection(archive: Archive, part: str) -> list[tuple[str, list[str]]]:
    """Short descriptions of packages in one part of the corpus, and the texts of their tags."""
    tags: dict[str, tuple[str, list[str]]] = {}
    for stanza in archive.stanzas("*_main_binary-*_Packages*"):
        texts = [text_of(tag.strip()) for tag in stanza.get("Tag", "").split(",")]
        texts = [text for text in dict.fromkeys(texts) if text]
        source = stanza.get("Source", stanza.get("Package", "")).split(" ")[0]
        if texts and part_of(source) == part:
            tags[stanza["Package"]] = (source, texts)
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for stanza in archive.stanzas("*_main_i18n_Translation-en*"):
        if stanza["Package"] in tags:
            source, texts = tags[stanza["Package"]]
            title = short_description(stanza)
            if len(title.split()) >= 3:
                found.setdefault((source, title), (title, texts))
    return list(found.values())


def pairs(archive: Archive, count: int, seed: int) -> tuple[list[str], list[list[int]], list[str]]:
    """Queries of the training part, the rows of their tags, and all tags."""
    tagged = [item for item in collection(archive, "train") if len(item[1]) >= 2]
    tagged = random.Random(f"{seed}-debtags").sample(tagged, min(count, len(tagged)))
    names = sorted({text for _, texts in tagged for text in texts})
    row = {text: number for number, text in enumerate(names)}
    return [query for query, _ in tagged], [[row[t] for t in texts] for _, texts in tagged], names
