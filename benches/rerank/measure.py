"""Who runs when: every round calls all implementations in turn, so that what else the machine does
falls on all of them; reported are medians over rounds, of times and of ratios within a round."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import cold, fidelity, models, texts
from .engines import REFERENCE, SIDES, Refused, Settings, Side
from .work import Shape
from .worker import Rates, Scorer, Worker

#: Idle threads of OpenMP and of ONNX Runtime spin for a while after a call.
_PAUSE = 0.25


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes
    ----------
    operations
        Floating-point operations of one pass over the pairs of a cell; sets their number.
    documents
        Documents per query.
    rounds
        Passes per implementation.
    batch_sizes
        What peers may choose from.
    tune_repeats
        Timed passes over the pairs that the choice is made on, for each choice.
    order_queries
        Queries, of 100 documents, that the orders of low precisions are compared on.
    latency
        (documents, calls) of the latency measurements.
    cold_starts
        Processes per implementation.
    budget
        Operations that each of the last three may take per implementation: large models get fewer
        queries, calls and processes, and no latency of fewer than `_FEWEST_CALLS`.
    """

    operations: float = 0.25e12
    documents: int = 100
    rounds: int = 5
    batch_sizes: tuple[int, ...] = (8, 32)
    tune_repeats: int = 2
    order_queries: int = 16
    latency: tuple[tuple[int, int], ...] = ((10, 100), (100, 10))
    cold_starts: int = 3
    budget: float = 3e12

    def afford(self, wanted: int, operations: float) -> int:
        """How many of the `wanted` things, of so many operations each, fit the budget."""
        return min(wanted, int(self.budget / operations))


QUICK = Plan(
    operations=4e10,
    documents=20,
    rounds=2,
    batch_sizes=(16,),
    tune_repeats=1,
    order_queries=1,
    latency=((10, 5),),
    cold_starts=1,
)
_COLD_PAIRS = 100
_ORDER_DOCUMENTS = 100
_FEWEST_CALLS = 5


