"""Search and re-rank, offline: the tutorial, then the documentation of Python itself.

    python examples/quickstart.py [MODEL]

MODEL is the name of a cross-encoder on the Hugging Face hub or a local directory; left out, the
small English model that is part of cherche_rs.
"""

import argparse
import importlib
import inspect
import textwrap
import time
from contextlib import contextmanager

MODULES = """
    argparse base64 bisect calendar collections configparser contextlib copy csv datetime decimal
    difflib email.utils fileinput fnmatch fractions functools getpass glob gzip hashlib heapq hmac
    html http.cookies inspect io ipaddress itertools json linecache locale logging math mimetypes
    operator os os.path pathlib pickle platform pprint queue random re secrets shelve shlex shutil
    signal socket sqlite3 statistics string struct subprocess tarfile tempfile textwrap threading
    time timeit tokenize traceback types unicodedata urllib.parse urllib.request uuid warnings
    weakref webbrowser xml.dom.minidom zipfile zlib
"""

QUERIES = [
    "temporary file that is deleted when closed",
    "average of data",
    "text of a month as a calendar",
    "read lines from several files",
    "copy a file",
]


@contextmanager
def timed(step):
    """Print how long a step took."""
    start = time.perf_counter()
    yield
    print(f"  [{step}: {(time.perf_counter() - start) * 1e3:,.0f} ms]")


def python_documentation():
    """Return one document per documented function or class of the standard library."""
    documents = []
    for module_name in MODULES.split():
        module = importlib.import_module(module_name)
        for name, thing in inspect.getmembers(module, callable):
            is_own = getattr(thing, "__module__", None) in (module_name, f"_{module_name}")
            if name.startswith("_") or not is_own or not thing.__doc__:
                continue
            paragraphs = inspect.cleandoc(thing.__doc__).split("\n\n")
            # Functions written in C repeat their signature in a first paragraph.
            prose = [text for text in paragraphs if not text.startswith(f"{name}(")]
            if prose:
                identity = f"{module_name}.{name}"
                summary = " ".join(prose[0].split())
                documents.append({"id": identity, "name": name, "summary": summary})
    return documents


def tutorial(rank, retrieve, model):
    """Run cherche's own tutorial."""
    documents = [
        {
            "id": 0,
            "article": "Paris is the capital and most populous city of France",
            "title": "Paris",
            "url": "https://en.wikipedia.org/wiki/Paris",
        },
        {
            "id": 1,
            "article": "Paris has been one of Europe major centres of finance, diplomacy , "
            "commerce , fashion , gastronomy , science , and arts.",
            "title": "Paris",
            "url": "https://en.wikipedia.org/wiki/Paris",
        },
        {
            "id": 2,
            "article": "The City of Paris is the centre and seat of government of the region and "
            "province of Île-de-France .",
            "title": "Paris",
            "url": "https://en.wikipedia.org/wiki/Paris",
        },
    ]
    print("1. The tutorial: three documents about Paris\n")
    with timed("index"):
        retriever = retrieve.TfIdf(key="id", on=["title", "article"], documents=documents, k=100)
    with timed("load the model"):
        ranker = rank.CrossEncoder(on=["title", "article"], **model)
    search = retriever + documents + ranker
    queries = ["paris", "art", "fashion"]
    with timed("search"):
        answers = search(queries, tqdm_bar=False)
    for query, answer in zip(queries, answers, strict=True):
        print(f"\n  {query!r}")
        for document in answer:
            print(
                f"    {document['similarity']:7.3f}  {document['id']}  {document['article'][:70]}"
            )
    return ranker


def python_search(rank, retrieve, model):
    """Search Python's own documentation, before and after re-ranking."""
    with timed("read the documentation"):
        documents = python_documentation()
    print(f"\n2. {len(documents)} functions and classes of Python's standard library\n")
    with timed("index"):
        retriever = retrieve.TfIdf(key="id", on=["name", "summary"], documents=documents, k=50)
    ranker = rank.CrossEncoder(on=["name", "summary"], **model)
    with timed(f"TfIdf, {len(QUERIES)} queries"):
        retrieved = retriever(QUERIES, tqdm_bar=False)
    pipeline = retriever + documents + ranker
    with timed(f"TfIdf + re-ranking of 50 documents each, {len(QUERIES)} queries"):
        ranked = pipeline(QUERIES, tqdm_bar=False)
    for query, before, after in zip(QUERIES, retrieved, ranked, strict=True):
        print(f"\n  {query!r}\n    {'TfIdf':<38}TfIdf + re-ranking")
        for first, second in list(zip(before, after, strict=True))[:5]:
            print(f"    {first['id']:<38}{second['id']}")
        best = textwrap.shorten(after[0]["summary"], 90, placeholder=" ...")
        print(f"    first: {best}")


def main():
    """Parse the command line and run both searches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model",
        nargs="?",
        help="hub name or directory of a cross-encoder (default: the one in the package)",
    )
    name = parser.parse_args().model
    model = {} if name is None else {"encoder": name}
    with timed("import cherche_rs"):
        from cherche_rs import rank, retrieve
    tutorial(rank, retrieve, model)
    python_search(rank, retrieve, model)


if __name__ == "__main__":
    main()
