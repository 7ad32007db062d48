"""Replays the recorded answers of cherche (golden/cherche/*.json) on cherche_rs."""

import copy
import hashlib
import importlib
import json
import math
import pickle
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from cherche_rs import compose, evaluate, rank, retrieve, utils

FOLDER = Path(__file__).parent / "golden" / "cherche"

#: Scores of rankings: noise of float32 sums.
ABSOLUTE, RELATIVE = 4e-6, 2e-5


@cache
def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def cases(*names):
    """Return (name, case, one query at a time?) of all cases in these files."""
    return [
        (f"{name}:{case['id']}:{mode}", case, mode == "str")
        for name in names
        for case in load(name)["cases"]
        for mode in case.get("modes", ["list"])
    ]


# ------------------------------------------------------------------ the encoders of the recording
def fraction(*words):
    """Return the number in [0, 1) that the recording drew for these words."""
    digest = hashlib.md5("\0".join(map(str, words)).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 12) / 2**52


class PairEncoder:
    """A cross-encoder by formula, which remembers its batches."""

    def __init__(self, fn="hash", seed=0, dtype="float32"):
        self.score, self.seed, self.dtype, self.calls = getattr(self, fn), seed, dtype, []

    def hash(self, query, text):
        return 10 * fraction("pair", self.seed, query, text) - 5

    def mod3(self, query, text):
        return float(int(3 * fraction("m3", self.seed, query, text)))

    def len(self, query, text):
        return float(len(text))

    def const(self, query, text):
        return 0.25

    def __call__(self, pairs):
        assert all(type(pair) is tuple for pair in pairs)
        self.calls.append(pairs)
        scores = [self.score(*pair) for pair in pairs]
        if self.dtype == "list":
            return scores
        if self.dtype == "column":
            return np.array(scores, dtype=np.float32)[:, None]
        return np.array(scores, dtype=self.dtype)


class VectorEncoder:
    """An encoder of texts by formula, which remembers its batches."""

    def __init__(self, seed=0, dim=6):
        self.seed, self.dim, self.calls = seed, dim, []

    def __call__(self, texts):
        self.calls.append(list(texts))
        vectors = [
            [2 * fraction("vec", self.seed, text, axis) - 1 for axis in range(self.dim)]
            for text in texts
        ]
        return np.array(vectors, dtype=np.float32).reshape(len(texts), self.dim)


class Scripted(retrieve.Retriever):
    """A retriever that reads its answers from a table, and remembers its calls."""

    def __init__(self, table, key="id"):
        super().__init__(key=key, on="text", k=None, batch_size=8)
        self.table, self.seen = table, []

    def __call__(self, q, k=None, batch_size=None, **kwargs):
        documents = kwargs.pop("documents", None)
        call = {"q": q, "k": k, "batch_size": batch_size}
        call["documents"] = "list" if documents else documents
        self.seen.append({**call, "kwargs": sorted(kwargs)})

        def answer(query):
            rows = self.table.get(query, [])[:k]
            return [
                {self.key: row[0], **(row[2] if row[2:] else {}), "similarity": row[1]}
                for row in rows
            ]

        return answer(q) if isinstance(q, str) else [answer(query) for query in q]


class ByField(rank.Ranker):
    """A ranker written by a user: it sorts by a number found in the documents."""

    def __init__(self, key, field):
        super().__init__(key=key, on=field, encoder=None, normalize=False, batch_size=4)

    def __call__(self, q, documents, k=None, batch_size=None, **kwargs):
        def order(found):
            numbers = [(float(document.get(self.on[0], 0)), document) for document in found]
            numbers.sort(key=lambda pair: -pair[0])
            return [{**document, "similarity": number} for number, document in numbers][:k]

        return order(documents) if isinstance(q, str) else [order(found) for found in documents]


def reverse(documents=None, **kwargs):
    if documents and isinstance(documents[0], list):
        return [found[::-1] for found in documents]
    return documents[::-1]


def tag(documents=None, q=None, k=None, **kwargs):
    if isinstance(q, str):
        return [{**document, "seen_q": q, "seen_k": k} for document in documents]
    return [tag(found, query, k) for query, found in zip(q, documents, strict=True)]


