"""The candidate lists a training step ranks: the answer, hard negatives and random ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cherche_rs import retrieve

SHARD = 4_000
DEPTH = 24


@dataclass
class Pools:
    """Negatives come from shards of the corpus, so they are as hard as a user's collection has.

    For every query its own text (`gold`) and hard negatives, as rows of the texts; -1 is none."""

    gold: np.ndarray  # (queries,)
    lexical: np.ndarray  # (queries, DEPTH) nearest by TfIdf
    semantic: np.ndarray  # (queries, DEPTH) nearest by the teacher


def _shards(gold: np.ndarray, total: int) -> Iterator[tuple[range, np.ndarray]]:
    """Parts of the corpus, each with the queries whose answer it holds."""
    for start in range(0, total, SHARD):
        shard = range(start, min(start + SHARD, total))
        yield shard, np.flatnonzero((gold >= shard.start) & (gold < shard.stop))


def lexical_negatives(
    queries: list[str], gold: np.ndarray, texts: list[str], cache: Path
) -> np.ndarray:
    """The texts TfIdf ranks first, but for the answer; the same cache for the same queries."""
    if cache.exists():
        return np.load(cache)
    found = np.full((len(queries), DEPTH), -1, np.int32)
    for shard, asked in _shards(gold, len(texts)):
        documents = [{"id": row, "text": texts[row]} for row in shard]
        retriever = retrieve.TfIdf(key="id", on=["text"], documents=documents, k=DEPTH)
        answers = retriever([queries[i] for i in asked], tqdm_bar=False)
        for i, answer in zip(asked, answers, strict=True):
            keys = [hit["id"] for hit in answer if hit["id"] != gold[i]]
            found[i, : len(keys)] = keys
    np.save(cache, found)
    return found


def semantic_negatives(
    gold: np.ndarray, query_vectors: np.ndarray, text_vectors: np.ndarray
) -> np.ndarray:
    """The texts the teacher ranks first, but for the answer."""
    found = np.full((len(gold), DEPTH), -1, np.int32)
    for shard, asked in _shards(gold, len(text_vectors)):
        cosines = query_vectors[asked].astype(np.float32) @ text_vectors[shard].astype(np.float32).T
        cosines[np.arange(len(asked)), gold[asked] - shard.start] = -2
        depth = min(DEPTH, len(shard) - 1)
        found[asked, :depth] = np.argpartition(-cosines, depth, axis=1)[:, :depth] + shard.start
    return found


def drop_contained(pool: np.ndarray, queries: list[str], texts: list[str]) -> None:
    """Clear negatives that stand word for word in the query: a tag of its text is no wrong tag."""
    lowered = [f" {text.lower()} " for text in texts]
    for row, query in zip(pool, queries, strict=True):
        padded = f" {query.lower()} "
        row[[number >= 0 and lowered[number] in padded for number in row]] = -1


def draw(pools: Pools, rows: np.ndarray, total: int, plan: tuple[int, int, int], rng) -> np.ndarray:
    """Candidate rows, the gold one first.

    Parameters
    ----------
    rows
        Queries, shape (n,).
    total
        Number of texts, for the random candidates.
    plan
        How many lexical, semantic and random negatives.

    Returns
    -------
    array of shape (n, 1 + sum(plan)).
    """
    columns = [pools.gold[rows, None]]
    for pool, count in ((pools.lexical, plan[0]), (pools.semantic, plan[1])):
        picks = np.argsort(rng.random((len(rows), DEPTH)), axis=1)[:, :count]
        columns.append(np.take_along_axis(pool[rows], picks, axis=1))
    columns.append(rng.integers(0, total, (len(rows), plan[2])))
    drawn = np.concatenate(columns, axis=1)
    return np.where(drawn < 0, rng.integers(0, total, drawn.shape), drawn)
