"""The ways a checkpoint lies on disk, each a rewriting of one safetensors file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]


def read_tensors(folder: Path) -> Tensors:
    return load_file(folder / "model.safetensors")


def write_tensors(folder: Path, tensors: Tensors) -> None:
    save_file(
        {k: v.contiguous() for k, v in tensors.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def edit_json(path: Path, edit: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text("utf-8"))
    edit(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")


def _shards(tensors: Tensors, count: int = 3) -> list[Tensors]:
    names = sorted(tensors)
    return [{name: tensors[name] for name in names[i::count]} for i in range(count)]


def _sharded(folder: Path, pattern: str, index_name: str, write: Callable) -> None:
    tensors = read_tensors(folder)
    (folder / "model.safetensors").unlink()
    weight_map = {}
    parts = _shards(tensors)
    for number, part in enumerate(parts, 1):
        file = pattern.format(number, len(parts))
        write(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / index_name).write_text(json.dumps(index, indent=2))


def sharded(folder: Path) -> None:
    _sharded(
        folder,
        "model-{:05d}-of-{:05d}.safetensors",
        "model.safetensors.index.json",
        lambda part, path: save_file(part, path, {"format": "pt"}),
    )


def bin_(folder: Path) -> None:
    torch.save(read_tensors(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def bin_sharded(folder: Path) -> None:
    _sharded(
        folder, "pytorch_model-{:05d}-of-{:05d}.bin", "pytorch_model.bin.index.json", torch.save
    )


def _cast(dtype: torch.dtype) -> Callable[[Path], None]:
    def cast(folder: Path) -> None:
        write_tensors(folder, {k: v.to(dtype) for k, v in read_tensors(folder).items()})
        name = str(dtype).removeprefix("torch.")
        edit_json(folder / "config.json", lambda c: c.update(dtype=name))

    return cast


def gamma_beta(folder: Path) -> None:
    """Layer norms named as the first TensorFlow checkpoints named them."""

    def old(name: str) -> str:
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )

    write_tensors(folder, {old(k): v for k, v in read_tensors(folder).items()})


def position_ids(folder: Path) -> None:
    """A buffer older transformers releases stored next to the weights."""
    tensors = read_tensors(folder)
    name = next(k for k in tensors if k.endswith("position_embeddings.weight"))
    count = tensors[name].shape[0]
    buffer = name.replace("position_embeddings.weight", "position_ids")
    write_tensors(folder, {**tensors, buffer: torch.arange(count)[None]})


def old_config(folder: Path) -> None:
    """config.json in the words of transformers 4 and sentence-transformers 2."""

    def edit(config: dict) -> None:
        config["torch_dtype"] = config.pop("dtype", "float32")
        config["transformers_version"] = "4.8.2"
        config["_name_or_path"] = "/somewhere/else"
        config["position_embedding_type"] = "absolute"
        config["gradient_checkpointing"] = False
        config["sbert_ce_default_activation_function"] = "torch.nn.modules.linear.Identity"

    edit_json(folder / "config.json", edit)


def no_dtype(folder: Path) -> None:
    edit_json(folder / "config.json", lambda c: c.pop("dtype", None))


def st_saved(folder: Path) -> None:
    """As sentence-transformers saves it: modules.json and its own config next to the model."""
    from sentence_transformers import CrossEncoder

    saved = folder.with_name(folder.name + ".st")
    CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity()).save_pretrained(
        str(saved)
    )
    shutil.rmtree(folder)
    saved.rename(folder)


def modernbert_old_rope(folder: Path) -> None:
    """ModernBERT's config.json as transformers 4 wrote it: two thetas, no list of layers."""

    def edit(config: dict) -> None:
        rope = config.pop("rope_parameters")
        config.pop("layer_types")
        config["global_rope_theta"] = rope["full_attention"]["rope_theta"]
        config["local_rope_theta"] = rope["sliding_attention"]["rope_theta"]
        config["global_attn_every_n_layers"] = 3

    edit_json(folder / "config.json", edit)


FORMS: dict[str, Callable[[Path], None]] = {
    "safetensors": lambda folder: None,
    "sharded": sharded,
    "bin": bin_,
    "bin-sharded": bin_sharded,
    "fp16": _cast(torch.float16),
    "bf16": _cast(torch.bfloat16),
    "gamma-beta": gamma_beta,
    "position-ids": position_ids,
    "old-config": old_config,
    "no-dtype": no_dtype,
    "st-saved": st_saved,
    "modernbert-old-rope": modernbert_old_rope,
}
