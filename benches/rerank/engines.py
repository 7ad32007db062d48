"""The implementations, each behind one interface: load a form of a model, score pairs.

FlashRank and fastembed are not listed: their cross-encoders are ONNX Runtime sessions over files
like the ones measured here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import texts
from .texts import Pair

Settings = dict[str, int]


class Refused(Exception):
    """The implementation says that it cannot run this here."""


@dataclass(frozen=True)
class Side:
    """One line of the tables.

    Attributes
    ----------
    name
        As printed.
    engine
        Key of `ENGINES`.
    dtype
        Number format of the products: float32, bfloat16 or int8.
    form
        What it loads, a key of `models.FORMS`.
    """

    name: str
    engine: str
    dtype: str
    form: str


SIDES = [
    Side("cherche-rs fp32", "cherche-rs", "float32", "torch"),
    Side("cherche-rs bf16", "cherche-rs", "bfloat16", "torch"),
    Side("cherche-rs int8", "cherche-rs", "int8", "torch"),
    Side("sentence-transformers fp32", "sentence-transformers", "float32", "torch"),
    Side("ONNX Runtime fp32", "onnxruntime", "float32", "onnx"),
    Side("ONNX Runtime int8", "onnxruntime", "int8", "onnx-int8"),
    Side("ONNX Runtime int8 per channel", "onnxruntime", "int8", "onnx-int8-per-channel"),
    Side("OpenVINO fp32", "openvino", "float32", "openvino"),
    Side("OpenVINO bf16", "openvino", "bfloat16", "openvino"),
    Side("OpenVINO int8", "openvino", "int8", "openvino-int8"),
]
#: Whose float32 scores the low precisions are compared with.
REFERENCE = "sentence-transformers fp32"


class ChercheRs:
    """Ours; it cuts its batches itself."""

    def __init__(self, side: Side, folder: Path, threads: int) -> None:
        import cherche_rs

        self._model = cherche_rs.CrossEncoder(
            folder / side.form, max_length=texts.MAX_LENGTH, dtype=side.dtype
        )
        if self._model.dtype != side.dtype:
            raise Refused(f"{self._model.dtype} is used in place of {side.dtype} on this processor")

    @staticmethod
    def settings(batch_sizes: list[int], threads: int) -> list[Settings]:
        """Return what to try."""
        return [{}]

    def score(self, pairs: list[Pair], settings: Settings) -> np.ndarray:
        """Return the logits."""
        return self._model.predict(pairs)


class SentenceTransformers:
    """The reference library on torch."""

    def __init__(self, side: Side, folder: Path, threads: int) -> None:
        import torch
        from sentence_transformers import CrossEncoder

        torch.set_num_threads(threads)
        self._model = CrossEncoder(
            str(folder / side.form),
            device="cpu",
            max_length=texts.MAX_LENGTH,
            model_kwargs={"dtype": "float32"},
        )

    @staticmethod
    def settings(batch_sizes: list[int], threads: int) -> list[Settings]:
        """Return what to try."""
        return [{"batch": size} for size in batch_sizes]

    def score(self, pairs: list[Pair], settings: Settings) -> np.ndarray:
        """Return the logits."""
        return self._model.predict(pairs, batch_size=settings["batch"], show_progress_bar=False)


class Encoder:
    """Pairs to padded arrays, by the tokenizers package.

    Parameters
    ----------
    directory
        A model directory.
    inputs
        Names of the arrays wanted.
    """

    def __init__(self, directory: Path, inputs: list[str]) -> None:
        self.tokenizer = texts.tokenizer_of(directory)
        self._inputs = inputs
        pads = [self.tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>")]
        self._pad = next(pad for pad in pads if pad is not None)

    def encode(self, pairs: list[Pair]) -> list[Any]:
        """Return the encodings of pairs."""
        return self.tokenizer.encode_batch(pairs)

    def batch(self, encodings: list[Any]) -> dict[str, np.ndarray]:
        """Return the arrays of a batch, int64 of shape (pairs, longest)."""
        width = max(len(encoding.ids) for encoding in encodings)
        fields = {
            "input_ids": ("ids", self._pad),
            "attention_mask": ("attention_mask", 0),
            "token_type_ids": ("type_ids", 0),
        }
        arrays = {}
        for name in self._inputs:
            attribute, filler = fields[name]
            array = np.full((len(encodings), width), filler, np.int64)
            for row, encoding in zip(array, encodings, strict=True):
                row[: len(encoding.ids)] = getattr(encoding, attribute)
            arrays[name] = array
        return arrays


class _Batched:
    """Length-sorted batches on lanes that run side by side, the threads shared out among them."""

    def __init__(self, side: Side, folder: Path, threads: int) -> None:
        self._side, self._path = side, folder / side.form
        self._threads = threads
        self._lanes: dict[int, list[Any]] = {}
        self._pool = ThreadPoolExecutor(threads)
        self._encoder = Encoder(folder / "torch", self._input_names())

    @staticmethod
    def settings(batch_sizes: list[int], threads: int) -> list[Settings]:
        """Return what to try."""
        lanes = sorted({1, threads})
        return [{"batch": b, "lanes": n} for n, b in itertools.product(lanes, batch_sizes)]

    def score(self, pairs: list[Pair], settings: Settings) -> np.ndarray:
        """Return the logits."""
        encodings = self._encoder.encode(pairs)
        order = sorted(range(len(pairs)), key=lambda i: len(encodings[i].ids), reverse=True)
        # Few pairs: every lane gets its share.
        size = min(settings["batch"], -(-len(pairs) // settings["lanes"]))
        batches = iter([order[at : at + size] for at in range(0, len(order), size)])
        scores = np.empty(len(pairs), np.float32)

        def work(lane: Any, batches: Iterator[list[int]]) -> None:
            # Taking the next of a list iterator is atomic.
            for members in batches:
                arrays = self._encoder.batch([encodings[i] for i in members])
                scores[members] = self._run(lane, arrays)[:, 0]

        lanes = self._lanes_of(settings["lanes"])
        if len(lanes) == 1:
            work(lanes[0], batches)
        else:
            for done in [self._pool.submit(work, lane, batches) for lane in lanes]:
                done.result()
        return scores

    def _lanes_of(self, count: int) -> list[Any]:
        if count not in self._lanes:
            # One at a time: memory is measured too.
            self._lanes.clear()
            self._lanes[count] = self._open(count, max(self._threads // count, 1))
        return self._lanes[count]


class OnnxRuntime(_Batched):
    """ONNX Runtime on its CPU provider, all its graph optimisations on."""

    def _input_names(self) -> list[str]:
        import onnxruntime

        self._ort = onnxruntime
        (session,) = self._lanes_of(1)
        return [node.name for node in session.get_inputs()]

    def _open(self, lanes: int, threads: int) -> list[Any]:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = self._ort.InferenceSession(
            self._path / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        # A session may be run from several threads at once.
        return [session] * lanes

    @staticmethod
    def _run(session: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
        return session.run(None, arrays)[0]


class OpenVino(_Batched):
    """OpenVINO on its CPU plugin."""

    def _input_names(self) -> list[str]:
        import openvino

        self._core = openvino.Core()
        self._model = self._core.read_model(self._path / "model.xml")
        return [node.any_name for node in self._model.inputs]

    def _open(self, lanes: int, threads: int) -> list[Any]:
        hint = "bf16" if self._side.dtype == "bfloat16" else "f32"
        compiled = self._core.compile_model(
            self._model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads * lanes,
                "NUM_STREAMS": lanes,
                "INFERENCE_PRECISION_HINT": hint,
            },
        )
        used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if used != hint:
            raise Refused(f"OpenVINO uses {used} in place of {hint} on this processor")
        return [compiled.create_infer_request() for _ in range(lanes)]

    @staticmethod
    def _run(request: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
        return request.infer(arrays)[0]


ENGINES = {
    "cherche-rs": ChercheRs,
    "sentence-transformers": SentenceTransformers,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}


def load(side: Side, folder: Path, threads: int) -> Any:
    """Open the engine of a side.

    Raises
    ------
    Refused
        If the engine says that it cannot run this dtype here.
    """
    return ENGINES[side.engine](side, folder, threads)
