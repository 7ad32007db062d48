"""Floating-point operations of a forward pass, and the rate this machine's products reach.

A multiplication and an addition count as two. Counted are the linear layers and the two products
of attention, for the tokens the pairs really have: padding is not work. Of the last layer only what
the head reads is needed: keys and values of all tokens, everything else for one token per pair.
Norms, activations, softmax and embeddings are not counted.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROWS = 1024
_REPEATS = 3


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder of BERT's kind."""

    layers: int
    hidden: int
    intermediate: int

    @classmethod
    def of(cls, directory: Path) -> Shape:
        """Read config.json of a model directory."""
        config = json.loads((directory / "config.json").read_text("utf-8"))
        return cls(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])

    @property
    def linears(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the products of a layer: QKV, attention output, feed-forward."""
        h, i = self.hidden, self.intermediate
        return [(h, 3 * h), (h, h), (h, i), (i, h)]

    def operations(self, tokens: np.ndarray, *, only_needed: bool) -> float:
        """Return the operations for pairs of these lengths.

        Parameters
        ----------
        tokens
            Tokens of each pair.
        only_needed
            Leave out what the head never reads of the last layer.
        """
        n = tokens.astype(np.float64)
        h = self.hidden
        layer = 2 * n * sum(a * b for a, b in self.linears) + 4 * n**2 * h
        head = 2 * h * h + 2 * h
        if not only_needed:
            return float((self.layers * layer + head).sum())
        one_row = 2 * sum(a * b for a, b in self.linears) - 2 * 2 * h * h
        last = 2 * n * 2 * h * h + one_row + 4 * n * h
        return float(((self.layers - 1) * layer + last + head).sum())


def cpu_has(flags: set[str]) -> bool:
    """Whether the processor has one of these instruction sets."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return bool(flags & set(line.split()))
    return False


HAS_BF16 = {"avx512_bf16", "amx_bf16"}
HAS_VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}


class Products:
    """The linear layers of one layer, on libtorch's oneDNN with packed weights, one thread.

    int8 is the faster of two operators: u8 x s8 with fp32 out, and s8 x s8 with int32 out.
    """

    def __init__(self, shape: Shape) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch = torch
        self._operations = sum(2 * ROWS * a * b for a, b in shape.linears)
        self._calls = {"float32": [self._dense(shape, torch.float32)]}
        if cpu_has(HAS_BF16):
            self._calls["bfloat16"] = [self._dense(shape, torch.bfloat16)]
        if cpu_has(HAS_VNNI):
            self._calls["int8"] = [self._int8(shape), self._int_mm(shape)]

    def rates(self) -> dict[str, float]:
        """Return operations per CPU-second for each dtype."""
        return {
            dtype: max(self._rate(call) for call in calls) for dtype, calls in self._calls.items()
        }

    def _rate(self, call) -> float:
        call()
        taken = []
        for _ in range(_REPEATS):
            start = time.process_time()
            call()
            taken.append(time.process_time() - start)
        return self._operations / float(np.median(taken))

    def _dense(self, shape, dtype):
        torch, mkldnn = self._torch, self._torch.ops.mkldnn
        products = []
        for a, b in shape.linears:
            packed = mkldnn._reorder_linear_weight(torch.randn(b, a, dtype=dtype), ROWS)
            products.append(
                (torch.randn(ROWS, a, dtype=dtype), packed, torch.randn(b, dtype=dtype))
            )

        def call():
            for rows, packed, bias in products:
                mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")

        return call

    def _int8(self, shape):
        torch, onednn = self._torch, self._torch.ops.onednn
        products = []
        for a, b in shape.linears:
            weight = torch.randint(-127, 128, (b, a), dtype=torch.int8)
            rows = torch.randint(0, 256, (ROWS, a), dtype=torch.uint8)
            scales, zeros = torch.full((b,), 0.01), torch.zeros(b, dtype=torch.int32)
            products.append((rows, onednn.qlinear_prepack(weight, [ROWS, a]), scales, zeros))

        def call():
            for rows, packed, scales, zeros in products:
                onednn.qlinear_pointwise(
                    rows,
                    0.02,
                    128,
                    packed,
                    scales,
                    zeros,
                    None,
                    1.0,
                    0,
                    torch.float32,
                    "none",
                    [],
                    "",
                )

        return call

    def _int_mm(self, shape):
        torch = self._torch
        products = [
            (
                torch.randint(-127, 128, (ROWS, a), dtype=torch.int8),
                torch.randint(-127, 128, (b, a), dtype=torch.int8).t(),
            )
            for a, b in shape.linears
        ]

        def call():
            for rows, weight in products:
                torch._int_mm(rows, weight)

        return call
