"""Opening an engine: from a directory, or on the memory of another model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import _core, _libtorch
from ..checkpoint import describe, pickled_tensors
from ..encoders import DEFAULT_MODEL
from ..in_memory import engine_of
from .arguments import device_name


class FromDirectory:
    """Opens a directory's model, on the device asked for."""

    def __init__(self, directory: Path, dtype: str, tokenizer: dict[str, Any]) -> None:
        self.directory = directory
        self.dtype = dtype
        self.tokenizer = tokenizer

    def __call__(self, device: Any) -> tuple[_core.CrossEncoder, str]:
        """Return an engine on a device, and the device's name."""
        name = device_name(device)
        if name.partition(":")[0] == "cuda":
            _libtorch.load_cuda()
        overrides = json.dumps(self.tokenizer) if self.tokenizer else None
        tensors = pickled_tensors(self.directory)
        engine = _core.CrossEncoder(
            self.directory,
            name,
            self.dtype,
            tokenizer_overrides=overrides,
            tensors=None if tensors is None else describe(tensors),
            owner=tensors,
        )
        return engine, name


class InMemory:
    """Opens the model that sentence-transformers holds in memory, on its own device."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, device: Any) -> tuple[_core.CrossEncoder, str]:
        """Return an engine on the model's own device, and the device's name."""
        engine, name, _ = engine_of(self.model)
        if device is not None and canonical(device_name(device)) != canonical(name):
            raise ValueError(
                f"device={device!r}: the model lives in the memory of {name}; move the "
                "sentence_transformers.CrossEncoder there, and make this one anew"
            )
        return engine, name


def canonical(device: str) -> str:
    """Return one name for the names of a device: "cuda" is "cuda:0"."""
    kind, _, number = device.partition(":")
    return kind if kind == "cpu" else f"{kind}:{number or 0}"


def default_model() -> Path:
    """Return the directory of the embedded model.

    Raises
    ------
    ValueError
        If this build has none.
    """
    if not DEFAULT_MODEL.is_dir():
        raise ValueError(
            "this build of cherche_rs embeds no default model: give the name of a model or a "
            "directory"
        )
    return DEFAULT_MODEL
