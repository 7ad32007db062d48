"""Directories no model can be loaded from, each wrong in one way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from .forms import edit_json, read_tensors, write_tensors


def _drop(*patterns: str) -> Callable[[Path], None]:
    def drop(folder: Path) -> None:
        for pattern in patterns:
            for file in folder.glob(pattern):
                file.unlink()

    return drop


def _tensors(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        tensors = read_tensors(folder)
        change(tensors)
        write_tensors(folder, tensors)

    return rewrite


def _config(**changes) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", lambda config: config.update(changes))


def _truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _bad_header(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[8:40] = b"\xff" * 32
    file.write_bytes(content)


def _huge_header(folder: Path) -> None:
    """A header length that a careless reader would try to allocate."""
    file = folder / "model.safetensors"
    file.write_bytes((2**62).to_bytes(8, "little") + file.read_bytes()[8:])


def _wrong_shape(tensors: dict) -> None:
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    tensors[name] = tensors[name][:-1]


def _not_a_number(tensors: dict) -> None:
    tensors["bert.encoder.layer.1.attention.self.value.weight"][3, 5] = float("nan")


def _unexpected(tensors: dict) -> None:
    tensors["bert.encoder.layer.1.adapter.weight"] = torch.zeros(4, 4)


def _bad_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": ')


def _bad_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", ')


def _missing_shard(folder: Path) -> None:
    from .forms import sharded

    sharded(folder)
    next(iter(sorted(folder.glob("model-*.safetensors")))).unlink()


#: name -> (how to break a copy of bert-base, exception, parts of its message)
BROKEN: dict[str, tuple[Callable[[Path], None], type[Exception], tuple[str, ...]]] = {
    "no-config": (_drop("config.json"), FileNotFoundError, ("config.json",)),
    "no-weights": (_drop("*.safetensors"), FileNotFoundError, ("model.safetensors",)),
    "no-tokenizer": (_drop("tokenizer.json", "vocab.txt"), FileNotFoundError, ("tokenizer",)),
    "truncated": (_truncated, ValueError, ("model.safetensors",)),
    "empty": (_empty, ValueError, ("model.safetensors",)),
    "bad-header": (_bad_header, ValueError, ("model.safetensors",)),
    "huge-header": (_huge_header, ValueError, ("model.safetensors",)),
    "missing-shard": (_missing_shard, FileNotFoundError, ("model-00001-of-00003.safetensors",)),
    "missing-tensor": (
        _tensors(lambda t: t.pop("bert.encoder.layer.1.output.dense.bias")),
        ValueError,
        ("bert.encoder.layer.1.output.dense.bias",),
    ),
    "missing-head": (
        _tensors(lambda t: (t.pop("classifier.weight"), t.pop("classifier.bias"))),
        ValueError,
        ("classifier",),
    ),
    "wrong-shape": (
        _tensors(_wrong_shape),
        ValueError,
        ("bert.encoder.layer.1.intermediate.dense.weight", "127", "128"),
    ),
    "unexpected-tensor": (
        _tensors(_unexpected),
        ValueError,
        ("bert.encoder.layer.1.adapter.weight",),
    ),
    "nan-weights": (
        _tensors(_not_a_number),
        ValueError,
        ("bert.encoder.layer.1.attention.self.value.weight", "NaN"),
    ),
    "unknown-architecture": (
        _config(model_type="longformer", architectures=["LongformerForSequenceClassification"]),
        ValueError,
        ("longformer", "bert", "roberta", "xlm-roberta"),
    ),
    "bad-tokenizer": (_bad_tokenizer, ValueError, ("tokenizer.json",)),
    "bad-config": (_bad_config, ValueError, ("config.json",)),
    "unknown-activation": (_config(hidden_act="swoosh"), ValueError, ("swoosh",)),
    "indivisible-heads": (_config(num_attention_heads=5), ValueError, ("64", "5")),
}


def make(name: str, source: Path, folder: Path) -> Path:
    """Copy `source` (bert-base) to `folder` and break it in the way called `name`."""
    shutil.copytree(source, folder)
    BROKEN[name][0](folder)
    return folder
