"""Token ids equal transformers', for every kind of tokenizer and every file it may come as."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import texts
import transformers
from tiny_models import tokenizers
from tiny_models.forms import edit_json

import cherche_rs

PAIRS = texts.nasty_pairs() + texts.length_pairs() + texts.random_pairs(12, seed=41)
LIMIT = 96

SOURCES = sorted(tokenizers._FROM_SOURCE)
KINDS = sorted([*tokenizers._FROM_SOURCE, *tokenizers._FAST_ONLY])
WORDPIECE = ["bert", "bert-cased", "distilbert", "electra", "mpnet"]
#: kind -> what tokenizer_config.json may say of it
OPTIONS = {
    **{
        kind: [
            {"do_lower_case": False},
            {"strip_accents": False},
            {"strip_accents": True, "do_lower_case": False},
            {"tokenize_chinese_chars": False},
        ]
        for kind in WORDPIECE
    },
    **{
        kind: [{"add_prefix_space": True}] for kind in ("roberta", "deberta", "qwen2", "modernbert")
    },
    **{kind: [{"add_prefix_space": False}] for kind in ("xlm-roberta", "camembert")},
    "albert": [{"add_prefix_space": False}, {"keep_accents": True}, {"do_lower_case": False}],
    "deberta-v2": [
        {"add_prefix_space": False},
        {"do_lower_case": True},
        {"split_by_punct": True},
    ],
}


@pytest.fixture
def folder(zoo, tmp_path) -> Path:
    """A model without its tokenizer: what is read here does not depend on the weights."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(zoo.path("bert-base") / name, tmp_path / name)
    return tmp_path


def _expected(folder: Path, pairs=PAIRS, limit=LIMIT):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer([list(p) for p in pairs], truncation="longest_first", max_length=limit)[
        "input_ids"
    ]


def _assert_same(folder: Path, pairs=PAIRS, limit=LIMIT, **options) -> None:
    model = cherche_rs.CrossEncoder(folder, **options)
    actual = model.token_ids(pairs, max_length=limit)
    for pair, mine, theirs in zip(pairs, actual, _expected(folder, pairs, limit), strict=True):
        assert mine == theirs, pair


def _cases(kinds):
    return [(kind, options) for kind in kinds for options in [{}, *OPTIONS.get(kind, [])]]


@pytest.mark.parametrize(("kind", "options"), _cases(KINDS), ids=str)
def test_tokenizer_json(folder, kind, options):
    tokenizers.save(kind, folder, **options)
    assert (folder / "tokenizer.json").is_file()
    _assert_same(folder)


@pytest.mark.parametrize(("kind", "options"), _cases(SOURCES), ids=str)
def test_files_a_family_was_published_with(folder, kind, options):
    """vocab.txt, vocab.json with merges.txt, or a sentencepiece model; no tokenizer.json."""
    tokenizers.save_source(kind, folder, **options)
    assert not (folder / "tokenizer.json").exists()
    _assert_same(folder)


@pytest.mark.parametrize(("kind", "options"), [case for case in _cases(KINDS) if case[1]], ids=str)
def test_options_beside_an_older_tokenizer_json(folder, kind, options):
    """tokenizer_config.json and tokenizer.json disagree: transformers 5 decides by the class."""
    tokenizers.save(kind, folder)
    edit_json(folder / "tokenizer_config.json", lambda config: config.update(options))
    _assert_same(folder)


@pytest.mark.parametrize(("kind", "options"), _cases(WORDPIECE), ids=str)
def test_options_as_arguments(folder, kind, options):
    """`processor_kwargs` is what tokenizer_config.json would say."""
    tokenizers.save(kind, folder)
    model = cherche_rs.CrossEncoder(folder, processor_kwargs=options)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    expected = tokenizer([list(p) for p in PAIRS], truncation=True, max_length=LIMIT)["input_ids"]
    assert model.token_ids(PAIRS, max_length=LIMIT) == expected


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "deberta-v2"])
@pytest.mark.parametrize("limit", [9, 20])
def test_truncation_side(folder, kind, limit):
    tokenizers.save(kind, folder, truncation_side="left")
    _assert_same(folder, limit=limit)
    edit_json(folder / "tokenizer_config.json", lambda c: c.update(truncation_side="right"))
    _assert_same(folder, limit=limit)


