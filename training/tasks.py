"""Held-out retrieval tasks: documents, fields, queries and the documents that answer them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import corpus
from cherche import data

HELD_OUT_QUERIES = 500


@dataclass
class Task:
    name: str
    on: list[str]
    documents: list[dict]
    queries: list[str]
    relevant: list[set]  # keys of the documents that answer each query
    key: str = "id"


def arxiv_summaries() -> Task:
    """The title of an article asks for its summary among all summaries."""
    file = Path(data.__file__).parent / "semanlink" / "arxiv.json"
    articles = {a["arxiv_title"]: a["arxiv_summary"] for a in json.loads(file.read_text())}
    articles = {t: s for t, s in articles.items() if t and s}
    documents = [{"id": i, "summary": s} for i, s in enumerate(articles.values())]
    return Task(
        "arxiv title → summary",
        ["summary"],
        documents,
        list(articles),
        [{i} for i in range(len(articles))],
    )


def arxiv_tags() -> Task:
    """cherche's own task, with the title alone as the query."""
    documents, pairs = data.arxiv_tags(arxiv_title=True, arxiv_summary=False, comment=False)
    on = ["prefLabel_text", "altLabel_text"]
    relevant = [{answer["uri"] for answer in answers} for _, answers in pairs]
    return Task("arxiv title → tags", on, documents, [q.strip() for q, _ in pairs], relevant, "uri")


def towns() -> Task:
    """Questions written by hand, before any result was seen, on cherche's towns."""
    asked = json.loads((Path(__file__).parent / "towns_questions.json").read_text())
    queries, relevant = [q for q, _ in asked], [set(r) for _, r in asked]
    return Task("towns questions", ["title", "article"], data.load_towns(), queries, relevant)


def held_out(directory: Path) -> list[Task]:
    """Titles of held-out passages ask for their text: package descriptions, then documentation."""
    passages = [p for p in corpus.build(directory) if p["part"] == "held_out"]
    found = []
    for name, wanted in (("package descriptions", True), ("documentation headings", False)):
        chosen = [p for p in passages if (p["source"] == "debian-descriptions") == wanted]
        documents = [{"id": i, "text": p["text"]} for i, p in enumerate(chosen)]
        answers: dict[str, set] = {}
        for i, passage in enumerate(chosen):
            answers.setdefault(passage["title"], set()).add(i)
        asked = random.Random(0).sample(sorted(answers), min(HELD_OUT_QUERIES, len(answers)))
        found.append(Task(name, ["text"], documents, asked, [answers[q] for q in asked]))
    return found


def load(directory: Path) -> list[Task]:
    return [arxiv_summaries(), arxiv_tags(), towns(), *held_out(directory)]
