"""How retrievers read documents: each kind of dict, each error, nothing kept or changed."""

import sys
from collections import OrderedDict

import pytest

from cherche_rs import retrieve
from cherche_rs._documents import text_of
from cherche_rs.retrieve.texts import keys_and_texts

FIELDS = ["title", "text"]


def many(count):
    """Documents whose texts cross every limit of what is read together, some of them incomplete."""
    for i in range(count):
        document = {"id": f"key {i}", "title": f"Title {i}", "text": f"some text {i} é " * (i % 5)}
        if i % 7 == 0:
            del document["title"]
        if i % 1000 == 0:
            document["text"] = f"long {i} " * 200_000
        yield document


@pytest.mark.parametrize("fields", [["text"], FIELDS, []])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 5_000])
def test_keys_and_texts_are_those_of_a_plain_loop(fields, count):
    documents = list(many(count))
    keys, texts = keys_and_texts(documents, "id", fields)
    assert keys == [document["id"] for document in documents]
    assert texts == [text_of(document, fields) for document in documents]
    assert documents == list(many(count))


def test_all_texts_are_indexed_in_their_order():
    documents = list(many(5_000))
    retriever = retrieve.TfIdf(key="id", on=FIELDS, documents=documents, k=1)
    queries = [f"title {i} some text {i}" for i in range(1, 5_000, 7) if i % 5]
    found = retriever(queries, tqdm_bar=False)
    numbers = [i for i in range(1, 5_000, 7) if i % 5]
    assert [answer[0]["id"] for answer in found] == [f"key {i}" for i in numbers]


def test_nobody_reads_the_texts_of_documents_that_are_known():
    retriever = retrieve.TfIdf(key="id", on="text", documents=[{"id": 1, "text": "known"}])
    retriever.add([{"id": 1, "text": None}, {"id": 2, "text": "new"}, {"id": 1}])
    assert [document["id"] for document in retriever.documents] == [1, 2]
    with pytest.raises(TypeError, match="must be a string, got NoneType"):
        retriever.add([{"id": 3, "text": None}])
    assert len(retriever) == 2


def test_an_error_while_a_document_is_looked_at_reaches_the_caller():
    class Uncomparable:
        def __hash__(self):
            return hash("text")

        def __eq__(self, other):
            raise ZeroDivisionError("not with me")

    documents = [{Uncomparable(): 1, "id": 1}]
    with pytest.raises(ZeroDivisionError, match="not with me"):
        retrieve.TfIdf(key="id", on="text", documents=documents)


class Text(str):
    """A string that is not exactly one."""


@pytest.mark.parametrize(
    "odd",
    [
        OrderedDict(id=9, text="odd text"),
        {"id": 9, "text": Text("odd text")},
        {"id": Text("nine"), "text": "odd text"},
        {"id": 9, "text": "odd text", 5: "a key that is no string"},
    ],
)
def test_documents_out_of_the_ordinary_are_read_too(odd):
    documents = [{"id": i, "text": f"plain {i}"} for i in range(100)]
    documents[70] = odd
    retriever = retrieve.BM25(key="id", on="text", documents=documents)
    assert retriever("odd text")[0]["id"] == odd["id"]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"text": "no key"}, KeyError, "no field 'id'"),
        ({"id": 1, "text": 7}, TypeError, "'text' of a document must be a string, got int"),
        ({"id": 1, "text": None}, TypeError, "must be a string, got NoneType"),
        ({"id": [1], "text": "key"}, TypeError, "unhashable"),
        ("a string", TypeError, "must be a dict, got str"),
        (None, TypeError, "must be a dict, got NoneType"),
        ({"id": 1, "text": "half \ud800"}, ValueError, "document 70: .*surrogate"),
    ],
)
@pytest.mark.parametrize("fields", ["text", FIELDS])
def test_what_is_wrong_with_a_document_is_told(wrong, error, message, fields):
    documents = [{"id": i, "text": f"plain {i}"} for i in range(5_000)]
    retriever = retrieve.TfIdf(key="id", on=fields, documents=documents)
    documents[70] = wrong
    with pytest.raises(error, match=message):
        retrieve.TfIdf(key="id", on=fields, documents=documents)
    for document in documents:
        if isinstance(document, dict) and isinstance(document.get("id"), int):
            document["id"] += 10_000
    with pytest.raises(error, match=message):
        retriever.add(documents)
    assert len(retriever) == 5_000


def test_nothing_of_the_documents_is_kept_but_their_keys():
    documents = [{"id": f"key {i}", "text": f"plain {i}"} for i in range(3_000)]
    text, key = documents[1_000]["text"], documents[1_000]["id"]
    before = sys.getrefcount(text), sys.getrefcount(key), sys.getrefcount(documents[1_000])
    retriever = retrieve.TfIdf(key="id", on="text", documents=documents)
    retriever.remove([key])
    del retriever
    after = sys.getrefcount(text), sys.getrefcount(key), sys.getrefcount(documents[1_000])
    assert before == after


def test_a_list_that_shrinks_while_it_is_read_does_no_harm():
    documents = [{"id": i, "text": f"plain {i}"} for i in range(3_000)]

    class Same:
        """Has the hash of a field's name, and empties the list when it is compared with one."""

        def __hash__(self):
            return hash("text")

        def __eq__(self, other):
            if armed:
                documents.clear()
            return False

    armed = False
    documents[100] = {Same(): 1, "id": 100, "text": "plain 100"}
    armed = True
    with pytest.raises(IndexError):
        keys_and_texts(documents, "id", ["text"])
