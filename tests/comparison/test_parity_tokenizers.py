"""Tokenizer files as they are found on the hub: the ids and the limit transformers 5 makes of them.

transformers 5 does not take tokenizer.json at its word: where the class has a constructor of its
own it keeps the vocabulary and rebuilds the rest from tokenizer_config.json and its defaults.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import texts
import torch
from comparison import reference as oracle
from tiny_models.forms import edit_json, read_tensors, write_tensors

import cherche_rs


def _tokenizer_json(**changes):
    def edit(folder: Path) -> None:
        edit_json(folder / "tokenizer.json", lambda content: content.update(changes))

    return edit


def _normalizer(**changes):
    def edit(folder: Path) -> None:
        edit_json(folder / "tokenizer.json", lambda c: c["normalizer"].update(changes))

    return edit


def _config(*dropped: str, **changes):
    def edit(folder: Path) -> None:
        def update(content: dict) -> None:
            for key in dropped:
                content.pop(key, None)
            content.update(changes)

        edit_json(folder / "tokenizer_config.json", update)

    return edit


def _only(**content):
    """Nothing in tokenizer_config.json but this."""

    def edit(folder: Path) -> None:
        (folder / "tokenizer_config.json").write_text(json.dumps(content))

    return edit


def _no_config(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()


def _special_tokens_map(folder: Path) -> None:
    """What transformers 4 wrote next to a bare tokenizer_config.json."""
    names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    tokens = {name: config[name] for name in names}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    _only(model_max_length=96, tokenizer_class="BertTokenizer", do_lower_case=True)(folder)


def _metaspace_alone(content: dict) -> None:
    """Pre-tokenizer and normalizer as transformers 4 converted a sentencepiece model."""
    content["pre_tokenizer"] = {
        "type": "Metaspace",
        "replacement": "\u2581",
        "prepend_scheme": "always",
        "split": True,
    }
    charsmap = _charsmap()
    content["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Strip", "strip_left": True, "strip_right": True},
            {"type": "Precompiled", "precompiled_charsmap": charsmap},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    }


def _charsmap() -> str:
    from base64 import b64encode

    from sentencepiece import sentencepiece_model_pb2
    from tiny_models.tokenizers import _sentencepiece

    model = sentencepiece_model_pb2.ModelProto.FromString(_sentencepiece(False, (), ()))
    return b64encode(model.normalizer_spec.precompiled_charsmap).decode()


def _converted(folder: Path) -> None:
    edit_json(folder / "tokenizer.json", _metaspace_alone)


def _one_separator(folder: Path) -> None:
    """DeBERTa's pair template as transformers 4 saved it."""

    def edit(content: dict) -> None:
        ids = {entry["content"]: entry["id"] for entry in content["added_tokens"]}

        def special(token: str, type_id: int) -> dict:
            return {"SpecialToken": {"id": token, "type_id": type_id}}

        def text(name: str, type_id: int) -> dict:
            return {"Sequence": {"id": name, "type_id": type_id}}

        content["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)],
            "pair": [
                special("[CLS]", 0),
                text("A", 0),
                special("[SEP]", 0),
                text("B", 1),
                special("[SEP]", 1),
            ],
            "special_tokens": {
                token: {"id": token, "ids": [ids[token]], "tokens": [token]}
                for token in ("[CLS]", "[SEP]")
            },
        }

    edit_json(folder / "tokenizer.json", edit)


def _prefix_space(folder: Path) -> None:
    def edit(content: dict) -> None:
        content["pre_tokenizer"]["add_prefix_space"] = True
        content["post_processor"]["add_prefix_space"] = True

    edit_json(folder / "tokenizer.json", edit)


def _grow(folder: Path) -> None:
    """One row more in the embedding, for a token that is added."""
    tensors = read_tensors(folder)
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = torch.cat([tensors[name], tensors[name][:1]])
    write_tensors(folder, tensors)


def _added_token(folder: Path, **flags) -> None:
    def add(content: dict) -> None:
        entry = {
            "id": 900,
            "content": "museum keeps",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": False,
            **flags,
        }
        content["added_tokens"].append(entry)

    edit_json(folder / "tokenizer.json", add)
    edit_json(folder / "config.json", lambda c: c.update(vocab_size=901))


