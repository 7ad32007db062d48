"""Documents longer than the model reads: the report, the warning, and windows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import texts
import torch
from comparison.samples import assert_close

import cherche_rs
from cherche_rs import rank

SHORT = texts.random_pairs(4, seed=31)
LONG = texts.random_pairs(5, shortest=150, longest=400, seed=32)
MODELS = ["bert-base", "roberta-base", "xlmr-short"]


def _logits(model, pairs, **options):
    return model.predict(pairs, activation_fn=torch.nn.Identity(), **options)


def _windows_of(tokenizer, pair, limit, stride):
    """The (query, window) token ids of a pair, as long as the reference would cut them."""
    query, document = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in pair)
    kept = tokenizer(*pair, truncation="longest_first", max_length=limit).sequence_ids()
    query, size = query[: kept.count(0)], kept.count(1)
    if size == len(document):
        return [(query, document)]
    step = size - min(size // 4 if stride is None else stride, size // 2)
    starts = [*range(0, len(document) - size, step), len(document) - size]
    return [(query, document[start : start + size]) for start in starts]


def _reference_logits(cross_encoder, pairs, limit, stride=None):
    """The logits of the windows of each pair, by the reference's model."""
    tokenizer = cross_encoder.tokenizer
    for pair in pairs:
        rows = []
        for query, window in _windows_of(tokenizer, pair, limit, stride):
            ids = _framed(tokenizer, query, window)
            with torch.inference_mode():
                rows.append(cross_encoder.model(**ids).logits[0].numpy())
        yield np.array(rows)


def _framed(tokenizer, query, window):
    """What the model takes for two lists of tokens."""
    has_types = "token_type_ids" in tokenizer.model_input_names
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    first = [cls, *query, sep] if has_types else [cls, *query, sep, sep]
    inputs = {"input_ids": torch.tensor([[*first, *window, sep]])}
    if has_types:
        inputs["token_type_ids"] = torch.tensor([[0] * len(first) + [1] * (len(window) + 1)])
    return inputs


@pytest.mark.parametrize("stride", [None, 0, 5, 1000])
@pytest.mark.parametrize("name", MODELS)
def test_windows_are_the_references_logits_combined(ours, reference, name, stride):
    pairs = [*SHORT, *LONG, ("museum " * 90, LONG[0][1]), ("museum " * 90, "one word")]
    windows = list(_reference_logits(reference(name), pairs, 64, stride))
    assert max(len(rows) for rows in windows) > 5
    for kind, combine in (
        ("max", lambda rows: rows.max(0)),
        ("mean", lambda rows: rows.mean(0)),
        ("first", lambda rows: rows[0]),
    ):
        expected = np.array([combine(rows) for rows in windows])[:, 0]
        actual = _logits(ours(name), pairs, max_length=64, long_documents=kind, stride=stride)
        assert_close(actual, expected, 1e-4, pairs)


def test_windows_of_several_labels(ours, reference):
    windows = list(_reference_logits(reference("bert-relu-3-labels"), LONG, 64))
    expected = np.array([rows.max(0) for rows in windows])
    actual = _logits(ours("bert-relu-3-labels"), LONG, max_length=64, long_documents="max")
    assert_close(actual, expected, 1e-4, LONG)
    assert np.abs(expected - _logits(ours("bert-relu-3-labels"), LONG, max_length=64)).max() > 0.1


def test_first_window_is_what_truncation_keeps(ours):
    model = ours("bert-base")
    np.testing.assert_array_equal(
        model.predict(LONG, long_documents="first"), model.predict(LONG, long_documents="truncate")
    )


def test_what_fits_has_one_window(ours):
    model = ours("bert-base")
    assert model.report(SHORT, long_documents="max").sequences == len(SHORT)
    np.testing.assert_array_equal(model.predict(SHORT, long_documents="mean"), model.predict(SHORT))


def test_a_needle_is_found_only_by_windows(ours):
    """The best window decides, wherever it is."""
    model = ours("bert-base")
    query = "what is the boiling point of water"
    hay = "rain fell on the harbour while the orchestra rehearsed " * 40
    best = max(
        ["chess is quieter", "honey never spoils", "the boiling point of water at 4,000 metres"],
        key=lambda text: float(model.predict((query, text * 4), max_length=64)),
    )
    pairs = [(query, hay + best * 8 + hay), (query, hay)]
    cut = _logits(model, pairs, max_length=64)
    whole = _logits(model, pairs, max_length=64, long_documents="max")
    assert cut[0] == pytest.approx(cut[1], abs=1e-5)
    assert whole[0] > whole[1]


