"""Rerankers that read a pair as messages: prompts, truncation, and what they refuse."""

from __future__ import annotations

import pytest
import texts
import torch
from comparison.samples import assert_close
from tiny_models.catalog import SPECS

NAME = "qwen3-yes-no"
PAIRS = texts.random_pairs(12) + texts.length_pairs()[1:]


def _logits(model, **options):
    return model.predict(
        PAIRS, activation_fn=torch.nn.Identity(), show_progress_bar=False, **options
    )


def test_prompt_is_a_system_message(ours, reference):
    expected = _logits(reference(NAME), prompt="Is the text about rivers?", batch_size=1)
    found = _logits(ours(NAME), prompt="Is the text about rivers?")
    assert_close(found, expected, SPECS[NAME].tolerance, PAIRS)
    assert abs(found - _logits(ours(NAME))).max() > 0.1


@pytest.mark.parametrize("max_length", [8, 60, 100])
def test_a_cut_pair_keeps_the_end_of_the_template(ours, reference, max_length):
    model = reference(NAME)
    text = {"text": {"max_length": max_length}}
    expected = [
        model[0].preprocess([pair], processing_kwargs=text)["input_ids"][0].tolist()
        for pair in PAIRS
    ]
    assert ours(NAME).token_ids(PAIRS, max_length=max_length) == expected
    assert any(len(ids) == max_length for ids in expected)


def test_windows_are_refused(ours):
    with pytest.raises(ValueError, match="chat template"):
        ours(NAME).predict(PAIRS, long_documents="max")


def test_a_template_without_the_roles_is_refused(zoo, tmp_path):
    import shutil

    import cherche_rs

    folder = tmp_path / "model"
    shutil.copytree(zoo.path(NAME), folder)
    template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ValueError, match="query"):
        cherche_rs.CrossEncoder(str(folder))
