"""Train the default cross-encoder: text, teacher, negatives, student, model directory.

python training/train.py --work WORK_DIRECTORY --out python/cherche_rs/default_model
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import corpus
import numpy as np
import queries as kinds
import student
import torch
from candidates import Pools, drop_contained, lexical_negatives, semantic_negatives
from fit import Collection, Plan, Side, fit
from teacher import Teacher
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

MAX_LENGTH = 512
SEED = 0
LAYERS, INTERMEDIATE = 3, 256
QUERIES, SHORT_QUERIES = 60_000, 14_000
STAGES = (
    # Short cuts of the passages: cheap, and the matching is learned there.
    Plan(steps=1600, schedule=3200, mix=(1.0, 0.0)),
    # Longer texts, and collections of short ones.
    Plan(steps=450, schedule=900, mix=(0.72, 0.28), long_share=0.3, rate=6e-4, word_rate=1.5e-4),
    # The teacher is no better than TfIdf at short texts: there the known answer counts more.
    Plan(
        steps=700,
        schedule=700,
        mix=(0.62, 0.38),
        long_share=0.2,
        rate=4e-4,
        word_rate=1e-4,
        teacher_share=(0.5, 0.2),
    ),
)


def token_lists(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [np.array(e.ids[:MAX_LENGTH], np.int64) for e in encodings]


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
    name: str,
    asked: list[str],
    gold: np.ndarray,
    texts: list[str],
    teacher: Teacher,
    tokenizer: Tokenizer,
    work: Path,
) -> Collection:
    """Queries, the rows of the texts that answer them, and their negatives."""
    asked_vectors, text_vectors = teacher.encode(asked), teacher.encode(texts)
    lexical = lexical_negatives(asked, gold, texts, work / f"lexical-{name}.npy")
    semantic = semantic_negatives(gold, asked_vectors, text_vectors)
    for negatives in (lexical, semantic):
        drop_contained(negatives, asked, texts)
    pools = Pools(gold, lexical, semantic)
    asked_side = Side(token_lists(tokenizer, asked), asked_vectors)
    return Collection(asked_side, Side(token_lists(tokenizer, texts), text_vectors), pools)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="text and vectors are kept here")
    parser.add_argument("--out", type=Path, required=True, help="the model directory to write")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--resume", type=Path, help="a model to start from, with --stage")
    parser.add_argument("--stage", type=int, default=1, help="the stage to start at")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.time()

    def say(what: str) -> None:
        print(f"[{time.time() - started:6.0f} s] {what}", flush=True)

    passages = [p for p in corpus.build(options.work) if p["part"] == "train"]
    items = kinds.make(passages, SEED)
    texts = [item.text for item in items]
    say(f"{len(items)} passages")
    vocabulary, idf = student.prune_vocabulary(texts)
    student.write_tokenizer(vocabulary, options.out, MAX_LENGTH)
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    teacher = Teacher(options.work)

    asked = [query for item in items for _, query in item.queries]
    gold = np.array([row for row, item in enumerate(items) for _ in item.queries])
    used = np.sort(np.random.default_rng(SEED).permutation(len(asked))[:QUERIES])
    pairs = kinds.short_pairs(items, SHORT_QUERIES, SEED)
    short = list(dict.fromkeys(text for _, text in pairs))
    row = {text: number for number, text in enumerate(short)}
    collections = [
        collect(
            "passages",
            [asked[i] for i in used],
            gold[used],
            texts,
            teacher,
            tokenizer,
            options.work,
        ),
        collect(
            "short",
            [query for query, _ in pairs],
            np.array([row[text] for _, text in pairs]),
            short,
            teacher,
            tokenizer,
            options.work,
        ),
    ]
    say(f"{len(used)} queries of passages, {len(pairs)} of {len(short)} short texts")

    if options.resume:
        model = BertForSequenceClassification.from_pretrained(options.resume, dtype=torch.float32)
    else:
        pieces = [p if p.startswith("[") else p.removeprefix("##") for p in vocabulary]
        model = student.new(vocabulary, idf, teacher.encode(pieces), LAYERS, INTERMEDIATE)
    say(f"student: {sum(p.numel() for p in model.parameters()):,} parameters")

    special = (vocabulary["[CLS]"], vocabulary["[SEP]"])
    for number, plan in enumerate(STAGES, 1):
        if number < options.stage:
            continue
        snapshot = options.work / f"stage-{number}"
        log = fit(model, collections, special, plan, lambda path=snapshot: save(model, path))
        record = json.dumps({"plan": vars(plan), "log": log}, indent=1)
        (options.work / f"log-{number}.json").write_text(record)
        say(f"stage {number} done")
    save(model, options.out)


if __name__ == "__main__":
    main()