class Cell:
    """One model on one profile of lengths."""

    def __init__(
        self,
        model: str,
        profile: str,
        sides: list[Side],
        threads: int,
        plan: Plan,
        root: Path,
    ) -> None:
        self.model, self.profile, self.threads, self.plan = model, profile, threads, plan
        self._begun = time.perf_counter()
        self.sides, self.absent = _present(sides)
        self.folder = models.prepare(model, {"torch"} | {s.form for s in self.sides}, root)
        self._logs = root / "logs"
        self._logs.mkdir(exist_ok=True)
        self.shape = Shape.of(self.folder / "torch")
        self.tokenizer = texts.tokenizer_of(self.folder / "torch")
        self.prose = texts.Prose(self.tokenizer)
        sample = texts.token_counts(self.tokenizer, self.prose.pairs(profile, 1, 20, seed=2))
        #: Operations of a pair.
        self._each = self.shape.operations(sample, only_needed=False) / len(sample)
        self.workers: dict[Side, Worker] = {}
        self.settings: dict[Side, Settings] = {}

    def measure(self) -> dict[str, Any]:
        """Return everything about the cell."""
        pairs, queries, documents = self._pairs()
        tokens = texts.token_counts(self.tokenizer, pairs)
        found: dict[str, Any] = {
            "model": self.model,
            "profile": self.profile,
            "queries": queries,
            "documents": documents,
            "tokens_mean": float(tokens.mean()),
            "tokens_p95": float(np.percentile(tokens, 95)),
            "plain_operations": self.shape.operations(tokens, only_needed=False),
            "needed_operations": self.shape.operations(tokens, only_needed=True),
            "threads": self.threads,
            "plan": asdict(self.plan),
        }
        try:
            self._start()
            found["throughput"] = self._throughput(pairs)
            if self.profile == "msmarco":
                found["orders"] = self._orders()
                found["latency"] = {
                    str(count): self._latency(count, affordable)
                    for count, calls in self.plan.latency
                    if (affordable := self.plan.afford(calls, count * self._each)) >= _FEWEST_CALLS
                }
        finally:
            for worker in self.workers.values():
                worker.close()
        if self.profile == "msmarco" and self.plan.cold_starts:
            found["cold"] = self._cold()
        found["absent"] = self.absent
        return found

    def _say(self, step: str) -> None:
        """One line of progress, on stderr: the tables stay clean."""
        seconds = time.perf_counter() - self._begun
        print(f"{seconds:5.0f} s  {self.model} {self.profile}  {step}", file=sys.stderr, flush=True)

    def _pairs(self) -> tuple[list[texts.Pair], int, int]:
        """Pairs for one pass: whole queries where the plan allows, else fewer documents."""
        count = max(int(self.plan.operations / self._each), 8)
        documents = min(self.plan.documents, count)
        queries = max(round(count / documents), 1)
        return self.prose.pairs(self.profile, queries, documents), queries, documents

    def _start(self) -> None:
        for side in list(self.sides):
            self._say(f"loading {side.name}")
            log = self._logs / f"{side.name.replace(' ', '-')}.log"
            try:
                arguments = (side, self.folder, self.threads)
                self.workers[side] = Worker(Scorer, arguments, log)
            except Refused as refusal:
                self.sides.remove(side)
                self.absent[side.name] = str(refusal)
                print(f"skipped: {side.name}: {refusal}", flush=True)

    def _keep(self, name: str, pairs: list[texts.Pair]) -> None:
        for side in self.sides:
            self.workers[side]("keep", name, pairs)

    def _tune(self, name: str) -> dict[Side, Settings]:
        chosen = {}
        for side in self.sides:
            self._say(f"{name}: settings of {side.name}")
            sizes, repeats = list(self.plan.batch_sizes), self.plan.tune_repeats
            chosen[side] = self.workers[side]("tune", name, sizes, repeats)
            time.sleep(_PAUSE)
        return chosen

    def _throughput(self, pairs: list[texts.Pair]) -> dict[str, Any]:
        self._keep("all", pairs)
        # A quarter of the pairs, of every length, but enough for a batch.
        self._keep("tune", pairs[:: max(min(4, len(pairs) // 16), 1)])
        self.settings = self._tune("tune")
        products = Worker(Rates, (self.shape,), self._logs / "products.log")
        rounds: dict[Side, list[tuple[float, float]]] = {side: [] for side in self.sides}
        rates: list[dict[str, float]] = []
        try:
            for number in range(self.plan.rounds):
                self._say(f"round {number + 1} of {self.plan.rounds}")
                rates.append(products("rates"))
                for side in self.sides:
                    time.sleep(_PAUSE)
                    wall, cpu, _ = self.workers[side]("score", "all", self.settings[side])
                    rounds[side].append((wall, cpu))
        finally:
            products.close()
        return {
            "rates": {d: float(np.median([r[d] for r in rates])) for d in rates[0]},
            "sides": {
                side.name: {
                    "dtype": side.dtype,
                    "settings": self.settings[side],
                    "wall": [wall for wall, _ in rounds[side]],
                    "cpu": [cpu for _, cpu in rounds[side]],
                }
                for side in self.sides
            },
        }

    def _orders(self) -> dict[str, Any]:
        """What each side does to scores and orders, beside those in float32."""
        wanted = self.plan.afford(self.plan.order_queries, _ORDER_DOCUMENTS * self._each)
        queries = max(wanted, 1)
        self._keep("orders", self.prose.pairs(self.profile, queries, _ORDER_DOCUMENTS, seed=5))
        scores = {}
        for side in self.sides:
            self._say(f"orders of {queries} queries: {side.name}")
            _, _, logits = self.workers[side]("score", "orders", self.settings[side])
            scores[side.name] = logits.reshape(queries, _ORDER_DOCUMENTS)
        reference = scores.get(REFERENCE, scores.get(SIDES[0].name))
        if reference is None:
            return {"queries": queries, "sides": {}}
        compared = {name: fidelity.compare(own, reference) for name, own in scores.items()}
        return {"queries": queries, "sides": compared}

    def _latency(self, documents: int, calls: int) -> dict[str, Any]:
        # A few queries in turn: with one, its lengths would decide.
        queries = min(calls, 5)
        pairs = self.prose.pairs("msmarco", queries, documents, seed=3)
        for at in range(queries):
            self._keep(f"{documents}/{at}", pairs[at * documents : (at + 1) * documents])
        settings = self._tune(f"{documents}/0")
        taken: dict[Side, list[tuple[float, float]]] = {side: [] for side in self.sides}
        for block in range(max(calls // queries, 1)):
            self._say(f"latency of {documents} documents, block {block + 1}")
            for side in self.sides:
                # The call after another process ran finds cold caches: not counted.
                self.workers[side]("score", f"{documents}/0", settings[side])
                for query in range(queries):
                    reply = self.workers[side]("score", f"{documents}/{query}", settings[side])
                    taken[side].append(reply[:2])
                time.sleep(_PAUSE)
        return {
            side.name: {
                "settings": settings[side],
                "wall": [wall for wall, _ in taken[side]],
                "cpu": [cpu for _, cpu in taken[side]],
            }
            for side in self.sides
        }

    def _cold(self) -> dict[str, Any]:
        pairs = self.folder / "cold.json"
        drawn = self.prose.pairs("msmarco", 1, _COLD_PAIRS, seed=4)
        pairs.write_text(json.dumps(drawn), "utf-8")
        found: dict[str, Any] = {side.name: [] for side in self.sides}
        starts = max(self.plan.afford(self.plan.cold_starts, _COLD_PAIRS * self._each), 1)
        for number in range(starts):
            self._say(f"cold starts, {number + 1} of {starts}")
            for side in self.sides:
                found[side.name].append(
                    cold.run(side, self.folder, self.threads, self.settings[side], pairs)
                )
        return found


def _present(sides: list[Side]) -> tuple[list[Side], dict[str, str]]:
    """Split off the sides whose packages are not installed."""
    present, absent = [], {}
    for side in sides:
        packages = models.missing(side.form)
        if packages:
            absent[side.name] = f"not installed: {', '.join(packages)}"
            print(f"skipped: {side.name}: {absent[side.name]}", flush=True)
        else:
            present.append(side)
    return present, absent
