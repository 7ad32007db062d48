"""Evaluation, on answers that can be counted by hand."""

import pytest

from cherche_rs.evaluate import evaluation


class Search:
    """A search that answers queries from a table."""

    key = "id"

    def __init__(self, table):
        self.table, self.calls = table, []

    def __call__(self, q, batch_size=None, k=None):
        self.calls.append((q, batch_size, k))
        return [[{"id": number} for number in self.table[query]][:k] for query in q]


def answers(**golds):
    return [(query, [{"id": number} for number in numbers]) for query, numbers in golds.items()]


def test_figures_counted_by_hand():
    search = Search({"a": [1, 2, 3], "b": [4], "c": []})
    scores = evaluation(search, answers(a=[1, 3], b=[5], c=[6]), hits_k=[1, 3])
    assert scores == {
        "Precision@1": "50.00%",  # 1 of the 2 first results
        "Precision@3": "50.00%",  # 2 of the 4 results
        "Recall@1": "16.67%",  # (1/2 + 0 + 0) / 3
        "Recall@3": "33.33%",  # (2/2 + 0 + 0) / 3
        "F1@1": "25.00%",
        "F1@3": "40.00%",
        "R-Precision": "16.67%",  # (1/2 + 0 + 0) / 3
    }
    assert search.calls == [(["a", "b", "c"], None, None)]


def test_k_and_batch_size_go_to_the_search():
    search = Search({"a": [1, 2, 3]})
    scores = evaluation(search, answers(a=[3]), hits_k=(3,), batch_size=7, k=2)
    assert search.calls == [(["a"], 7, 2)]
    assert scores["Recall@3"] == "0.00%"


def test_rank_zero_is_left_out():
    scores = evaluation(Search({"a": [1]}), answers(a=[1]), hits_k=range(2))
    assert list(scores) == ["Precision@1", "Recall@1", "F1@1", "R-Precision"]


def test_ranks_may_come_from_an_iterator():
    search = Search({"a": [1], "b": [2]})
    scores = evaluation(search, answers(a=[1], b=[2]), hits_k=iter([1, 2]))
    assert scores["Recall@2"] == scores["Precision@2"] == "100.00%"


def test_nothing_found_and_nothing_relevant():
    scores = evaluation(Search({"a": [], "b": [1]}), answers(a=[1], b=[]), hits_k=[1])
    assert set(scores.values()) == {"0.00%"}


def test_a_search_without_a_key():
    with pytest.raises(TypeError, match="key"):
        evaluation(lambda q, **kwargs: [[]], answers(a=[1]))