# ------------------------------------------------------------------------------------ the objects
def documents(spec):
    """Return fresh documents: written out, or part of a corpus."""
    if isinstance(spec, list):
        return copy.deepcopy(spec)
    found = load("corpora")[spec["corpus"]][slice(*spec.get("slice", [None]))]
    return copy.deepcopy(found * spec.get("repeat", 1))


def vectorizer(spec):
    if spec is None:
        return None
    library = {"lenlp": "lenlp.sparse", "sklearn": "sklearn.feature_extraction.text"}[spec["lib"]]
    options = dict(spec.get("kw", {}))
    if "ngram_range" in options:
        options["ngram_range"] = tuple(options["ngram_range"])
    made = getattr(importlib.import_module(library), spec["cls"])(**options)
    if "fit_on" in spec:
        fields = spec["fit_fields"]
        corpus = documents(spec["fit_on"])
        made.fit([" ".join(document.get(field, "") for field in fields) for document in corpus])
    return made


def build(spec, names):
    """Make the object that a spec of the recording stands for."""
    spec = dict(spec)
    kind = spec.pop("t")
    if kind in ("TfIdf", "BM25"):
        if "vec" in spec:
            argument = "tfidf" if kind == "TfIdf" else "count_vectorizer"
            spec[argument] = vectorizer(spec.pop("vec"))
        return getattr(retrieve, kind)(documents=documents(spec.pop("docs")), **spec)
    if kind == "CrossEncoder":
        return rank.CrossEncoder(encoder=PairEncoder(**spec.pop("enc", {})), **spec)
    if kind in ("Encoder", "DPR"):
        spec["encoder"] = VectorEncoder(**spec.pop("enc", {}))
        if kind == "DPR":
            spec["query_encoder"] = VectorEncoder(**spec.pop("qenc", {}))
        return getattr(rank, kind)(**spec)
    if kind == "cls":
        return getattr(compose, spec["cls"])(models=[names[name] for name in spec["models"]])
    if kind == "func":
        return {"reverse": reverse, "tag": tag}[spec["name"]]
    if kind == "docs":
        return documents(spec["docs"])
    return {"Scripted": Scripted, "ByField": ByField, "TopK": utils.TopK}[kind](**spec)


# -------------------------------------------------------------------------------------- the steps
class Replay:
    """One case: its objects, and what its steps answer."""

    def __init__(self, case, single):
        self.case, self.single = case, single
        self.names = {}
        for name, spec in case.get("env", {}).items():
            self.names[name] = build(spec, self.names)
        self.object = (
            eval(case["expr"], {"__builtins__": {}}, self.names) if "expr" in case else None
        )

    def run(self, step):
        return getattr(self, step["do"])(step)

    def asked(self, step):
        q, options, positional = (
            copy.deepcopy(step["q"]),
            dict(step.get("kw", {})),
            list(step.get("args", [])),
        )
        if isinstance(q, dict):
            q = tuple(q["tuple"]) if "tuple" in q else np.array(q["ndarray"])
        if "docs" in step:
            spec = step["docs"]
            lists = spec["lists"] if isinstance(spec, dict) and "lists" in spec else None
            found = None if spec is None else documents(spec) if lists is None else None
            options["documents"] = found if lists is None else [documents(part) for part in lists]
        if step.get("positional"):
            positional.insert(0, options.pop("documents"))
        return q, positional, options

    def call(self, step):
        q, positional, options = self.asked(step)
        return self.object(q, *positional, **options)

    def unmutated(self, step):
        q, _, options = self.asked(step)
        before = copy.deepcopy(options)
        self.object(q, **options)
        return options == before

    def types(self, step):
        answer = self.call(step)
        flat = answer if isinstance(step["q"], str) else [d for found in answer for d in found]
        return sorted({(type(d["similarity"]).__name__, ",".join(d)) for d in flat})

    def search(self, step):
        queries, options = step["queries"], step.get("kw", {})
        if self.single:
            return [self.object(query, **options) for query in queries]
        return self.object(list(queries), **options)

    def add(self, step):
        added = self.object.add(documents(step["docs"]), **step.get("kw", {}))
        return added is self.object

    def pickle(self, step):
        self.object = pickle.loads(pickle.dumps(self.object, protocol=step.get("protocol", 4)))
        return True

    def deepcopy(self, step):
        self.object = copy.deepcopy(self.object)
        return True

    def repr(self, step):
        return repr(self.object)

    def len(self, step):
        return len(self.object)

    def attr(self, step):
        return copy.deepcopy(getattr(self.object, step["name"]))

    def seen(self, step):
        return self.names[step["ref"]].seen

    def batches(self, step):
        return self.names[step["ref"]].encoder.calls

    texts = batches

    def structure(self, step):
        def names(model):
            if hasattr(model, "models"):
                return [type(model).__name__, [names(inner) for inner in model.models]]
            return type(model).__name__

        return names(self.object)

    def mutate_doc(self, step):
        self.names[step["ref"]][step["i"]][step["field"]] = step["value"]
        return True

    def evaluate(self, step):
        search = TiesByKey(self.object) if step.get("tiebreak") else self.object
        scores = evaluate.evaluation(search, step["query_answers"], **step.get("kw", {}))
        return list(scores.items())

    def yield_batch(self, step):
        return list(utils.yield_batch(step["array"], desc="", **step["kw"]))


