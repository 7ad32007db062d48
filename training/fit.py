"""The training loop: rank lists of candidates as the teacher and the known answer say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from candidates import Pools, draw
from torch.nn import functional as F
from transformers import BertForSequenceClassification


@dataclass
class Plan:
    """What a run costs and how it learns."""

    steps: int
    schedule: int  # steps the cosine decay of the rates is laid out for; `steps` may end earlier
    mix: tuple[float, ...]  # share of the steps each collection gets
    lists: int = 16  # candidate lists a step
    negatives: tuple[int, int, int] = (3, 1, 1)  # lexical, semantic, random
    query_tokens: int = 32
    text_tokens: int = 72
    long_text_tokens: int = 250
    long_share: float = 0.08  # of the steps see long texts, half as many lists of them
    rate: float = 1e-3
    word_rate: float = 2e-4
    warmup: float = 0.03
    temperature: float = 0.05  # of the teacher's cosines
    teacher_share: tuple[float, ...] = (0.5, 0.5)  # of the loss, for each collection
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


def batch(collection: Collection, plan: Plan, rng) -> tuple[list, list, np.ndarray]:
    """Draw lists: query tokens and text tokens pair by pair, and cosines (lists, candidates)."""
    queries, texts, pools = collection.queries, collection.texts, collection.pools
    long = rng.random() < plan.long_share
    lists = plan.lists // 2 if long else plan.lists
    longest = plan.long_text_tokens if long else plan.text_tokens
    rows = rng.choice(len(queries.tokens), lists, replace=False)
    columns = draw(pools, rows, len(texts.tokens), plan.negatives, rng)
    asked = [queries.tokens[row][: plan.query_tokens] for row in rows for _ in columns[0]]
    answers = [texts.tokens[text][:longest] for text in columns.flat]
    wanted = queries.vectors[rows].astype(np.float32)
    offered = texts.vectors[columns].astype(np.float32)
    return asked, answers, np.einsum("qd,qcd->qc", wanted, offered)


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
    with torch.autocast("cpu", enabled=False):
        # The backward pass of attention is four times slower in bfloat16 than in float32.
        context = F.scaled_dot_product_attention(*(p.float() for p in parts), attn_mask=mask)
    context = context.transpose(1, 2).flatten(2)
    return attention.output.LayerNorm(attention.output.dense(context) + asking)


def logits_of(
    model: BertForSequenceClassification, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """What `model(...)` computes, a third faster: the last layer answers for [CLS] alone."""
    mask = mask.bool()[:, None, None, :]
    hidden = model.bert.embeddings(input_ids=ids, token_type_ids=types)
    for layer in model.bert.encoder.layer:
        last = layer is model.bert.encoder.layer[-1]
        hidden = attend(layer.attention, hidden[:, :1] if last else hidden, hidden, mask)
        hidden = layer.output(layer.intermediate(hidden), hidden)
    return model.classifier(model.bert.pooler(hidden))


def loss_of(
    logits: torch.Tensor, cosines: torch.Tensor, temperature: float, share: float
) -> torch.Tensor:
    """Listwise: divergence from the teacher's softmax, cross-entropy of the answer (column 0).

    A small binary term fixes the zero of the logits, so that a sigmoid of them reads as
    "answers the query or not"; ranking losses leave it free.
    """
    log_student = F.log_softmax(logits, dim=1)
    target = F.softmax(cosines / temperature, dim=1)
    from_teacher = F.kl_div(log_student, target, reduction="batchmean")
    from_answer = -log_student[:, 0].mean()
    answer = torch.zeros_like(logits)
    answer[:, 0] = 1
    binary = F.binary_cross_entropy_with_logits(logits, answer, pos_weight=torch.tensor(4.0))
    return share * from_teacher + (1 - share) * from_answer + 0.1 * binary


def optimizer_of(model: BertForSequenceClassification, plan: Plan) -> torch.optim.Optimizer:
    words = model.bert.embeddings.word_embeddings.weight
    others = [p for p in model.parameters() if p is not words]
    groups = [
        {"params": [p for p in others if p.dim() > 1], "lr": plan.rate, "weight_decay": 0.01},
        {"params": [p for p in others if p.dim() == 1], "lr": plan.rate, "weight_decay": 0.0},
        # Slower: words that no training text has must stay comparable with those that moved.
        {"params": [words], "lr": plan.word_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def fit(
    model: BertForSequenceClassification,
    collections: list[Collection],
    special: tuple[int, int],
    plan: Plan,
    snapshot: Callable[[], None],
) -> list[dict[str, float]]:
    """Train in place; return the log. `snapshot()` is called at every quarter of the steps."""
    rng = np.random.default_rng(plan.seed)
    optimizer = optimizer_of(model, plan)
    warm = max(1, int(plan.warmup * plan.schedule))

    def rate(step: int) -> float:
        done = max(0, step - warm) / (plan.schedule - warm)
        return min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * done)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    model.train()
    log, started, sums = [], time.time(), np.zeros(3)
    for step in range(1, plan.steps + 1):
        chosen = rng.choice(len(plan.mix), p=plan.mix)
        asked, answers, cosines = batch(collections[chosen], plan, rng)
        ids, types, mask = assemble(asked, answers, *special)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = logits_of(model, ids, types, mask)
        logits = logits.float().view(cosines.shape)
        loss = loss_of(
            logits, torch.from_numpy(cosines), plan.temperature, plan.teacher_share[chosen]
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        first = (logits.argmax(dim=1) == 0).float().mean().item()
        sums += loss.item(), first, (cosines.argmax(axis=1) == 0).mean()
        if step % 100 == 0:
            names = ("loss", "answer_first", "teacher_answer_first")
            entry = dict(zip(names, (float(s) for s in sums / 100), strict=True))
            log.append({"step": step, "seconds": round(time.time() - started), **entry})
            print(" ".join(f"{k} {v:.4g}" for k, v in log[-1].items()), flush=True)
            sums[:] = 0
        if step % max(1, plan.steps // 4) == 0:
            snapshot()
    model.eval()
    return log