@pytest.mark.parametrize("name", ["bert-base", "roberta-base", "xlmr-base", "distilbert-base"])
def test_without_tokenizer_config(zoo, tmp_path, name):
    """The class then follows from config.json's model_type."""
    folder = shutil.copytree(zoo.path(name), tmp_path / name)
    (folder / "tokenizer_config.json").unlink()
    _assert_same(folder, limit=64)


@pytest.mark.parametrize("limit", [7, 60, 512, 10**30, None])
def test_model_max_length(zoo, tmp_path, limit):
    folder = shutil.copytree(zoo.path("bert-base"), tmp_path / "model")
    edit_json(folder / "tokenizer_config.json", lambda c: c.update(model_max_length=limit))
    assert cherche_rs.CrossEncoder(folder).max_length == min(limit or 128, 128)


# Added and special tokens


ADDED = [
    *texts.NASTY,
    "a <mark> b<mark>c  <MARK>  d",
    "new-word new-words NEW-WORD",
    "[CUSTOM]text[CUSTOM] [custom]",
    "before <mask> after",
    "before [MASK] after",
]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("source", [False, True], ids=["tokenizer.json", "source"])
def test_added_tokens(folder, kind, source):
    added = {
        "<mark>": {"lstrip": True, "rstrip": True, "normalized": False, "special": True},
        "new-word": {"single_word": True, "normalized": True, "special": False},
        "[CUSTOM]": {"normalized": True, "special": False},
    }
    save = tokenizers.save_source if source else tokenizers.save
    save(kind, folder)
    size = len(transformers.AutoTokenizer.from_pretrained(folder))
    known = {
        str(i): {"lstrip": False, "rstrip": False, "single_word": False} | {"content": t} | flags
        for i, (t, flags) in enumerate(added.items(), size)
    }
    edit_json(folder / "tokenizer_config.json", lambda c: c.update(added_tokens_decoder=known))
    _assert_same(folder, pairs=[(text, text) for text in ADDED])


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_older_companions(folder, kind):
    """special_tokens_map.json and added_tokens.json, which came before added_tokens_decoder."""
    tokenizers.save_source(kind, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    mask = {"content": tokenizer.mask_token, "lstrip": True, "rstrip": False}
    special = {"mask_token": {**mask, "normalized": False, "single_word": False}}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "added_tokens.json").write_text(json.dumps({"<mark>": len(tokenizer)}))
    _assert_same(folder, pairs=[(text, text) for text in ADDED])


def test_other_names_of_special_tokens(folder):
    tokenizers.save_source("bert", folder)
    vocabulary = folder / "vocab.txt"
    words = vocabulary.read_text("utf-8").replace("[CLS]\n", "<begin>\n").replace("[SEP]", "<end>")
    vocabulary.write_text(words, "utf-8")
    names = {"cls_token": "<begin>", "sep_token": "<end>"}
    edit_json(folder / "tokenizer_config.json", lambda c: c.update(names))
    _assert_same(folder, pairs=[*PAIRS, ("<begin> a", "b <end> [CLS]")])


# What is missing or damaged


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("bert", "vocab.txt"),
        ("roberta", "merges.txt"),
        ("xlm-roberta", "sentencepiece"),
        ("qwen2", "merges.txt"),
    ],
)
def test_missing_files_are_named(folder, kind, wanted):
    tokenizers.save_source(kind, folder)
    for file in folder.iterdir():
        if file.name not in ("config.json", "model.safetensors", "tokenizer_config.json"):
            file.unlink()
    with pytest.raises(FileNotFoundError, match=wanted) as raised:
        cherche_rs.CrossEncoder(folder)
    assert "save_pretrained" in str(raised.value)


@pytest.mark.parametrize("kind", ["xlm-roberta", "deberta-v2", "albert"])
def test_damaged_sentencepiece(folder, kind):
    tokenizers.save_source(kind, folder)
    (file,) = folder.glob("*.model")
    whole = file.read_bytes()
    for broken in (whole[:5000], b"", b"version https://git-lfs.github.com/spec/v1\n"):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=file.name):
            cherche_rs.CrossEncoder(folder)


def test_class_that_needs_its_own_code(folder):
    """A class without tokenizer.json and without rules of ours: no guess is made."""
    tokenizers.save_source("bert", folder)
    edit_json(
        folder / "tokenizer_config.json",
        lambda c: c.update(tokenizer_class="BertJapaneseTokenizer"),
    )
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        cherche_rs.CrossEncoder(folder)