def test_windows_of_windows_hold_every_token(ours):
    model = ours("bert-base")
    (windows,) = model.token_ids(LONG[:1], max_length=64, long_documents="max", stride=0)
    (whole,) = model._engine.token_ids(LONG[:1], 2**31 - 1)[0:1]
    query = len(model.token_ids([(LONG[0][0], "")])[0]) - 1
    document = whole[0][query:-1]
    joined = [token for window in windows[:-1] for token in window[query:-1]]
    assert joined == document[: len(joined)]
    assert windows[-1][query:-1] == document[-len(windows[-1][query:-1]) :]


# The report and the warning


def test_report_counts_what_is_lost(ours):
    model = ours("bert-base")
    pairs = [("", "a"), LONG[0], LONG[0], ("museum " * 300, "river " * 200)]
    whole = [len(ids[0]) for ids in model._engine.token_ids(pairs, 2**31 - 1)]
    for limit in (16, 64, 128):
        report = model.report(pairs, max_length=limit)
        read = [len(ids) for ids in model.token_ids(pairs, max_length=limit)]
        np.testing.assert_array_equal(report.lost_tokens, np.subtract(whole, read))
        assert report.truncated_pairs == 3
        assert report.truncated_tokens == sum(whole) - sum(read)
        assert report.sequences == 3
        assert report.tokens == sum(read) - read[1]


def test_report_of_windows(ours):
    model = ours("bert-base")
    cut = model.report(LONG, max_length=64)
    assert cut.truncated_pairs == len(LONG)
    assert model.report(LONG, max_length=64, long_documents="mean").truncated_tokens == 0
    first = model.report(LONG, max_length=64, long_documents="first")
    assert first.truncated_tokens == cut.truncated_tokens
    long_query = [("museum " * 300, "river " * 300)]
    assert model.report(long_query, max_length=64, long_documents="max").truncated_tokens > 200


def _seen(call):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in seen if w.category is cherche_rs.TruncationWarning]


def test_one_warning_per_model(zoo):
    model = cherche_rs.CrossEncoder(zoo.path("bert-base"))
    assert _seen(lambda: model.predict(SHORT)) == []
    assert _seen(lambda: model.predict(LONG, long_documents="max")) == []
    report = model.report(SHORT + LONG)
    (message,) = _seen(lambda: model.predict(SHORT + LONG))
    assert f"{len(LONG)} of {len(SHORT + LONG)} pairs" in message
    assert str(report.truncated_tokens) in message
    assert _seen(lambda: model.predict(LONG)) == []


def test_warning_is_silenced_like_any_other(zoo):
    model = cherche_rs.CrossEncoder(zoo.path("bert-base"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", cherche_rs.TruncationWarning)
        model.predict(LONG)


# Arguments


@pytest.mark.parametrize(
    "options",
    [
        {"long_documents": "median"},
        {"long_documents": "max", "stride": -1},
        {"long_documents": "max", "stride": 1.5},
        {"long_documents": "max", "stride": True},
        {"stride": 3},
    ],
)
def test_wrong_options(ours, options):
    name = "stride" if "stride" in options else "long_documents"
    with pytest.raises(ValueError, match=name):
        ours("bert-base").predict(SHORT, **options)


def test_no_room_for_a_window(ours):
    with pytest.raises(ValueError, match="max_length=3"):
        ours("bert-base").predict(LONG, max_length=3, long_documents="max")
    assert ours("bert-base").predict(LONG, max_length=3).shape == (len(LONG),)


# In a pipeline


def test_ranker_takes_the_options(ours):
    model = ours("bert-base")
    query, documents = LONG[0][0], [{"id": i, "text": t} for i, (_, t) in enumerate(SHORT + LONG)]
    for options in ({"long_documents": "max", "stride": 8}, {"max_length": 32}):
        ranker = rank.CrossEncoder(on="text", encoder=model, **options)
        expected = model.rank(query, [d["text"] for d in documents], **options)
        assert [d["id"] for d in ranker(query, documents, tqdm_bar=False)] == [
            hit["corpus_id"] for hit in expected
        ]


def test_ranker_refuses_options_it_cannot_pass_on(ours):
    with pytest.raises(ValueError, match="long_documents"):
        rank.CrossEncoder(on="text", encoder=lambda pairs: [], long_documents="max")
    with pytest.raises(ValueError, match="median"):
        rank.CrossEncoder(on="text", encoder=ours("bert-base"), long_documents="median")
    with pytest.raises(ValueError, match="max_length"):
        rank.CrossEncoder(on="text", encoder=ours("bert-base"), max_length=4096)