class TiesByKey:
    """A search whose near-equal scores are ordered by key, as in the recording."""

    def __init__(self, search):
        self.search, self.key = search, search.key

    def __call__(self, q, k=None, batch_size=None):
        return [self.order(found)[:k] for found in self.search(q, k=10**6, batch_size=batch_size)]

    def order(self, found):
        groups = []
        for document in found:
            if not groups or groups[-1][-1]["similarity"] - document["similarity"] > 3e-6:
                groups.append([])
            groups[-1].append(document)
        return [d for group in groups for d in sorted(group, key=lambda d: str(d[self.key]))]


# ---------------------------------------------------------------------------------- the comparing
def check(expected, answer):
    """Assert that an answer is the expected one."""
    if "value" in expected:
        assert_same(expected["value"], answer, expected.get("rtol", 1e-9))
        return
    corpus = None
    if "mapped" in expected:
        key = expected["key"]
        corpus = {document[key]: document for document in documents(expected["mapped"])}
    if "ranked1" in expected:
        assert_ranking(expected["ranked1"], answer, expected["key"], corpus)
        return
    assert len(answer) == len(expected["ranked"])
    for one, found in zip(expected["ranked"], answer, strict=True):
        assert_ranking(one, found, expected["key"], corpus)


def assert_same(expected, answer, tolerance):
    answer = answer.item() if isinstance(answer, np.generic) else answer
    if isinstance(expected, dict):
        assert list(expected) == [str(key) for key in answer]
        for one, found in zip(expected.values(), answer.values(), strict=True):
            assert_same(one, found, tolerance)
    elif isinstance(expected, list):
        assert isinstance(answer, (list, tuple))
        assert len(answer) == len(expected)
        for one, found in zip(expected, answer, strict=True):
            assert_same(one, found, tolerance)
    elif isinstance(expected, float) or (type(expected) is int and type(answer) is float):
        assert math.isclose(expected, answer, rel_tol=tolerance, abs_tol=tolerance)
    else:
        assert type(expected) is type(answer)
        assert expected == answer


def assert_ranking(expected, found, key, corpus):
    assert len(found) == expected["n"]
    scores = [float(document["similarity"]) for document in found]
    assert scores == sorted(scores, reverse=True)
    for document in found:
        fields = {key: document[key]} if corpus is None else corpus[document[key]]
        assert {**fields, "similarity": document["similarity"]} == document
        assert list(document)[-1] == "similarity"
    # Of long rankings the recording holds the first groups only.
    rest = list(zip((document[key] for document in found), scores, strict=True))
    assert expected["groups"] or not found
    for group in expected["groups"]:
        part, rest = rest[: len(group)], rest[len(group) :]
        extra = Counter(name for name, _ in part) - Counter(name for name, _ in group)
        assert not extra, f"not in the group {group[:6]}"
        for name, score in part:
            near = [s for other, s in group if other == name]
            assert any(math.isclose(s, score, rel_tol=RELATIVE, abs_tol=ABSOLUTE) for s in near), (
                name,
                score,
                near,
            )
