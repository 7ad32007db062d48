"""The candidate lists a training step ranks: the answer, what TfIdf and the teacher rank first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cherche_rs import retrieve

SHARD = 4_000
DEPTH = 100  # of TfIdf's ranking: the student learns to re-rank what it will be given
SEMANTIC = 8


@dataclass
class Pools:
    """What may be ranked for each query, as rows of the texts; -1 is none.

    They come from shards of the corpus, so they are as hard as a user's collection has.
    """

    answers: list[list[int]]
    lexical: np.ndarray  # (queries, DEPTH) nearest by TfIdf
    likeness: np.ndarray  # (queries, DEPTH) their cosines
    semantic: np.ndarray  # (queries, SEMANTIC) nearest by the teacher

    def likeness_of(self, query: int, text: int) -> float:
        """TfIdf's cosine; of a text that it did not find, the smallest of those it found."""
        at = np.flatnonzero(self.lexical[query] == text)
        return float(self.likeness[query, at[0] if len(at) else -1])


def make(
    queries: list[str],
    answers: list[list[int]],
    texts: list[str],
    query_vectors: np.ndarray,
    text_vectors: np.ndarray,
    directory: Path,
) -> Pools:
    """Pools of every query, of the shard its first answer is in; kept in `directory`."""
    asked_of = json.dumps([queries, answers, texts]).encode()
    cache = directory / f"pools-{hashlib.sha1(asked_of).hexdigest()[:16]}.npz"
    if cache.exists():
        kept = np.load(cache)
        return Pools(answers, kept["lexical"], kept["likeness"], kept["semantic"])
    lexical = np.full((len(queries), DEPTH), -1, np.int32)
    likeness = np.zeros((len(queries), DEPTH), np.float32)
    semantic = np.full((len(queries), SEMANTIC), -1, np.int32)
    first = np.array([own[0] for own in answers])
    for start in range(0, len(texts), SHARD):
        shard = range(start, min(start + SHARD, len(texts)))
        asked = np.flatnonzero((first >= shard.start) & (first < shard.stop))
        documents = [{"id": row, "text": texts[row]} for row in shard]
        retriever = retrieve.TfIdf(key="id", on=["text"], documents=documents, k=DEPTH)
        found = retriever([queries[i] for i in asked], tqdm_bar=False)
        for i, hits in zip(asked, found, strict=True):
            lexical[i, : len(hits)] = [hit["id"] for hit in hits]
            likeness[i, : len(hits)] = [hit["similarity"] for hit in hits]
        cosines = query_vectors[asked].astype(np.float32) @ text_vectors[shard].astype(np.float32).T
        depth = min(SEMANTIC, len(shard) - 1)
        semantic[asked, :depth] = np.argpartition(-cosines, depth, axis=1)[:, :depth] + start
    np.savez(cache, lexical=lexical, likeness=likeness, semantic=semantic)
    return Pools(answers, lexical, likeness, semantic)


def draw(pools: Pools, query: int, plan: tuple[int, int, int], total: int, rng) -> np.ndarray:
    """Candidate rows of one query, an answer first, none twice.

    Parameters
    ----------
    plan
        How many of TfIdf's first 24, of the rest of its 100, and of the teacher's nearest.
    total
        Number of texts; random ones fill up.
    """
    lexical = pools.lexical[query]
    parts = (lexical[:24], lexical[24:], pools.semantic[query])
    chosen = [int(rng.choice(pools.answers[query]))]
    for part, count in zip(parts, plan, strict=True):
        for row in rng.permutation(part)[: count + 2]:
            if count and row >= 0 and row not in chosen:
                chosen.append(int(row))
                count -= 1
    while len(chosen) < 1 + sum(plan):
        row = int(rng.integers(total))
        if row not in chosen:
            chosen.append(row)
    return np.array(chosen)
