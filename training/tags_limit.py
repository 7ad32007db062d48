"""Why tags are not won: what scores of a pair can reach that know nothing of the collection.

python tags_limit.py MODEL_DIRECTORY --work WORK_DIRECTORY
"""

from __future__ import annotations

import argparse
from pathlib import Path

import corpus
import numpy as np
import scipy.sparse as sp
import tasks
import torch
from evaluate import DEPTH, measure, teacher_predict, texts_of
from fit import features
from metrics import paired_bootstrap
from teacher import Teacher
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification
from vocabulary import rarity

from cherche_rs import retrieve

FOLDS, HIDDEN = 10, 8


def piece_cosines(texts: list[np.ndarray], queries: list[np.ndarray], idf: np.ndarray):
    """Cosines of the word pieces that queries and texts share, shape (queries, texts)."""

    def rows(lists: list[np.ndarray]) -> sp.csr_matrix:
        columns = np.concatenate(lists)
        ends = np.cumsum([0, *map(len, lists)])
        counts = sp.csr_matrix((idf[columns], columns, ends), (len(lists), len(idf)))
        lengths = np.sqrt(counts.multiply(counts).sum(axis=1)).A1
        return sp.diags(1 / np.maximum(lengths, 1e-9)) @ counts

    return (rows(queries) @ rows(texts).T).toarray()


def fitted(figures: list[np.ndarray], answers: list[np.ndarray]) -> list[np.ndarray]:
    """Scores of a small network over the figures, learned on the tags themselves, each query
    scored by a network that saw it not (cross-validation)."""
    torch.manual_seed(0)
    stacked = np.concatenate(figures)
    mean, deviation = stacked.mean(axis=0), stacked.std(axis=0) + 1e-9
    shape = (len(figures), max(map(len, figures)))
    inputs = torch.zeros(*shape, stacked.shape[1])
    padding, wanted = torch.full(shape, -1e9), torch.zeros(shape)
    for row, (own, right) in enumerate(zip(figures, answers, strict=True)):
        inputs[row, : len(own)] = torch.from_numpy((own - mean) / deviation)
        padding[row, : len(own)] = 0
        wanted[row, : len(own)] = torch.from_numpy(right / max(right.sum(), 1))
    order = np.random.default_rng(1).permutation(len(figures))
    scores = torch.zeros(shape)
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        used = np.setdiff1d(order, held)
        network = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[2], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1)
        )
        optimizer = torch.optim.LBFGS(
            network.parameters(), max_iter=60, line_search_fn="strong_wolfe"
        )

        def closure(network=network, optimizer=optimizer, used=used) -> torch.Tensor:
            optimizer.zero_grad()
            logits = torch.log_softmax(network(inputs[used])[..., 0] + padding[used], dim=1)
            loss = -(wanted[used] * logits).sum(dim=1).mean()
            loss = loss + 3e-3 * sum(p.square().sum() for p in network.parameters())
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            scores[held] = network(inputs[held])[..., 0]
    return [own[: len(f)].numpy() for own, f in zip(scores, figures, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = tasks.arxiv_tags()
    texts = texts_of(task)
    place = {key: row for row, key in enumerate(texts)}
    retriever = retrieve.TfIdf(key=task.key, on=task.on, documents=task.documents, k=DEPTH)
    hits = retriever(task.queries, tqdm_bar=False)
    candidates = [[hit[task.key] for hit in own] for own in hits]
    lexical = [np.array([hit["similarity"] for hit in own]) for own in hits]
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))

    def tokens(strings: list[str]) -> list[np.ndarray]:
        found = tokenizer.encode_batch(strings, add_special_tokens=False)
        return [np.array(e.ids, np.int64) for e in found]

    asked, offered = tokens(task.queries), tokens(list(texts.values()))

    def chosen(cosines: np.ndarray) -> list[np.ndarray]:
        return [cosines[row, [place[k] for k in own]] for row, own in enumerate(candidates)]

    general = rarity(tokenizer, [p["text"] for p in corpus.build(options.work)])
    of_tags = rarity(tokenizer, list(texts.values()))
    pairs = [(q, texts[k]) for q, own in zip(task.queries, candidates, strict=True) for k in own]
    ends = np.cumsum([len(own) for own in candidates])[:-1]
    cosines = np.split(teacher_predict(Teacher(options.work, max_tokens=256))(pairs), ends)
    model = BertForSequenceClassification.from_pretrained(options.model, dtype=torch.float32)
    special = tuple(tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    with torch.no_grad():
        queries_of_pairs = [asked[row] for row, own in enumerate(candidates) for _ in own]
        texts_of_pairs = [offered[place[k]] for own in candidates for k in own]
        found = features(model.eval(), queries_of_pairs, texts_of_pairs, special).numpy()
    figures = np.split(found, ends)
    both = [np.column_stack(parts) for parts in zip(figures, cosines, strict=True)]
    answers = [
        np.array([float(k in right) for k in own])
        for own, right in zip(candidates, task.relevant, strict=True)
    ]
    systems = {
        "TfIdf": lexical,
        "word pieces, rarity in Debian's texts": chosen(piece_cosines(offered, asked, general)),
        "word pieces, rarity among the tags": chosen(piece_cosines(offered, asked, of_tags)),
        "teacher": cosines,
        "TfIdf + teacher": [a + b for a, b in zip(lexical, cosines, strict=True)],
        "the model's figures, fitted to the tags": fitted(figures, answers),
        "the model's figures and the teacher, fitted": fitted(both, answers),
    }
    baseline = measure(task, candidates)
    for name, scores in systems.items():
        orders = [np.argsort(-own, kind="stable") for own in scores]
        ranked = [[own[i] for i in o] for own, o in zip(candidates, orders, strict=True)]
        line = [f"{name:45}"]
        for metric, values in measure(task, ranked).items():
            p = paired_bootstrap(values, baseline[metric])[2]
            line.append(f"{metric} {values.mean():.3f} (p {p:.4f})")
        print("  ".join(line), flush=True)


if __name__ == "__main__":
    main()
