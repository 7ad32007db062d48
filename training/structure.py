"""The student: a BERT whose weights are set, not drawn, so that it matches the words of two texts.

Layer 0: words look for their like in the other text, by meaning and by spelling; each word takes
over the word before it; [CLS] takes the mean of the query's words, [SEP] that of the text's.
Layer 1: words look again, more strictly, and for their like in the same company; [CLS] measures
the text's length. Layer 2: [CLS] collects what was found, rare words first, and compares the means.
The pooler and the classifier weigh what [CLS] knows then.

A word that finds its like attends to it, and else to [CLS]: the attention is a soft step of the
best cosine, as in kernel pooling (K-NRM, Xiong et al. 2017). Only the word vectors and the readout
are learned. A network of this size that may learn everything learns what its training texts are
about, and ranks other texts worse than TfIdf does.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

HIDDEN, HEADS, HEAD, LAYERS = 192, 3, 64, 3
INTERMEDIATE = 32  # nearly unused: the feed-forward layers only forget two marks
LENGTH = 512
# What each place of the residual stream holds.
MEANING, COMPANY = slice(0, 62), slice(62, 124)  # the second half of a vector, then also company
SPELLING, IMPORTANCE, POSITION, FOUND = slice(124, 172), 172, slice(173, 181), 181
ZERO, CLS, SEP, SIDE, UNKNOWN, WORD = 186, 187, 188, 189, 190, 191
# [CLS] and [SEP] are nearly only their mark: after normalisation it is ON, everything else small.
MARK, ON = 400.0, HIDDEN**0.5
SIDES = 1.5  # the query's words hold -1.5 at SIDE, the text's +1.5
FREQUENCIES = np.array([2.1, 1.27, 0.71, 0.13])  # of the positions: no two places are alike
COMPARED = {"meaning": slice(0, 61), "company": slice(62, 123), "spelling": SPELLING}
# Layer, head, what it compares, how sharply, and the cosine where a word counts half as found.
# In the company's places lie two vectors, so that like words in like company reach 2.
MATCHERS = (
    (0, 0, "meaning", 24.0, 0.65),
    (0, 1, "spelling", 30.0, 0.70),
    (1, 0, "company", 20.0, 1.45),
    (1, 1, "meaning", 40.0, 0.90),
    (1, 2, "spelling", 40.0, 0.92),
)
# Mean squares of a word at the two layers' input: normalisation makes them one.
SQUARES = (192 / 176, 192 / 240)
APART = 16.0  # logits between the words of one text are this much times two below the others
EXCLUDED = 12.0
HALF_LENGTH = 60  # words of a text of which [CLS] sees as much as of itself
MEANS_SHARP, MEANS_HALF = 8.0, 0.6
FORGET = 0.85
QUIET = 0.1  # what [CLS] collects is small, so that normalisation does not change with it
FEATURES = 2 * len(MATCHERS) + 2  # found of the query, found of the text, length, means


class Head:
    """One attention head, by its slots. Weights are added to a model that holds only zeros."""

    def __init__(self, model: BertForSequenceClassification, layer: int, head: int):
        attention = model.bert.encoder.layer[layer].attention
        self.inner, self.output, self.first = attention.self, attention.output.dense, head * HEAD

    def ask(self, slots, places, weights) -> None:
        """What the looking token puts in its slots."""
        _add(self.inner.query.weight, self.first + np.asarray(slots), places, weights)

    def always(self, slot: int) -> None:
        """The looking token puts 1 in a slot, whatever it is."""
        self.inner.query.bias[self.first + slot] += 1.0

    def offer(self, slots, places, logits) -> None:
        """What a token that is looked at has in its slots, in units of attention logits."""
        weights = np.asarray(logits) * HEAD**0.5  # by which attention divides
        _add(self.inner.key.weight, self.first + np.asarray(slots), places, weights)

    def carry(self, slots, sources, targets, weights) -> None:
        """What is read of a token that is looked at, and where it is written."""
        slots = self.first + np.asarray(slots)
        _add(self.inner.value.weight, slots, sources, weights)
        _add(self.output.weight, targets, slots, 1.0)


def _add(matrix: torch.Tensor, rows, columns, weights) -> None:
    """Add weights[i] at (rows[i], columns[i]); one number for any of them repeats."""
    rows, columns, weights = np.broadcast_arrays(rows, columns, weights)
    for row, column, weight in zip(rows.flat, columns.flat, weights.flat, strict=True):
        matrix[row, column] += float(weight)


def _match(head: Head, compared: slice, layer: int, sharp: float, half: float, target: int) -> None:
    places = np.arange(compared.start, compared.stop)
    slots = np.arange(len(places))
    head.ask(slots, places, 1.0)
    head.offer(slots, places, sharp / len(places) / SQUARES[layer])
    # Minus APART times (1 + the product of the sides): nothing for words of the other text.
    head.ask([61, 62], [WORD, SIDE], [1.0, 1 / SIDES])
    head.offer([61, 62], [WORD, SIDE], [-APART, -APART / SIDES])
    head.always(63)
    head.offer(63, CLS, sharp * half / ON)
    head.offer(63, SEP, -8 / ON)
    # A query's word reports the text's side, a text's word the query's.
    head.carry(60, SIDE, target, 2.0 / SIDES)


def _take_over(head: Head) -> None:
    """Words: the vector of the word before. [CLS] and [SEP]: the mean of the query, of the text."""
    count = len(FREQUENCIES)
    sine, cosine = POSITION.start + np.arange(count), POSITION.start + count + np.arange(count)
    turn, lean = np.cos(FREQUENCIES), np.sin(FREQUENCIES)
    even, odd = 2 * np.arange(count), 2 * np.arange(count) + 1
    head.ask(even, sine, turn)
    head.ask(even, cosine, -lean)
    head.ask(odd, cosine, turn)
    head.ask(odd, sine, lean)
    head.offer([even, odd], [sine, cosine], 30.0 / count / 0.25)
    side, weight = 2 * count, 2 * count + 1
    head.ask(side, [CLS, SEP], [-1 / ON, 1 / ON])
    head.offer(side, SIDE, EXCLUDED / SIDES)
    head.ask(weight, [CLS, SEP], 1 / ON)
    head.offer(weight, IMPORTANCE, 1.0)
    head.offer(weight, [WORD, CLS, SEP, UNKNOWN], [-EXCLUDED, *[-3 * EXCLUDED / ON] * 3])
    slots = np.arange(62)
    head.carry(slots, slots, COMPANY.start + slots, 1.0)


def _measure_length(head: Head, target: int) -> None:
    """In a head that matches spelling, whose slots from 48 on are free: for [CLS] alone."""
    head.ask(63, CLS, -1 / ON)
    head.ask(59, CLS, 1 / ON)
    sides = [EXCLUDED / SIDES, -EXCLUDED, np.log(HALF_LENGTH) / ON, *[-2 * EXCLUDED / ON] * 2]
    head.offer(59, [SIDE, WORD, CLS, SEP, UNKNOWN], sides)
    head.carry(58, CLS, target, 2 * QUIET / ON)


def _collect(head: Head, side: int, target: int) -> None:
    head.always(0)
    head.always(1)
    head.offer(0, [SIDE, WORD], [side * EXCLUDED / SIDES, -EXCLUDED])
    head.offer(0, [CLS, SEP, UNKNOWN], np.array([-4, -4, -2]) * EXCLUDED / ON)
    head.offer(1, IMPORTANCE, 1.0)
    slots = np.arange(len(MATCHERS))
    head.carry(slots, FOUND + slots, target + slots, QUIET)


def _compare_means(head: Head, target: int) -> None:
    """[CLS] looks at [SEP], or at itself; of both, little but the means is left (see _forget)."""
    slots, places = np.arange(62), COMPANY.start + np.arange(62)
    head.ask(slots, places, 1.0)
    head.offer(slots, places, MEANS_SHARP / 165)
    head.always(62)
    head.offer(62, WORD, -20.0)
    head.offer(62, CLS, -MEANS_SHARP * (1 - MEANS_HALF) / 5)
    head.carry(62, SEP, target, QUIET / 5)
    head.carry(63, CLS, target, -QUIET / 5)


def _forget(layer) -> None:
    """After layer 1 the marks fade, so that normalisation gives both means the same length."""
    _add(layer.intermediate.dense.weight, [0, 1], [CLS, SEP], 1.0)
    _add(layer.output.dense.weight, [CLS, SEP], [0, 1], -FORGET)


def _balance(layer) -> None:
    """Rows that read a word sum to zero; the place that stays empty takes the sum.

    Layer normalisation subtracts a mean that depends on the word; such a row does not see it.
    """
    inner = layer.attention.self
    for linear in (inner.query, inner.key, inner.value, layer.intermediate.dense):
        linear.weight[:, ZERO] -= linear.weight.sum(dim=1)


def new(vocabulary: dict[str, int]) -> BertForSequenceClassification:
    """The wired model, without its words and without its readout."""
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=LENGTH,
        type_vocab_size=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=1,
        pad_token_id=0,
    )
    model = BertForSequenceClassification(config).requires_grad_(False).eval()
    for name, parameter in model.named_parameters():
        parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
    for number, (layer, head, compared, sharp, half) in enumerate(MATCHERS):
        place = Head(model, layer, head)
        _match(place, COMPARED[compared], layer, sharp, half, FOUND + number)
    _take_over(Head(model, 0, 2))
    _measure_length(Head(model, 1, 2), FEATURES - 2)
    _forget(model.bert.encoder.layer[1])
    _collect(Head(model, 2, 0), -1, 0)
    _collect(Head(model, 2, 1), 1, len(MATCHERS))
    _compare_means(Head(model, 2, 2), FEATURES - 1)
    for layer in model.bert.encoder.layer:
        _balance(layer)
    return model


def set_words(
    model: BertForSequenceClassification,
    vocabulary: dict[str, int],
    idf: np.ndarray,
    vectors: np.ndarray,
    spelling: np.ndarray,
) -> None:
    """Fill the embeddings.

    Parameters
    ----------
    idf
        Inverse document frequencies of the pieces, shape (pieces,).
    vectors, spelling
        What they mean and how they are written, shapes (pieces, 124) and (pieces, 48).
    """
    embeddings = model.bert.embeddings
    words = embeddings.word_embeddings.weight.zero_()

    def unit(part: np.ndarray) -> torch.Tensor:
        """Rows of unit variance: layer normalisation then leaves a word as it is."""
        lengths = np.sqrt((part**2).sum(axis=1, keepdims=True))
        return torch.from_numpy(part / np.maximum(lengths, 1e-6) * part.shape[1] ** 0.5).float()

    words[:, MEANING], words[:, COMPANY] = unit(vectors[:, MEANING]), unit(vectors[:, COMPANY])
    words[:, SPELLING] = unit(spelling)
    # A vector that the regression made long moves its texts: its word matters.
    length = np.sqrt((vectors**2).sum(axis=1))
    weight = np.maximum(idf, 0.15) * np.sqrt(length / np.median(length))
    words[:, IMPORTANCE] = torch.from_numpy(np.log(weight)).float()
    words[:, WORD] = 1.0
    marks = {"[PAD]": ZERO, "[UNK]": UNKNOWN, "[CLS]": CLS, "[SEP]": SEP, "[MASK]": UNKNOWN}
    for token, place in marks.items():
        words[vocabulary[token]] = 0.0
        words[vocabulary[token], place] = 0.0 if place == ZERO else MARK
    embeddings.token_type_embeddings.weight[:, SIDE] = torch.tensor([-SIDES, SIDES])
    angles = torch.arange(LENGTH)[:, None] * torch.from_numpy(FREQUENCIES).float()
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    embeddings.position_embeddings.weight[:, POSITION] = 0.5 * waves
