"""Fetch what Debian's archive says about its packages, and a few of its documentation packages.

Everything happens in a private directory: neither the system's package lists nor its
installed packages change, and no root rights are needed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Documentation packages, by name. Licences: see training/README.md.
DOC_PACKAGES = (
    "anarchism",
    "debian-reference-en",
    "gnome-user-docs",
    "manpages",
    "manpages-dev",
    "octave-doc",
    "perl-doc",
    "postgresql-doc-15",
    "python-scipy-doc",
    "python-sklearn-doc",
    "python3.11-doc",
    "sqlite3-doc",
)


class Archive:
    """A private view of the machine's configured Debian archive."""

    def __init__(self, directory: Path):
        self.lists = directory / "lists"
        self.debs = directory / "debs"
        self.unpacked = directory / "unpacked"
        for path in (self.lists / "partial", self.debs, self.unpacked):
            path.mkdir(parents=True, exist_ok=True)
        self.options = [
            f"-oDir::State::lists={self.lists}",
            f"-oDir::Cache={directory / 'cache'}",
            # The long descriptions are in the English translation file, which images for
            # containers usually do not fetch.
            "-oAcquire::Languages=en",
            "-oAPT::Sandbox::User=",
        ]

    def update(self) -> None:
        subprocess.run(["apt-get", *self.options, "-q", "update"], check=True)

    def stanzas(self, pattern: str) -> Iterator[dict[str, str]]:
        """Yield the RFC 822 paragraphs of the list files whose names match `pattern`."""
        for path in sorted(self.lists.glob(pattern)):
            command = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
            text = subprocess.run(command, check=True, capture_output=True).stdout.decode()
            for paragraph in text.split("\n\n"):
                fields: dict[str, str] = {}
                name = ""
                for line in paragraph.split("\n"):
                    if line[:1] in (" ", "\t"):
                        fields[name] += "\n" + line[1:]
                    elif ":" in line:
                        name, value = line.split(":", 1)
                        fields[name] = value.strip()
                if fields:
                    yield fields

    def documentation(self, package: str) -> tuple[Path, str]:
        """Download and unpack one package; return its directory and version."""
        found = list(self.debs.glob(f"{package}_*.deb"))
        if not found:
            command = ["apt-get", *self.options, "-q", "download", package]
            subprocess.run(command, check=True, cwd=self.debs)
            found = list(self.debs.glob(f"{package}_*.deb"))
        target = self.unpacked / package
        if not target.exists():
            subprocess.run(["dpkg-deb", "-x", str(found[0]), str(target)], check=True)
        return target, found[0].name.split("_")[1]


def short_description(stanza: dict[str, str]) -> str:
    """The first line of a description, without a last bracket or what follows a dash."""
    line = stanza.get("Description-en", "").partition("\n")[0]
    return re.sub(r"\s*\([^()]*\)\s*$|\s+[-\u2013\u2014]+\s.*$", "", line).strip()


def descriptions(archive: Archive) -> Iterator[dict[str, str]]:
    """Yield one passage per source package and distinct short description.

    Paragraphs that many packages share ("This package contains the development files")
    say nothing about the package and are dropped; so are packages whose whole description
    was already seen under the same source.
    """
    sources = {
        stanza["Package"]: stanza.get("Source", stanza["Package"]).split(" ")[0]
        for stanza in archive.stanzas("*_main_binary-*_Packages*")
        if "Package" in stanza
    }
    seen: set[str] = set()
    for stanza in archive.stanzas("*_main_i18n_Translation-en*"):
        package = stanza["Package"]
        long = stanza.get("Description-en", "").partition("\n")[2]
        title = short_description(stanza)
        for paragraph in re.split(r"\n\.\n", long):
            text = " ".join(paragraph.split())
            digest = hashlib.sha1(text.encode()).hexdigest()
            # The first paragraph that nobody had before describes the thing itself.
            if (
                len(text) >= 80
                and digest not in seen
                and not re.match(r"This (meta)?package", text)
            ):
                rest = [" ".join(p.split()) for p in re.split(r"\n\.\n", long)]
                body = " ".join(rest[rest.index(text) :])
                yield {
                    "group": sources.get(package, package),
                    "source": "debian-descriptions",
                    "title": title,
                    "text": body,
                }
                break
        seen.update(
            hashlib.sha1(" ".join(p.split()).encode()).hexdigest()
            for p in re.split(r"\n\.\n", long)
        )
