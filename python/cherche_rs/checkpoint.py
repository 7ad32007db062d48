"""Checkpoints that torch pickled (pytorch_model.bin), read by torch's own safe loader."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

#: Name to address, shape and dtype: how the engine is shown tensors in memory.
Described = dict[str, tuple[int, list[int], str]]


def pickled_tensors(directory: Path) -> dict[str, Any] | None:
    """Return the tensors of a model directory that only lie there in torch's pickle format.

    Parameters
    ----------
    directory
        What transformers or sentence-transformers saved.

    Returns
    -------
    dict or None
        Tensors by name, those of a module in its own folder behind the folder's name; None if
        there are no such files, or safetensors next to all of them.

    Raises
    ------
    ValueError
        If a file is damaged, or holds more than tensors: it is not executed.
    """
    tensors: dict[str, Any] = {}
    for folder in _folders(directory):
        prefix = "" if folder == directory else f"{folder.name}."
        for file in _files(folder):
            for name, tensor in _read(file).items():
                tensors[prefix + name] = tensor.contiguous()
    return tensors or None


def describe(tensors: dict[str, Any]) -> Described:
    """Return where contiguous tensors lie; they must outlive what reads them there."""
    return {
        name: (tensor.data_ptr(), list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


def _folders(directory: Path) -> list[Path]:
    try:
        modules = json.loads((directory / "modules.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [directory]
    return [directory, *(directory / m["path"] for m in modules if m.get("path"))]


def _files(folder: Path) -> list[Path]:
    if any((folder / f"model.safetensors{end}").is_file() for end in ("", ".index.json")):
        return []
    single, index = folder / "pytorch_model.bin", folder / "pytorch_model.bin.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / shard for shard in sorted(set(shards))]
    return []


def _read(file: Path) -> dict[str, Any]:
    import torch

    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file, though the index next to it names it")
    try:
        try:
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files from before torch 1.6 cannot be mapped.
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{file}: torch's safe loader refuses it ({reason}); save the model again in the "
            "safetensors format"
        ) from error
