"""Learning the readout: rank lists of candidates as teacher, TfIdf and known answers say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from candidates import Pools, draw
from structure import FEATURES, MATCHERS
from torch.nn import functional as F
from transformers import BertForSequenceClassification


@dataclass
class Plan:
    """What a run costs and how it learns."""

    lists: int = 1_000
    candidates: tuple[int, int, int] = (5, 3, 1)  # TfIdf's first, TfIdf's others, the teacher's
    query_tokens: int = 48
    text_tokens: int = 230  # longer than nearly all: a cut text would lie about what it holds
    dropped: float = 0.1  # share of the queries' pieces that are left out
    ridge: float = 0.3  # pulls the weights of the readout to one common size
    teacher_share: float = 0.6  # of the loss
    temperature: float = 0.07  # of the sum of the teacher's cosine and TfIdf's
    seed: int = 0


@dataclass
class Side:
    """Tokens and teacher embeddings of queries or texts."""

    tokens: list[np.ndarray]
    vectors: np.ndarray


@dataclass
class Collection:
    """Queries, the texts they are asked of, and which to rank for each."""

    queries: Side
    texts: Side
    pools: Pools
    share: float = 1.0  # of the lists
    rows: np.ndarray | None = None  # of the queries that are used


def batch(
    collection: Collection, count: int, plan: Plan, rng
) -> tuple[list, list, np.ndarray, np.ndarray]:
    """Draw `count` lists: query tokens and text tokens pair by pair; what the teachers say and
    which candidates are answers, both of shape (lists, candidates)."""
    queries, texts, pools = collection.queries, collection.texts, collection.pools
    rows = np.arange(len(queries.tokens)) if collection.rows is None else collection.rows
    rows = rng.choice(rows, count, replace=False)
    total = len(texts.tokens)
    columns = np.stack([draw(pools, row, plan.candidates, total, rng) for row in rows])
    asked = []
    for row in rows:
        tokens = queries.tokens[row][: plan.query_tokens]
        kept = tokens[rng.random(len(tokens)) >= plan.dropped]
        asked += [kept if len(kept) else tokens] * columns.shape[1]
    offered = [texts.tokens[text][: plan.text_tokens] for text in columns.flat]
    wanted = queries.vectors[rows].astype(np.float32)
    cosines = np.einsum("qd,qcd->qc", wanted, texts.vectors[columns].astype(np.float32))
    likeness = [
        [pools.likeness_of(row, c) for c in own] for row, own in zip(rows, columns, strict=True)
    ]
    answers = np.stack(
        [np.isin(own, pools.answers[row]) for row, own in zip(rows, columns, strict=True)]
    )
    return asked, offered, cosines + np.array(likeness, np.float32), answers.astype(np.float32)


def assemble(
    queries: list[np.ndarray], texts: list[np.ndarray], cls: int, sep: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """[CLS] query [SEP] text [SEP], padded to the longest: ids, token types, mask."""
    width = max(len(q) + len(t) for q, t in zip(queries, texts, strict=True)) + 3
    ids = np.zeros((len(queries), width), np.int64)
    types, mask = np.zeros_like(ids), np.zeros_like(ids)
    for row, (q, t) in enumerate(zip(queries, texts, strict=True)):
        end = len(q) + len(t) + 3
        ids[row, :end] = np.concatenate([[cls], q, [sep], t, [sep]])
        types[row, len(q) + 2 : end] = 1
        mask[row, :end] = 1
    return torch.from_numpy(ids), torch.from_numpy(types), torch.from_numpy(mask)


def attend(
    attention, asking: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """One attention block with its residual. `asking` are the positions whose answer is wanted."""
    inner = attention.self

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (inner.num_attention_heads, -1)).transpose(1, 2)

    parts = [heads(inner.query(asking)), heads(inner.key(hidden)), heads(inner.value(hidden))]
    context = F.scaled_dot_product_attention(*parts, attn_mask=mask)
    return attention.output.LayerNorm(
        attention.output.dense(context.transpose(1, 2).flatten(2)) + asking
    )


def collected(
    model: BertForSequenceClassification, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """What [CLS] knows at the end, shape (pairs, HIDDEN): the last layer answers for it alone."""
    mask = mask.bool()[:, None, None, :]
    hidden = model.bert.embeddings(input_ids=ids, token_type_ids=types)
    layers = model.bert.encoder.layer
    for layer in layers:
        hidden = attend(
            layer.attention, hidden[:, :1] if layer is layers[-1] else hidden, hidden, mask
        )
        hidden = layer.output(layer.intermediate(hidden), hidden)
    return hidden[:, 0]


def features(
    model: BertForSequenceClassification,
    queries: list[np.ndarray],
    texts: list[np.ndarray],
    special: tuple[int, int],
    part: int = 32,
) -> torch.Tensor:
    """What [CLS] collects of pairs, computed in parts of like length; special: [CLS], [SEP]."""
    lengths = [len(q) + len(t) for q, t in zip(queries, texts, strict=True)]
    order = np.argsort(lengths, kind="stable")
    found = []
    for start in range(0, len(order), part):
        rows = order[start : start + part]
        tensors = assemble([queries[i] for i in rows], [texts[i] for i in rows], *special)
        found.append(collected(model, *tensors)[:, :FEATURES])
    return torch.cat(found)[torch.from_numpy(np.argsort(order))]


class Readout(torch.nn.Module):
    """Weighs what [CLS] collected, near enough a straight line that it holds for other texts."""

    BEND = 0.25  # of the argument of the pooler's tanh, at one standard deviation

    def __init__(self, sample: torch.Tensor):
        super().__init__()
        self.mean, self.deviation = sample.mean(dim=0), sample.std(dim=0)
        self.weights = torch.nn.Parameter(torch.full((FEATURES,), 0.1))
        self.bias = torch.nn.Parameter(torch.tensor(-2.0))
        self.common = torch.nn.Parameter(torch.tensor(0.1))  # the size that the ridge pulls to

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        bent = torch.tanh(self.BEND * (found - self.mean) / self.deviation) / self.BEND
        return bent @ self.weights + self.bias

    def spread(self) -> torch.Tensor:
        """How far the weights are from one size: a text's words report with a negative sign, and
        the length by itself says nothing."""
        count = len(MATCHERS)
        signs = torch.tensor([1.0] * count + [-1.0] * count + [0.0, 1.0])
        return (self.weights - self.common * signs).square().sum()

    def write(self, model: BertForSequenceClassification) -> None:
        """Into pooler and classifier: the pooler has a tanh for each feature."""
        pooler, classifier = model.bert.pooler.dense, model.classifier
        scale, own = self.BEND / self.deviation, range(FEATURES)
        with torch.no_grad():
            pooler.weight[own, own] = scale
            pooler.bias[:FEATURES] = -scale * self.mean
            classifier.weight[0, :FEATURES] = self.weights / self.BEND
            classifier.bias[0] = self.bias


def loss_of(
    logits: torch.Tensor, likeness: torch.Tensor, answers: torch.Tensor, plan: Plan
) -> torch.Tensor:
    """Listwise: cross-entropies with the teachers' softmax and with the known answers.

    A small binary term fixes the zero of the logits, so that a sigmoid of them reads as
    "answers the query or not"; ranking losses leave it free.
    """
    log_student = F.log_softmax(logits, dim=1)
    target = F.softmax(likeness / plan.temperature, dim=1)
    from_teacher = F.kl_div(log_student, target, reduction="batchmean")
    from_answer = -(log_student * answers).sum(dim=1).div(answers.sum(dim=1)).mean()
    binary = F.binary_cross_entropy_with_logits(logits, answers, pos_weight=torch.tensor(4.0))
    share = plan.teacher_share
    return share * from_teacher + (1 - share) * from_answer + 0.05 * binary


def fit(
    model: BertForSequenceClassification,
    collections: dict[str, Collection],
    special: tuple[int, int],
    plan: Plan,
) -> dict:
    """Write the readout into `model`; return what it is and how well it ranks.

    Parameters
    ----------
    special
        The ids of [CLS] and [SEP].
    """
    rng = np.random.default_rng(plan.seed)
    drawn = {}
    for name, collection in collections.items():
        count = round(plan.lists * collection.share)
        asked, offered, likeness, answers = batch(collection, count, plan, rng)
        found = features(model, asked, offered, special).view(count, -1, FEATURES)
        drawn[name] = (found, torch.from_numpy(likeness), torch.from_numpy(answers))
    found, likeness, answers = (torch.cat(parts) for parts in zip(*drawn.values(), strict=True))
    readout = Readout(found.flatten(0, 1))
    optimizer = torch.optim.LBFGS(readout.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(readout(found), likeness, answers, plan) + plan.ridge * readout.spread()
        loss.backward()
        return loss

    optimizer.step(closure)
    readout.write(model)

    def answer_first(logits: torch.Tensor, right: torch.Tensor) -> float:
        return right.gather(1, logits.argmax(dim=1, keepdim=True)).mean().item()

    with torch.no_grad():
        log = {
            name: {"student": answer_first(readout(f), a), "teachers": answer_first(t, a)}
            for name, (f, t, a) in drawn.items()
        }
    return {"answer first": log, "weights": readout.weights.tolist(), "bias": readout.bias.item()}
