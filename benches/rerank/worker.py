"""A process per implementation: loaded once, kept alive, fed with pairs.

In one process the thread pools and OpenMP runtimes of the implementations would disturb each other.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from .engines import Refused, Settings, Side, load
from .texts import Pair
from .work import Products, Shape

#: Seconds after which a silent worker is given up.
PATIENCE = 600


class Worker:
    """The parent's end of a process; see `Scorer` and `Rates` for what it does.

    Parameters
    ----------
    inside
        `Scorer` or `Rates`.
    arguments
        For it.
    log
        File for what the process prints.
    """

    def __init__(self, inside: type, arguments: tuple[Any, ...], log: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._log = log
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, inside, arguments, log), daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Call a method in the process and return what it returns."""
        self._pipe.send((method, arguments))
        return self._receive()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> Any:
        try:
            if not self._pipe.poll(PATIENCE):
                raise TimeoutError(f"no answer within {PATIENCE} s; see {self._log}")
            kind, value = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"the worker ended; see {self._log}") from None
        if kind == "refused":
            self.close()
            raise Refused(value)
        if kind == "error":
            raise RuntimeError(value)
        return value


def _serve(pipe: Any, inside: type, arguments: tuple[Any, ...], log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        served = inside(*arguments)
        pipe.send(("value", None))
        while True:
            method, given = pipe.recv()
            pipe.send(("value", getattr(served, method)(*given)))
    except (EOFError, BrokenPipeError):
        return
    except Refused as refusal:
        pipe.send(("refused", str(refusal)))
    except Exception:
        pipe.send(("error", traceback.format_exc()))


class Scorer:
    """An implementation with a model, in its process."""

    def __init__(self, side: Side, folder: Path, threads: int) -> None:
        self._engine = load(side, folder, threads)
        self._threads = threads
        self._pairs: dict[str, list[Pair]] = {}

    def keep(self, name: str, pairs: list[Pair]) -> None:
        """Hold pairs under a name."""
        self._pairs[name] = pairs

    def score(self, name: str, settings: Settings) -> tuple[float, float, np.ndarray]:
        """Return seconds, CPU-seconds of all threads, and logits."""
        pairs = self._pairs[name]
        cpu, wall = time.process_time(), time.perf_counter()
        logits = self._engine.score(pairs, settings)
        return time.perf_counter() - wall, time.process_time() - cpu, np.asarray(logits)

    def tune(self, name: str, batch_sizes: list[int], repeats: int) -> Settings:
        """Return the settings under which these pairs took the least time."""
        choices = self._engine.settings(batch_sizes, self._threads)
        best = {}
        for at, settings in enumerate(choices):
            self.score(name, settings)
            if len(choices) > 1:
                best[at] = min(self.score(name, settings)[0] for _ in range(repeats))
        return choices[min(best, key=best.__getitem__)] if best else choices[0]


class Rates:
    """The products of a model's shape, in their process."""

    def __init__(self, shape: Shape) -> None:
        self._products = Products(shape)

    def rates(self) -> dict[str, float]:
        """Return operations per CPU-second and thread for each dtype."""
        return self._products.rates()
