"""Cut HTML pages, Mallard pages, POD files and manual pages into titled passages."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

Section = tuple[str, str]


class _HtmlSections(HTMLParser):
    """Collect (heading, prose below it); code, tables and navigation are left out."""

    HEADINGS = frozenset({"h1", "h2", "h3", "h4", "title"})
    BLOCKS = frozenset({"p", "li", "dd", "dt", "div", "section"})
    SKIPPED = frozenset(
        {"pre", "script", "style", "table", "nav", "header", "footer", "code-block"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[tuple[list[str], list[str]]] = []
        self.skipping = 0
        self.in_heading = False
        self.in_paragraph = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in self.SKIPPED:
            self.skipping += 1
        elif tag in self.HEADINGS:
            self.sections.append(([], []))
            self.in_heading = True
        elif tag in ("p", "dd"):
            self.in_paragraph += 1
        elif tag in self.BLOCKS and self.sections:
            self.sections[-1][1].append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SKIPPED:
            self.skipping = max(0, self.skipping - 1)
        elif tag in self.HEADINGS:
            self.in_heading = False
        elif tag in ("p", "dd"):
            self.in_paragraph = max(0, self.in_paragraph - 1)
            if self.sections:
                self.sections[-1][1].append(" ")

    def handle_data(self, data: str) -> None:
        if self.skipping or not self.sections:
            return
        if self.in_heading:
            self.sections[-1][0].append(data)
        elif self.in_paragraph:
            self.sections[-1][1].append(data)


def html(text: str) -> list[Section]:
    parser = _HtmlSections()
    parser.feed(text)
    return [("".join(title), "".join(body)) for title, body in parser.sections]


def mallard(text: str) -> list[Section]:
    """GNOME's help pages: the same elements as HTML under other names."""
    text = re.sub(r"<info>.*?</info>|<\?.*?\?>|<!--.*?-->", " ", text, flags=re.S)
    return html(re.sub(r"<(/?)title\b", r"<\1h2", text))


def pod(text: str) -> list[Section]:
    def plain(part: str) -> str:
        part = re.sub(r"[A-Z]<+\s*([^<>|]*\|)?([^<>]*?)\s*>+", r"\2", part)
        return re.sub(r"[A-Z]<|>", " ", part)

    sections = []
    for block in re.split(r"^=head[1-4] ", text, flags=re.M)[1:]:
        title, _, body = block.partition("\n")
        # Indented paragraphs are code, lines that begin with "=" are commands.
        prose = [p for p in body.split("\n\n") if p.strip() and p.lstrip("\n")[:1] not in " \t="]
        sections.append((plain(title), plain(" ".join(prose))))
    return sections


def manual_page(text: str) -> list[Section]:
    """One passage a page: the NAME line above the first words of DESCRIPTION."""
    text = re.sub(r"\\f[BIRP]|\\f\(..|\\&|\\c|\\/|\\,", "", text)
    text = text.replace("\\-", "-").replace("\\(aq", "'").replace("\\(dq", '"').replace("\\e", "\\")
    text = re.sub(r"\\[(*]..|\\\[[^]]*\]", " ", text)
    parts = re.split(r"^\.S[Hh] +", text, flags=re.M)
    bodies: dict[str, str] = {}
    for part in parts[1:]:
        head, _, body = part.partition("\n")
        body = re.sub(r"^\.(EX|nf).*?^\.(EE|fi)", " ", body, flags=re.M | re.S)
        body = re.sub(r"^\.(BR?|I[RP]?|RB|RI|BI|IB|SM) +(.*)$", r"\2", body, flags=re.M)
        body = re.sub(r"^[.'].*$", " ", body, flags=re.M).replace('"', " ")
        bodies.setdefault(head.strip('" ').upper(), body)
    name = bodies.get("NAME", "")
    _, dash, does = name.partition(" - ")
    return [(does, bodies.get("DESCRIPTION", ""))] if dash else []


_READERS = {".html": html, ".page": mallard, ".pod": pod}


def sections(root: Path) -> Iterator[tuple[str, Section]]:
    """Yield (file, section) for every English document below `root`."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        # GNOME's help pages come in every language; those in C are English.
        translated = "/gnome/help/" in f"/{name}" or "/share/help/" in f"/{name}"
        if not path.is_file() or path.is_symlink() or (translated and "/C/" not in name):
            continue
        bare = path.name.removesuffix(".gz")
        reader = _READERS.get(Path(bare).suffix)
        if reader is None and "/man/man" in name:
            reader = manual_page
        if reader is None or re.search(r"genindex|searchindex|py-modindex", name):
            continue
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for section in reader(data.decode("utf-8", "replace")):
            yield name, section
