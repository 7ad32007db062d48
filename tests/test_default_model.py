"""The model embedded in the package: small, offline, loaded like any other, and of some use."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cherche import data

import cherche_rs
from cherche_rs import rank, retrieve
from cherche_rs.encoders import DEFAULT_MODEL

# (query, the text that answers it in other words, texts about something else). Written by hand.
CASES = [
    (
        "physician for children",
        "The hospital employs two doctors who treat infants and young kids.",
        [
            "The harbour was dredged so that larger ships could enter.",
            "The orchestra plays a concert for strings in the old hall.",
            "Physical laws hold for all observers alike.",
        ],
    ),
    (
        "learning word representations with neural networks",
        "We train a neural network that maps each word to a dense vector, so that words used in "
        "like contexts have like representations.",
        [
            "The network of railways grew with the coal trade in the nineteenth century.",
            "Learning to swim with a float is easier for young children.",
            "The word of the judge was final, and the representations of the tenants were refused.",
        ],
    ),
    (
        "price of a car",
        "What automobiles cost differs much between dealers.",
        [
            "The carpet in the hall was woven in Persia.",
            "A prize of honour was given to the choir.",
            "Carrots and a cabbage are planted in spring.",
        ],
    ),
    (
        "movies about war",
        "A film that shows the battles of the army from the view of a soldier.",
        [
            "A warm coat is of use when the wind moves in from the north.",
            "Recipes about bread, butter and jam.",
            "The warehouse moved to a street outside the town.",
        ],
    ),
]
PAIRS = [(query, text) for query, best, others in CASES for text in (best, *others)]


@pytest.fixture(scope="module")
def model():
    return cherche_rs.CrossEncoder(device="cpu")


def test_it_is_small_and_complete():
    files = {path.name: path.stat().st_size for path in DEFAULT_MODEL.iterdir()}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= files.keys()
    assert sum(files.values()) <= 9_000_000


def test_it_matches_meaning(model):
    for query, best, others in CASES:
        scores = model.predict([(query, text) for text in (best, *others)])
        assert np.argmax(scores) == 0, query


def test_it_ranks_better_than_tfidf():
    """Titles of scientific articles ask for their summaries: text unlike what it learned from."""
    file = Path(data.__file__).parent / "semanlink" / "arxiv.json"
    articles = {a["arxiv_title"]: a["arxiv_summary"] for a in json.loads(file.read_text())}
    articles = {title: summary for title, summary in articles.items() if title and summary}
    documents = [{"id": i, "text": summary} for i, summary in enumerate(articles.values())]
    asked = dict(list(zip(articles, range(len(articles)), strict=True))[::6])
    retriever = retrieve.TfIdf(key="id", on=["text"], documents=documents, k=30)

    def reciprocal_rank(pipeline):
        total = 0.0
        for found, right in zip(pipeline(list(asked), tqdm_bar=False), asked.values(), strict=True):
            ids = [document["id"] for document in found]
            total += 1 / (1 + ids.index(right)) if right in ids else 0
        return total / len(asked)

    ranked = reciprocal_rank(retriever + documents + rank.CrossEncoder(on=["text"]))
    assert ranked > reciprocal_rank(retriever) + 0.03


def test_scores_are_those_of_transformers(model):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    reference = transformers.BertForSequenceClassification.from_pretrained(
        DEFAULT_MODEL, dtype=torch.float32
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(DEFAULT_MODEL)
    inputs = tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = reference(**inputs).logits[:, 0].numpy()
    logits = model.predict(PAIRS, activation_fn=lambda logits: logits)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.predict(PAIRS), 1 / (1 + np.exp(-expected)), atol=1e-4)


def test_the_ranker_takes_it_when_no_encoder_is_given(model):
    query, best, others = CASES[3]
    documents = [{"id": i, "text": text} for i, text in enumerate((*others, best))]
    ranker = rank.CrossEncoder(on=["text"])
    answer = ranker(query, documents=documents)
    expected = model.predict([(query, d["text"]) for d in documents])
    assert [d["id"] for d in answer] == list(np.argsort(-expected, kind="stable"))
    assert answer[0]["text"] == best


def test_it_loads_without_network_or_torch_hub_packages():
    code = (
        "import sys, json, cherche_rs\n"
        "scores = cherche_rs.CrossEncoder(device='cpu').predict([('a', 'b'), ('c', 'c')])\n"
        "assert not {'transformers', 'huggingface_hub'} & sys.modules.keys()\n"
        "print(json.dumps([float(s) for s in scores]))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    expected = cherche_rs.CrossEncoder(device="cpu").predict([("a", "b"), ("c", "c")])
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-6)


def test_it_pickles(model):
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(PAIRS), model.predict(PAIRS))
    ranker = pickle.loads(pickle.dumps(rank.CrossEncoder(on=["text"])))
    assert ranker("flu", documents=[{"id": 0, "text": "Influenza"}])[0]["id"] == 0