_LIMITED = {"max_length": 12, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
_PADDED = {
    "strategy": {"Fixed": 96},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 0,
    "pad_type_id": 0,
    "pad_token": "[PAD]",
}

#: name -> (model, what to do to a copy of it)
VARIANTS = {
    "the file keeps case, the config does not say": (
        "bert-base",
        [_normalizer(lowercase=False), _config("do_lower_case")],
    ),
    "the file keeps case, the config lowers it": (
        "bert-base",
        [_normalizer(lowercase=False), _config(do_lower_case=True)],
    ),
    "the file lowers case, the config keeps it": ("bert-base", [_config(do_lower_case=False)]),
    "the config strips accents but keeps case": (
        "bert-base",
        [_config(do_lower_case=False, strip_accents=True)],
    ),
    "the file does not clean text": ("bert-base", [_normalizer(clean_text=False)]),
    "the file strips accents, the config does not say": (
        "bert-keep-accents",
        [_normalizer(strip_accents=True), _config("strip_accents")],
    ),
    "verbatim class, case kept": (
        "bert-verbatim-tokenizer",
        [_normalizer(lowercase=False)],
    ),
    "verbatim class, other template": (
        "bert-verbatim-tokenizer",
        [
            _tokenizer_json(
                post_processor={
                    "type": "BertProcessing",
                    "sep": ["[SEP]", 3],
                    "cls": ["[CLS]", 2],
                }
            )
        ],
    ),
    "truncation and padding left in the file": (
        "bert-base",
        [_tokenizer_json(truncation=_LIMITED, padding=_PADDED)],
    ),
    "class named Fast": ("bert-base", [_config(tokenizer_class="BertTokenizerFast")]),
    "no class named": ("bert-base", [_config("tokenizer_class")]),
    "config with nothing in it": ("bert-base", [_only()]),
    "no config": ("bert-base", [_no_config]),
    "config of transformers 4": ("bert-base", [_special_tokens_map]),
    "limit of 1e30": ("bert-base", [_config(model_max_length=int(1e30))]),
    "limit as a float": ("bert-base", [_config(model_max_length=1e30)]),
    "no limit": ("bert-base", [_config("model_max_length")]),
    "limit over the positions": ("bert-base", [_config(model_max_length=4096)]),
    "small limit": ("bert-base", [_config(model_max_length=20)]),
    "an added token": ("bert-no-dtype", [_added_token, _grow]),
    "roberta without class": ("roberta-base", [_config("tokenizer_class")]),
    "roberta with a bare config": ("roberta-base", [_only(model_max_length=128)]),
    "roberta named Fast": ("roberta-base", [_config(tokenizer_class="RobertaTokenizerFast")]),
    "roberta, the file trims no offsets": ("roberta-base", [_config(trim_offsets=False)]),
    "roberta with a prefix space in the config only": (
        "roberta-base",
        [_config(add_prefix_space=True)],
    ),
    "roberta with a prefix space in the file only": ("roberta-base", [_prefix_space]),
    "distilbert, the file keeps case": ("distilbert-base", [_normalizer(lowercase=False)]),
    "mpnet, the file keeps case": ("mpnet-base", [_normalizer(lowercase=False)]),
    "mpnet with a bare config, the file keeps case": (
        "mpnet-base",
        [_normalizer(lowercase=False), _only(model_max_length=128)],
    ),
    "no class named, the file keeps case": (
        "bert-base",
        [_normalizer(lowercase=False), _config("tokenizer_class", "do_lower_case")],
    ),
    "no config, the file keeps case": ("bert-base", [_normalizer(lowercase=False), _no_config]),
    "xlm-roberta as converted by transformers 4": ("xlmr-short", [_converted]),
    "camembert as converted by transformers 4": ("camembert-base", [_converted]),
    "deberta-v2 as converted by transformers 4": ("deberta-v3-base", [_converted]),
    "albert as converted by transformers 4": ("albert-base", [_converted]),
    "albert that keeps accents": ("albert-base", [_config(keep_accents=True)]),
    "albert that keeps case": ("albert-base", [_config(do_lower_case=False)]),
    "deberta-v2 that lowers case": ("deberta-v3-base", [_config(do_lower_case=True)]),
    "deberta-v2 that splits punctuation": ("deberta-v3-base", [_config(split_by_punct=True)]),
    "deberta as saved by transformers 4": ("deberta-base", [_one_separator]),
    "xlm-roberta named Fast": ("xlmr-short", [_config(tokenizer_class="XLMRobertaTokenizerFast")]),
    "xlm-roberta with a bare config": ("xlmr-short", [_only(model_max_length=64)]),
    "xlm-roberta without normalizer in the file": (
        "xlmr-short",
        [_tokenizer_json(normalizer=None)],
    ),
    "xlm-roberta without prefix space": ("xlmr-short", [_config(add_prefix_space=False)]),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_same_ids_and_limit(zoo, tmp_path, name):
    model, edits = VARIANTS[name]
    folder = tmp_path / "model"
    shutil.copytree(zoo.path(model), folder)
    for edit in edits:
        edit(folder)
    theirs = oracle.load(folder)
    tokenizer = theirs.tokenizer
    limit = min(tokenizer.model_max_length, 128)
    pairs = texts.nasty_pairs() + texts.length_pairs() + [("The museum keeps", "museum KEEPS it")]
    expected = tokenizer(
        [list(pair) for pair in pairs], truncation="longest_first", max_length=limit
    )["input_ids"]
    ours = cherche_rs.CrossEncoder(folder, device="cpu")
    assert ours.max_length == theirs.max_seq_length
    assert ours.token_ids(pairs, max_length=limit) == expected
