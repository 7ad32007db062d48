"""Train the default cross-encoder: text, teacher, word vectors, readout, model directory.

python training/train.py --work WORK_DIRECTORY --out python/cherche_rs/default_model
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import candidates
import corpus
import debtags
import dictionaries
import numpy as np
import queries as kinds
import structure
import torch
import vectors
import vocabulary
from debian import Archive
from fit import Collection, Plan, Side, fit
from teacher import Teacher
from tokenizers import Tokenizer

SEED = 0
QUERIES, ENTRY_QUERIES, SHORT_QUERIES, TAGGED = 60_000, 14_000, 14_000, 8_000
# Of the lists that the readout is learned from. Package descriptions have no part in them.
SHARES = {"documentation": 0.4, "entries": 0.3, "short": 0.15, "tags": 0.15}


def token_lists(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [np.array(e.ids[: structure.LENGTH], np.int64) for e in encodings]


def save(model, out: Path) -> None:
    """The model directory; half precision, which halves the wheel (scores move by about 1e-3)."""
    model.config.architectures = ["BertForSequenceClassification"]
    copy.deepcopy(model).half().save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    config = json.loads((out / "config.json").read_text())
    # Loaders compute in the stored type unless told: half precision on a CPU is slow and coarse.
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"
    config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def collect(
    asked: list[str],
    answers: list[list[int]],
    texts: list[str],
    teacher: Teacher,
    tokenizer: Tokenizer,
    work: Path,
) -> Collection:
    """Queries, the rows of the texts that answer them, and the other candidates."""
    asked_vectors, text_vectors = teacher.encode(asked), teacher.encode(texts)
    pools = candidates.make(asked, answers, texts, asked_vectors, text_vectors, work)
    asked_side = Side(token_lists(tokenizer, asked), asked_vectors)
    return Collection(asked_side, Side(token_lists(tokenizer, texts), text_vectors), pools)


def passages_of(items: list[kinds.Item], count: int) -> tuple[list[str], list[list[int]]]:
    """Queries and the rows of their passages: a title asks for all that stand below it."""
    asked = [(row, *query) for row, item in enumerate(items) for query in item.queries]
    used = np.sort(np.random.default_rng(SEED).permutation(len(asked))[:count])
    below: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        below.setdefault(item.title, []).append(row)
    answers = []
    for row, kind, _ in (asked[i] for i in used):
        whole = kind in ("title", "question")
        answers.append([row, *(r for r in below[items[row].title] if whole and r != row)])
    return [asked[i][2] for i in used], answers


def short_of(items: list[kinds.Item]) -> tuple[list[str], list[list[int]], list[str]]:
    """Queries that ask for titles and tag-like phrases, their rows, and those short texts."""
    pairs = kinds.short_pairs(items, SHORT_QUERIES, SEED)
    short = list(dict.fromkeys(text for _, text in pairs))
    row = {text: number for number, text in enumerate(short)}
    return [query for query, _ in pairs], [[row[text]] for _, text in pairs], short


def part_of(side: Side, chosen: np.ndarray) -> Side:
    rows = np.flatnonzero(chosen)
    return Side([side.tokens[row] for row in rows], side.vectors[rows])


def word_vectors(sides: list[Side], idf: np.ndarray, alone: np.ndarray) -> np.ndarray:
    tokens = [text for side in sides for text in side.tokens]
    return vectors.tuned(tokens, np.concatenate([side.vectors for side in sides]), idf, alone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="text and vectors are kept here")
    parser.add_argument("--out", type=Path, required=True, help="the model directory to write")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.time()

    def say(what: str) -> None:
        print(f"[{time.time() - started:6.0f} s] {what}", flush=True)

    passages = [p for p in corpus.build(options.work) if p["part"] == "train"]
    described = np.array([p["source"] == "debian-descriptions" for p in passages])
    archive = Archive(options.work)
    dictionary = dictionaries.passages(archive, "train", SEED)
    items, entries = kinds.make(passages, SEED), kinds.make(dictionary, SEED)
    texts, entry_texts = [item.text for item in items], [item.text for item in entries]
    say(f"{len(items)} passages, {len(entries)} dictionary entries")
    pieces = vocabulary.prune_vocabulary(texts)
    vocabulary.write_tokenizer(pieces, options.out, structure.LENGTH)
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    idf = vocabulary.rarity(tokenizer, texts + entry_texts)
    teacher = Teacher(options.work)

    parts = {
        "documentation": (*passages_of(items, QUERIES), texts),
        "entries": (*passages_of(entries, ENTRY_QUERIES), entry_texts),
        "short": short_of(items),
        "tags": debtags.pairs(archive, TAGGED, SEED),
    }
    collections = {}
    for name, part in parts.items():
        collections[name] = collect(*part, teacher, tokenizer, options.work)
        collections[name].share = SHARES[name]
        say(f"{name}: {len(part[0])} queries of {len(part[2])} texts")

    alone = teacher.encode([p if p.startswith("[") else p.removeprefix("##") for p in pieces])
    spelling = vocabulary.spelled(pieces, structure.SPELLING.stop - structure.SPELLING.start)
    model = structure.new(pieces)
    say(f"student: {sum(p.numel() for p in model.parameters()):,} parameters")

    # The readout is learned with word vectors that have seen none of the texts, as it will be in
    # use: else the means of known texts look better than those of other texts are.
    both = collections["documentation"]
    asks_described = np.array([described[own[0]] for own in both.pools.answers])
    both.rows = np.flatnonzero(~asks_described)
    tags = collections["tags"]
    seen = [part_of(both.texts, described), part_of(both.queries, asks_described)]
    seen += [tags.texts, tags.queries]
    structure.set_words(model, pieces, idf, word_vectors(seen, idf, alone), spelling)
    log = fit(model, collections, (pieces["[CLS]"], pieces["[SEP]"]), Plan())
    (options.work / "log.json").write_text(json.dumps(log, indent=1))
    say(f"readout: {json.dumps(log['answer first'])}")

    seen = [side for c in collections.values() for side in (c.texts, c.queries)]
    structure.set_words(model, pieces, idf, word_vectors(seen, idf, alone), spelling)
    save(model, options.out)
    say("done")


if __name__ == "__main__":
    main()
