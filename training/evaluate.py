"""TfIdf alone, TfIdf + student, TfIdf + teacher, on the held-out tasks.

python evaluate.py MODEL_DIRECTORY --work WORK_DIRECTORY
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from metrics import mrr, ndcg, paired_bootstrap
from tasks import Task, load
from teacher import Teacher

from cherche_rs import CrossEncoder, retrieve

DEPTH = 100  # candidates that are re-ranked


def first_stage(task: Task) -> list[list]:
    retriever = retrieve.TfIdf(key=task.key, on=task.on, documents=task.documents, k=DEPTH)
    return [[hit[task.key] for hit in hits] for hits in retriever(task.queries, tqdm_bar=False)]


def texts_of(task: Task) -> dict:
    return {d[task.key]: " ".join(d.get(f, "") for f in task.on) for d in task.documents}


def reranked(task: Task, candidates: list[list], predict) -> list[list]:
    """Candidates sorted by score, the first stage's order on ties."""
    texts = texts_of(task)
    pairs = [
        (q, texts[key]) for q, keys in zip(task.queries, candidates, strict=True) for key in keys
    ]
    scores = iter(predict(pairs))
    answer = []
    for keys in candidates:
        own = np.array([next(scores) for _ in keys])
        answer.append([keys[i] for i in np.argsort(-own, kind="stable")])
    return answer


def teacher_predict(teacher: Teacher) -> Callable:
    """The teacher as a re-ranker: the cosine of its two embeddings."""

    def vectors(texts: list[str]) -> np.ndarray:
        unique = list(dict.fromkeys(texts))
        row = {text: number for number, text in enumerate(unique)}
        return teacher.encode(unique).astype(np.float32)[[row[text] for text in texts]]

    def predict(pairs: list[tuple[str, str]]) -> np.ndarray:
        return (vectors([q for q, _ in pairs]) * vectors([t for _, t in pairs])).sum(axis=1)

    return predict


def measure(task: Task, rankings: list[list]) -> dict[str, np.ndarray]:
    pairs = list(zip(rankings, task.relevant, strict=True))
    return {
        "nDCG@10": np.array([ndcg(r, g) for r, g in pairs]),
        "MRR@10": np.array([mrr(r, g) for r, g in pairs]),
    }


COLUMNS = (
    "task",
    "queries",
    "documents",
    "metric",
    "TfIdf",
    "+ default ranker",
    "change (95 % interval)",
    "p",
    "+ teacher",
)


def report(rows: list[dict]) -> str:
    """A Markdown table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for r in rows:
        change = f"{r['student'] - r['tfidf']:+.3f} ({r['low']:+.3f} to {r['high']:+.3f})"
        quality = [f"{r[who]:.3f}" for who in ("tfidf", "student", "teacher")]
        about = [str(r[name]) for name in ("task", "queries", "documents", "metric")]
        lines.append((*about, *quality[:2], change, f"{r['p']:.4f}", quality[2]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def evaluate(model: Path, work: Path) -> list[dict]:
    encoder = CrossEncoder(model)
    teacher = teacher_predict(Teacher(work, max_tokens=256))
    rows = []
    for task in load(work):
        candidates = first_stage(task)
        lexical = measure(task, candidates)
        ours = measure(task, reranked(task, candidates, encoder.predict))
        best = measure(task, reranked(task, candidates, teacher))
        for metric in lexical:
            low, high, p = paired_bootstrap(ours[metric], lexical[metric])
            rows.append(
                {
                    "task": task.name,
                    "queries": len(task.queries),
                    "documents": len(task.documents),
                    "metric": metric,
                    "tfidf": lexical[metric].mean(),
                    "student": ours[metric].mean(),
                    "teacher": best[metric].mean(),
                    "low": low,
                    "high": high,
                    "p": p,
                }
            )
        print(report(rows[-2:]), flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = evaluate(options.model, options.work)
    print(report(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
