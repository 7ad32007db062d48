"""What is applied to logits, without torch where torch is not needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Activation = Callable[[np.ndarray], np.ndarray]


class Sigmoid:
    """1 / (1 + exp(-x)), without overflow."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the element-wise sigmoid."""
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype, copy=False)

    def __repr__(self) -> str:
        return "Sigmoid()"


class Identity:
    """Logits as they are."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the argument."""
        return x

    def __repr__(self) -> str:
        return "Identity()"


class Torch:
    """A torch function or module, called with a tensor."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return what the function gives, as an array."""
        import torch

        with torch.inference_mode():
            result = self.function(torch.from_numpy(x))
        return np.asarray(result.float().cpu().numpy() if hasattr(result, "cpu") else result)

    def __repr__(self) -> str:
        return repr(self.function)


def wrap(function: Any) -> Activation:
    """Return an activation over arrays for one of ours, or any function of a tensor."""
    if isinstance(function, (Sigmoid, Identity, Torch)):
        return function
    if not callable(function):
        raise TypeError(f"activation_fn must be callable, got {type(function).__name__}")
    cls = type(function)
    if cls.__module__.startswith("torch.nn.modules."):
        if cls.__name__ == "Sigmoid":
            return Sigmoid()
        if cls.__name__ == "Identity":
            return Identity()
    return Torch(function)


def by_path(path: str) -> Activation:
    """Return the activation a configuration names by a dotted path such as ``torch.nn.Sigmoid``.

    Raises
    ------
    ValueError
        If the path is not one of torch's: other code is never imported on behalf of a file.
    """
    module, _, name = path.rpartition(".")
    if module.partition(".")[0] != "torch":
        raise ValueError(
            f"the model's configuration names the activation {path!r}, which is not one of "
            "torch's; pass activation_fn yourself"
        )
    if name == "Sigmoid":
        return Sigmoid()
    if name == "Identity":
        return Identity()
    import importlib

    return Torch(getattr(importlib.import_module(module), name)())


def of_directory(directory: Path, num_labels: int, saved: dict[str, Any]) -> Activation:
    """Return the default activation of a saved model.

    In the order of sentence-transformers: what it saved next to modules.json (`saved`), then
    ``config.json`` in its new and its old form, then Sigmoid for one label and Identity for
    several.
    """
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    nested = config.get("sentence_transformers")
    path = (
        saved.get("activation_fn")
        or (nested.get("activation_fn") if isinstance(nested, dict) else None)
        or config.get("sbert_ce_default_activation_function")
    )
    if path:
        return by_path(path)
    return Sigmoid() if num_labels == 1 else Identity()
