"""cherche's tutorial, with our import line and every form of encoder."""

import pytest

import cherche_rs
from cherche_rs import rank, retrieve

URL = "https://en.wikipedia.org/wiki/Paris"
ARTICLES = [
    "Paris is the capital and most populous city of France",
    "Paris has been one of Europe major centres of finance, diplomacy , commerce , fashion , "
    "gastronomy , science , and arts.",
    "The City of Paris is the centre and seat of government of the region and province of "
    "Île-de-France .",
]
DOCUMENTS = [
    {"id": number, "article": article, "title": "Paris", "url": URL}
    for number, article in enumerate(ARTICLES)
]
QUERIES = ["paris", "art", "fashion"]

ENCODERS = {
    "directory": lambda zoo, reference: zoo.path("xlmr-mmarco"),
    "ours": lambda zoo, reference: cherche_rs.CrossEncoder(zoo.path("xlmr-mmarco")),
    "our predict": lambda zoo, reference: cherche_rs.CrossEncoder(zoo.path("xlmr-mmarco")).predict,
    "theirs": lambda zoo, reference: reference("xlmr-mmarco"),
    "their predict": lambda zoo, reference: reference("xlmr-mmarco").predict,
    "function": lambda zoo, reference: lambda pairs: reference("xlmr-mmarco").predict(pairs),
}


@pytest.mark.parametrize("form", ENCODERS)
def test_the_tutorial(form, zoo, reference):
    retriever = retrieve.TfIdf(key="id", on=["title", "article"], documents=DOCUMENTS, k=100)
    ranker = rank.CrossEncoder(on=["title", "article"], encoder=ENCODERS[form](zoo, reference))
    search = retriever + DOCUMENTS + ranker

    answers = search(QUERIES)
    assert [{document["id"] for document in found} for found in answers] == [{0, 1, 2}, {1}, {1, 2}]
    for query, found in zip(QUERIES, answers, strict=True):
        scores = [document["similarity"] for document in found]
        assert scores == sorted(scores, reverse=True)
        for document in found:
            original = DOCUMENTS[document["id"]]
            assert document == {**original, "similarity": document["similarity"]}
            pair = (query, f"Paris {original['article']}")
            expected = reference("xlmr-mmarco").predict(pair)
            assert abs(float(document["similarity"]) - float(expected)) <= 1e-4
        assert [document["id"] for document in search(query)] == [d["id"] for d in found]

    # The same by hand.
    retriever += DOCUMENTS
    match = retriever(QUERIES, k=100)
    by_hand = ranker(QUERIES, documents=match, k=30)
    assert [[d["id"] for d in found] for found in by_hand] == [
        [d["id"] for d in found] for found in answers
    ]
