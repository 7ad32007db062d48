"""Deliberate mistakes, each one an implementation could make, made here on the reference.

A parity test is worth what it can see. Every mistake below must move some logit by at least a
hundred times the tolerance; were one to move less, the models would have to be made more telling.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tiny_models import forms

from . import reference


@dataclass(frozen=True)
class Mutation:
    """A mistake in the model `model`: in its configuration, its tensors, or the running code."""

    model: str
    mistake: str
    config: dict | None = None
    tensors: Callable[[forms.Tensors], forms.Tensors] | None = None
    code: Callable | None = None

    def load(self, zoo, work: Path):
        """The reference with the mistake in it."""
        folder = work / self.model
        shutil.copytree(zoo.path(self.model), folder)
        if self.config:
            forms.edit_json(folder / "config.json", lambda c: c.update(self.config))
        if self.tensors:
            forms.write_tensors(folder, self.tensors(forms.read_tensors(folder)))
        cross_encoder = reference.load(folder)
        if self.code:
            self.code(cross_encoder)
        return cross_encoder


def _edit(part: str, change: Callable[[torch.Tensor], torch.Tensor]):
    """Change every tensor whose name contains `part`."""

    def edit(tensors: forms.Tensors) -> forms.Tensors:
        assert any(part in name for name in tensors), part
        return {name: change(t) if part in name else t for name, t in tensors.items()}

    return edit


def _roll(tensor):
    return tensor.roll(1, 0)


def _swap_halves(tensor):
    return torch.cat(tensor.chunk(2)[::-1])


def _swap(first: str, second: str):
    """Exchange the tensors of two sub-modules."""

    def edit(tensors: forms.Tensors) -> forms.Tensors:
        def renamed(name):
            if first in name:
                return name.replace(first, second)
            return name.replace(second, first)

        return {renamed(name): t for name, t in tensors.items()}

    return edit


def _features(change: Callable[[dict], None]):
    """Change what the tokenizer hands to the model."""

    def code(cross_encoder) -> None:
        preprocess = cross_encoder.preprocess

        def wrong(*args, **kwargs):
            features = preprocess(*args, **kwargs)
            change(features)
            return features

        cross_encoder.preprocess = wrong

    return code


def _zero_types(features):
    features["token_type_ids"] = torch.zeros_like(features["token_type_ids"])


def _mask_of_ones(features):
    features["attention_mask"] = torch.ones_like(features["attention_mask"])


def _positions(offset: int):
    def change(features):
        length = features["input_ids"].shape[1]
        features["position_ids"] = torch.arange(offset, length + offset)[None]

    return _features(change)


def _module(path: str, replace: Callable):
    """Replace a sub-module, or every one of that name."""

    def code(cross_encoder) -> None:
        found = [n for n, _ in cross_encoder.model.named_modules() if n.endswith(path)]
        assert found, path
        for name in found:
            parent = cross_encoder.model.get_submodule(name.rpartition(".")[0])
            leaf = name.rpartition(".")[2]
            setattr(parent, leaf, replace(getattr(parent, leaf)))

    return code


def _one_token_less(cross_encoder) -> None:
    cross_encoder.max_seq_length -= 1


def _scale_attention(factor: float, *projections: str):
    """What a wrong divisor of the attention scores amounts to."""

    def edit(tensors: forms.Tensors) -> forms.Tensors:
        assert any(p in name for p in projections for name in tensors)
        return {
            name: t * factor if any(p in name for p in projections) else t
            for name, t in tensors.items()
        }

    return edit


_TANH_GELU = {"hidden_act": "gelu_new"}

MUTATIONS = [
    Mutation("bert-base", "token types dropped", code=_features(_zero_types)),
    Mutation("bert-base", "positions off by one", tensors=_edit("position_embeddings", _roll)),
    Mutation("bert-base", "mask dropped", code=_features(_mask_of_ones)),
    Mutation("bert-base", "relu for gelu", config={"hidden_act": "relu"}),
    Mutation("bert-gelu-tail", "gelu by tanh", config=_TANH_GELU),
    Mutation("bert-gelu-new", "gelu by erf", config={"hidden_act": "gelu"}),
    Mutation(
        "bert-base",
        "no pooler tanh",
        code=_module("pooler.activation", lambda _: torch.nn.Identity()),
    ),
    Mutation(
        "bert-base",
        "scores over sqrt(d - 1)",
        tensors=_scale_attention((32 / 31) ** 0.5, ".query."),
    ),
    Mutation("bert-base", "head of another size", config={"num_attention_heads": 4}),
    Mutation("bert-base", "query and key swapped", tensors=_swap("self.query", "self.key")),
    Mutation("bert-base", "last layer dropped", config={"num_hidden_layers": 2}),
    Mutation("bert-epsilon", "epsilon 1e-5 for 1e-12", config={"layer_norm_eps": 1e-5}),
    Mutation("bert-base", "truncated one token early", code=_one_token_less),
    Mutation("roberta-base", "positions start at 0", code=_positions(0)),
    Mutation("roberta-base", "positions start at 1", code=_positions(1)),
    Mutation(
        "roberta-base", "type row dropped", tensors=_edit("token_type_embeddings", torch.zeros_like)
    ),
    Mutation("roberta-gelu-tail", "gelu by tanh", config=_TANH_GELU),
    Mutation("xlmr-epsilon", "epsilon 1e-12 for 1e-5", config={"layer_norm_eps": 1e-12}),
    Mutation("xlmr-base", "positions start at 1", code=_positions(1)),
    Mutation("distilbert-gelu-tail", "gelu by tanh", config={"activation": "gelu_new"}),
    Mutation(
        "distilbert-base",
        "no pre-classifier bias",
        tensors=_edit("pre_classifier.bias", torch.zeros_like),
    ),
    Mutation(
        "electra-projected",
        "projection bias dropped",
        tensors=_edit("embeddings_project.bias", torch.zeros_like),
    ),
    Mutation(
        "electra-base",
        "tanh head",
        code=_module("classifier.activation", lambda _: torch.nn.Tanh()),
    ),
    Mutation(
        "mpnet-base",
        "relative bias dropped",
        tensors=_edit("relative_attention_bias", torch.zeros_like),
    ),
    Mutation("mpnet-base", "buckets off by one", tensors=_edit("relative_attention_bias", _roll)),
    Mutation(
        "mpnet-base",
        "buckets of the two sides swapped",
        tensors=_edit("relative_attention_bias", _swap_halves),
    ),
    Mutation("mpnet-base", "positions start at 1", code=_positions(1)),
    Mutation("albert-gelu-tail", "gelu by erf", config={"hidden_act": "gelu"}),
    Mutation("albert-groups", "groups swapped", tensors=_swap("layer_groups.0", "layer_groups.1")),
    Mutation(
        "albert-groups", "inner layers swapped", tensors=_swap("albert_layers.0", "albert_layers.1")
    ),
    Mutation("deberta-base", "no position-to-content", config={"pos_att_type": ["c2p"]}),
    Mutation("deberta-base", "distance off by one", tensors=_edit("rel_embeddings", _roll)),
    Mutation("deberta-base", "query bias dropped", tensors=_edit("q_bias", torch.zeros_like)),
    Mutation(
        "deberta-absolute",
        "positions dropped",
        tensors=_edit("position_embeddings", torch.zeros_like),
    ),
    Mutation("deberta-v3-base", "no content-to-position", config={"pos_att_type": ["p2c"]}),
    Mutation("deberta-v3-base", "no position-to-content", config={"pos_att_type": ["c2p"]}),
    Mutation("deberta-v3-base", "distance off by one", tensors=_edit("rel_embeddings", _roll)),
    Mutation(
        "deberta-v3-base", "distance negated", tensors=_edit("rel_embeddings", lambda t: t.flip(0))
    ),
    Mutation("deberta-v3-gelu-tail", "gelu by tanh", config=_TANH_GELU),
    Mutation("deberta-v3-base", "positions not normed", config={"norm_rel_ebd": "none"}),
    Mutation("deberta-v3-base", "other bucket range", config={"max_relative_positions": 512}),
    Mutation("deberta-v3-epsilon", "epsilon 1e-12 for 1e-7", config={"layer_norm_eps": 1e-12}),
    Mutation(
        "deberta-v2-conv", "conv bias dropped", tensors=_edit("conv.conv.bias", torch.zeros_like)
    ),
    Mutation(
        "deberta-v2-conv",
        "conv kernel reversed",
        tensors=_edit("conv.conv.weight", lambda t: t.flip(2)),
    ),
    Mutation("modernbert-cls", "window dropped", config={"local_attention": 1024}),
    Mutation("modernbert-cls", "window two wider", config={"local_attention": 18}),
    Mutation("modernbert-cls", "mean for cls", config={"classifier_pooling": "mean"}),
    Mutation("modernbert-mean", "cls for mean", config={"classifier_pooling": "cls"}),
    Mutation("modernbert-cls", "gate and input swapped", tensors=_edit("mlp.Wi", _swap_halves)),
    Mutation(
        "modernbert-old-rope",
        "thetas swapped",
        config={"global_rope_theta": 10000.0, "local_rope_theta": 160000.0},
    ),
    Mutation("modernbert-gelu-tail", "gelu by tanh", config={"hidden_activation": "gelu_new"}),
    Mutation("modernbert-epsilon", "epsilon 1e-12 for 1e-5", config={"norm_eps": 1e-12}),
    Mutation("qwen3-seq-cls", "query norm dropped", tensors=_edit("q_norm", torch.ones_like)),
    Mutation(
        "qwen3-seq-cls", "positions off by one per token", tensors=_scale_attention(1.02, "k_norm")
    ),
    Mutation("qwen2-seq-cls", "query bias dropped", tensors=_edit("q_proj.bias", torch.zeros_like)),
    Mutation("llama-seq-cls", "rotation swapped", tensors=_edit("q_proj.weight", _swap_halves)),
    Mutation(
        "gemma-seq-cls", "norms without the one", tensors=_edit("norm.weight", lambda t: t - 1)
    ),
]
