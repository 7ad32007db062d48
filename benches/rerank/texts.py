"""Pairs of a query and a passage: English prose, cut to a wanted number of tokens.

The prose is Python's own language reference, which every Python carries; passages are windows of
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

Pair = tuple[str, str]

MAX_LENGTH = 512


@dataclass(frozen=True)
class Lengths:
    """A log-normal distribution of tokens per pair, special tokens included."""

    mean: float
    sigma: float

    def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Return `count` lengths."""
        mu = np.log(self.mean) - self.sigma**2 / 2
        return np.maximum(random.lognormal(mu, self.sigma, count), 12).round().astype(int)


PROFILES = {
    "short": Lengths(mean=26, sigma=0.3),
    # Mean 81, 95 % below 167: what MS MARCO's passages give.
    "msmarco": Lengths(mean=81, sigma=0.523),
    # Beyond the limit, so that every pair is cut to 512.
    "512": Lengths(mean=580, sigma=0.02),
}


def tokenizer_of(directory: Path) -> Tokenizer:
    """Return the tokenizer of a model directory, cutting at `MAX_LENGTH` and padding nothing."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    return tokenizer


def token_counts(tokenizer: Tokenizer, pairs: list[Pair]) -> np.ndarray:
    """Return the tokens of each pair as a model sees it."""
    return np.array([len(encoding.ids) for encoding in tokenizer.encode_batch(pairs)])


class Prose:
    """A stream of words whose lengths in tokens are known.

    Parameters
    ----------
    tokenizer
        That of the model the texts are for.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        from pydoc_data.topics import topics

        words = " ".join(topics[name] for name in sorted(topics)).split()
        # Rulers and markup would be dozens of tokens a "word".
        self.words = [word for word in words if any(c.isalnum() for c in word)]
        self.tokenizer = tokenizer
        encodings = tokenizer.encode_batch(self.words, add_special_tokens=False)
        self._ends = np.cumsum([len(encoding.ids) for encoding in encodings])

    def window(self, tokens: int, random: np.random.Generator) -> str:
        """Return consecutive words of about `tokens` tokens, from anywhere."""
        last = np.searchsorted(self._ends, self._ends[-1] - tokens)
        start = int(random.integers(0, max(last, 1)))
        stop = int(np.searchsorted(self._ends, self._ends[start] + tokens))
        return " ".join(self.words[start : max(stop, start + 1)])

    def pairs(self, profile: str, queries: int, documents: int, seed: int = 0) -> list[Pair]:
        """Return `queries` x `documents` pairs, the pairs of one query side by side."""
        random = np.random.default_rng(seed)
        specials = len(self.tokenizer.encode("", "").ids)
        found = []
        for _ in range(queries):
            query = self.window(int(random.integers(4, 10)), random)
            taken = specials + len(self.tokenizer.encode(query, add_special_tokens=False).ids)
            for length in PROFILES[profile].draw(documents, random):
                found.append((query, self.window(max(int(length) - taken, 3), random)))
        return found
