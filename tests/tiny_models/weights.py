"""Random weights under which a wrong forward pass shows.

The default initialisation (standard deviation 0.02) gives nearly constant logits and proves
nothing. Here every sub-layer matters: unit-variance linears, sharpened attention, layer norms away
from the identity, and a head scaled until the logits of ordinary pairs spread by `TARGET_STD`.
"""

from __future__ import annotations

import math
import re

import texts
import torch
from torch import nn

TARGET_STD = 2.5
_CALIBRATION_PAIRS = 96
#: Parts of the names of projections whose product is an attention score.
_QUERY_KEY = (
    "query",
    "key",
    "q_proj",
    "k_proj",
    "q_lin",
    "k_lin",
    "attn.q",
    "attn.k",
    "Wqkv",
    "in_proj",
)
_SHARPEN = 1.75
#: Endings of the names of the projections before and after an activation function.
_BEFORE_ACTIVATION = ("intermediate.dense", "lin1", "ffn", "mlp.Wi")
_AFTER_ACTIVATION = ("[0-9].output.dense", "lin2", "ffn_output", "mlp.Wo")


def randomise(model: nn.Module, seed: int, embedding_std: float = 1.0) -> None:
    """Draw every parameter of `model` anew."""
    draw = torch.Generator().manual_seed(seed)

    def normal(tensor, std):
        return torch.empty_like(tensor).normal_(0.0, std, generator=draw)

    def uniform(tensor, centre):
        return torch.empty_like(tensor).uniform_(centre - 0.2, centre + 0.2, generator=draw)

    with torch.no_grad():
        for name, module in model.named_modules():
            for key, parameter in module.named_parameters(recurse=False):
                path = f"{name}.{key}"
                if "Norm" in type(module).__name__:
                    # Gemma multiplies by (1 + weight): its identity is zero.
                    identity = 0.0 if "Gemma" in type(module).__name__ else 1.0
                    drawn = uniform(parameter, identity if key == "weight" else 0.0)
                elif isinstance(module, nn.Embedding):
                    drawn = normal(parameter, embedding_std)
                elif parameter.ndim == 1:
                    drawn = normal(parameter, 0.1)
                else:
                    fan_in = math.prod(parameter.shape[1:])
                    drawn = normal(parameter, 1 / math.sqrt(fan_in))
                    if any(part in path for part in _QUERY_KEY):
                        drawn *= _SHARPEN
                parameter.copy_(drawn)


def lean_on_the_tail(model: nn.Module) -> None:
    """Move the inputs of GELU to where its approximations differ by a few percent."""
    seen = set()
    with torch.no_grad():
        for name, module in model.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            if any(re.search(part + "$", name) for part in _BEFORE_ACTIVATION):
                module.weight *= 0.5
                module.bias -= 1.7
                seen.add("before")
            elif any(re.search(part + "$", name) for part in _AFTER_ACTIVATION):
                module.weight *= 7
                seen.add("after")
    assert seen == {"before", "after"}, seen


def calibrate(cross_encoder, head: nn.Linear, rows: tuple[int, int] | None = None) -> None:
    """Turn and scale `head` until the logits of ordinary pairs centre on 0 with `TARGET_STD`.

    Parameters
    ----------
    cross_encoder
        The reference's CrossEncoder around the model.
    head
        The last linear layer.
    rows
        For a language-model head: the rows (yes, no) whose difference is the score.
        None: every row is a label.
    """
    features = _head_inputs(cross_encoder, head)
    mean = features.mean(0)
    with torch.no_grad():
        weight = head.weight if rows is None else head.weight[rows[0]] - head.weight[rows[1]]
        weight = weight - (weight @ mean / (mean @ mean))[..., None] * mean
        spread = (features @ weight.reshape(-1, features.shape[1]).T).std(0)
        weight = weight * (TARGET_STD / spread).reshape(weight.shape[:-1])[..., None]
        if rows is None:
            head.weight.copy_(weight)
        else:
            # Half on each side, so that neither embedding (they may be tied) grows large.
            middle = (head.weight[rows[0]] + head.weight[rows[1]]) / 2
            head.weight[rows[0]] = middle + weight / 2
            head.weight[rows[1]] = middle - weight / 2


def _head_inputs(cross_encoder, head: nn.Linear) -> torch.Tensor:
    """What `head` reads for each pair: a pooled vector, or a language model's last token."""
    seen = []
    hook = head.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0][:, -1] if inputs[0].ndim == 3 else inputs[0])
    )
    # One by one where the last token would otherwise be padding.
    decoder = getattr(cross_encoder.model.config, "num_key_value_heads", None) is not None
    batch_size = 1 if decoder else _CALIBRATION_PAIRS
    pairs = texts.random_pairs(_CALIBRATION_PAIRS, seed=11)
    cross_encoder.predict(pairs, batch_size=batch_size, show_progress_bar=False)
    hook.remove()
    return torch.cat(seen)
