"""Runs a model that sentence-transformers holds in memory, without importing that package."""

from __future__ import annotations

import json
from typing import Any

from . import _core, _libtorch
from .checkpoint import describe


def engine_of(model: Any) -> tuple[_core.CrossEncoder, str, str]:
    """Return an engine over a ``sentence_transformers.CrossEncoder``, its device and its dtype.

    The engine reads the model's own tensors; half-precision weights are computed in float32.

    Raises
    ------
    ValueError
        If the model has parts the engine does not know.
    """
    modules = list(model.children())
    if len(modules) != 1 or not hasattr(model, "tokenizer"):
        raise ValueError(
            f"it has {len(modules)} modules, and only a transformer alone is read from memory"
        )
    transformer = getattr(model, "model", None)
    config = getattr(transformer, "config", None)
    if transformer is None or config is None:
        raise ValueError("it holds no transformers model (another backend?)")
    name = type(transformer).__name__
    if not name.endswith("ForSequenceClassification"):
        raise ValueError(f"{name} is not a sequence classification model")
    changed = changed_part(transformer)
    if changed is not None:
        raise ValueError(f"its forward pass was changed: {changed}")
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError("its tokenizer is not one of the Rust library tokenizers")

    device = str(model.device)
    if device.partition(":")[0] == "cuda":
        _libtorch.load_cuda()
    # Detached and contiguous: the engine is handed addresses.
    tensors = {
        key: tensor.detach().contiguous() for key, tensor in transformer.state_dict().items()
    }
    tokenizer_config = {
        # The tokenizer is already built: nothing of its class is to be rebuilt.
        "tokenizer_class": None,
        "model_max_length": float(min(model.tokenizer.model_max_length, 1e18)),
        "truncation_side": model.tokenizer.truncation_side,
    }
    engine = _core.CrossEncoder.from_memory(
        json.dumps({**config.to_dict(), "model_type": config.model_type}, default=str),
        backend.to_str(),
        json.dumps(tokenizer_config),
        describe(tensors),
        (tensors, model),
        f"the {name} in memory",
        device,
        "float32",
    )
    return engine, device, "float32"


def changed_part(transformer: Any) -> str | None:
    """Return what makes a model compute something else than its configuration says, if anything.

    The engine reads the weights only: it would not see a hook, or a layer of another kind.
    """
    for name, module in transformer.named_modules():
        place = f"in {name or 'the model'}"
        if type(module).__module__.partition(".")[0] not in ("torch", "transformers"):
            return f"there is a {type(module).__name__} {place}"
        if module._forward_hooks or module._forward_pre_hooks:
            return f"there is a forward hook {place}"
        if "forward" in vars(module):
            return f"there is another forward {place}"
    return None
