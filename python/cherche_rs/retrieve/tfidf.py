"""N-gram retrievers: the cosine of tf-idf or BM25 weights."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import Any, TypeVar

from .._core import StoredKeys, read_documents
from .._documents import Answer, Document, Query, key_of, positive
from .._progress import late_counter
from ..sparse import TfidfVectorizer
from ..utils import yield_batch
from . import files
from .base import Retriever
from .foreign import VectorizerBackend
from .native import NativeBackend
from .texts import keys_and_texts

__all__ = ["TfIdf"]

Self = TypeVar("Self", bound="TfIdf")

#: What is kept in a file of a retriever's own attributes.
SAVED = ("key", "on", "k", "batch_size")


class TfIdf(Retriever):
    """Retrieve documents by the cosine of tf-idf weights of n-grams.

    The index is exact: the answer is what comparing the query with every document gives. Documents
    with equal scores come in the order in which they were added.

    Parameters
    ----------
    key
        Field that identifies a document. Its values can be of any hashable type.
    on
        Field or fields in which the query is searched; they are joined by a space.
    documents
        The documents to fit the weights on and to index. They are neither kept nor changed.
    tfidf
        How texts become weighted n-grams: a vectorizer of :mod:`cherche_rs.sparse` (by default
        characters 3 to 7 of normalised text), or any object with ``fit_transform`` and
        ``transform``, such as those of scikit-learn and LeNLP, which goes a slower way.
    k
        Number of documents to return; by default as many as were given, so all that match.
    batch_size
        Number of queries to answer between two steps of the progress bar.
    fit
        Fit the vectorizer; otherwise it must be fitted already.
    tqdm_bar
        Show a progress bar if building the index takes longer than a second.

    Examples
    --------
    >>> from cherche_rs import retrieve
    >>> documents = [
    ...     {"id": 0, "title": "Paris", "article": "Eiffel tower"},
    ...     {"id": 1, "title": "Montreal", "article": "Montreal is in Canada."},
    ... ]
    >>> retriever = retrieve.TfIdf(key="id", on=["title", "article"], documents=documents)
    >>> [document["id"] for document in retriever("canada")]
    [1]

    References
    ----------
    Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.
    """

    def __init__(
        self,
        key: str,
        on: str | list[str],
        documents: list[Document],
        tfidf: Any = None,
        k: int | None = None,
        batch_size: int = 1024,
        fit: bool = True,
        tqdm_bar: bool = True,
    ) -> None:
        super().__init__(key=key, on=on, k=k, batch_size=batch_size)
        if documents is None:
            raise TypeError(
                f"{type(self).__name__} needs documents to fit its weights on; got documents=None"
            )
        self.tfidf = self._default_vectorizer() if tfidf is None else tfidf
        keys, texts = keys_and_texts(list(documents), key, self.on)
        self._keys: list[Hashable] | StoredKeys = keys
        self._removed: set[int] = set()
        self._numbers: dict[Hashable, list[int]] | None = None
        self._known: set[Hashable] | None = set(keys)
        self._changing = threading.RLock()
        self._backend: NativeBackend | VectorizerBackend
        if not isinstance(self.tfidf, TfidfVectorizer):
            self._backend = VectorizerBackend(self.tfidf, texts, fit)
        elif fit:
            desc = f"{type(self).__name__} index"
            with late_counter(len(texts), desc, tqdm_bar) as progress:
                self._backend = NativeBackend.fit(self.tfidf, texts, progress)
        else:
            raise ValueError("fit=False needs a vectorizer that is fitted already, as tfidf")
        if k is None:
            self.k = len(keys)

    @staticmethod
    def _default_vectorizer() -> TfidfVectorizer:
        return TfidfVectorizer(normalize=True, ngram_range=(3, 7), analyzer="char_wb")

    @property
    def documents(self) -> list[Document]:  # type: ignore[override]
        """The documents by their key field alone, in the order they were added."""
        return [{self.key: key} for _, key in self._live()]

    @property
    def duplicates(self) -> dict[Hashable, bool]:
        """The keys of the documents."""
        return {key: True for _, key in self._live()}

    @property
    def n(self) -> int:
        """Number of documents."""
        return len(self)

    def __len__(self) -> int:
        return len(self._keys) - len(self._removed)

    def _live(self) -> Iterator[tuple[int, Hashable]]:
        pairs = enumerate(self._own_keys())
        return (pair for pair in pairs if pair[0] not in self._removed)

    def _own_keys(self) -> list[Hashable]:
        """Return the keys by number as a list; those of a file are read from it."""
        if isinstance(self._keys, StoredKeys):
            self._keys = self._keys.to_list()
        return self._keys

    def _known_keys(self) -> set[Hashable]:
        """Return the keys of the documents there are, for those who change them."""
        if self._known is None:
            keys = self._own_keys()
            self._known = {key for _, key in self._live()} if self._removed else set(keys)
        return self._known

    def add(
        self: Self,
        documents: list[Document],
        batch_size: int = 100_000,
        tqdm_bar: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Add documents without fitting the weights again.

        Parameters
        ----------
        documents
            Documents to add. Those whose key is known already are skipped.
        batch_size
            Number of documents to add at once.
        tqdm_bar
            Show a progress bar.

        Returns
        -------
        The retriever itself. After an error or Ctrl-C it has whole batches, the first ones; a batch
        may be in when Ctrl-C is seen.
        """
        desc = f"Adding documents to {type(self).__name__} retriever"
        for batch in yield_batch(list(documents), batch_size, desc, tqdm_bar):
            with self._changing:
                try:
                    read = read_documents(batch, self.key, self.on)
                    if read is None or not self._are_new(read[0]):
                        # Nobody asks for the texts of those that are known.
                        known = self._known_keys()
                        new = [doc for doc in batch if key_of(doc, self.key) not in known]
                        read = keys_and_texts(new, self.key, self.on)
                        known.update(read[0])
                    keys, texts = read
                    if keys:
                        self._append(keys, texts)
                except BaseException:
                    self._known = None  # Some of them may not be in.
                    raise
        return self

    def _are_new(self, keys: list[Hashable]) -> bool:
        """Put keys among the known ones, unless one of them is there already, or twice here."""
        known = self._known_keys()
        before = len(known)
        # Not looked up first: their places are far apart in memory.
        known.update(keys)
        if len(known) == before + len(keys):
            return True
        self._known = None  # Nobody knows which of them are new.
        return False

    def _append(self, keys: list[Hashable], texts: list[str]) -> None:
        """Add documents with these keys: all or, after an error, none; after Ctrl-C, either."""
        own = self._own_keys()
        before = len(self._backend)
        # First, as readers may find the new documents at any time.
        own.extend(keys)
        try:
            self._backend.add(texts)
        finally:
            if len(self._backend) == before:
                del own[before:]
            else:
                self._numbers = None

    def remove(self: Self, keys: Collection[Hashable]) -> Self:
        """Remove documents.

        The weights stay those of the documents the retriever was fitted on.

        Parameters
        ----------
        keys
            Keys of the documents to remove.

        Returns
        -------
        The retriever itself.

        Raises
        ------
        KeyError
            If a key is not known. Then nothing is removed.
        """
        if isinstance(keys, str):
            raise TypeError(f"keys must be a list of keys, got the string {keys!r}")
        keys = list(keys)
        with self._changing:
            numbers = [number for key in keys for number in self._numbers_of(key)]
            self._forget(numbers)
            self._known_keys().difference_update(keys)
        return self

    def _forget(self, numbers: list[int]) -> None:
        """Remove documents by number. Their keys stay: somebody may just have found them."""
        self._known_keys()
        self._backend.remove(numbers)
        self._removed.update(numbers)
        self._numbers = None

    def update(self: Self, documents: list[Document]) -> Self:
        """Replace documents of the same key, and add those that are new, at the end.

        Parameters
        ----------
        documents
            Documents in their new state. The weights are not fitted again.

        Returns
        -------
        The retriever itself. After an error all documents are as they were; after Ctrl-C all are as
        they were, or all are replaced.
        """
        latest = {key_of(document, self.key): document for document in documents}
        _, texts = keys_and_texts(list(latest.values()), self.key, self.on)
        with self._changing:
            known = self._known_keys()
            old = [number for key in latest if key in known for number in self._numbers_of(key)]
            before = len(self._backend)
            # The new ones first: if that fails, nothing is lost. Ctrl-C may come when they are in.
            try:
                self._append(list(latest), texts)
            finally:
                if len(self._backend) > before:
                    self._forget(old)
                    known.update(latest)
        return self

    def _numbers_by_key(self) -> dict[Hashable, list[int]]:
        with self._changing:
            if self._numbers is None:
                numbers: dict[Hashable, list[int]] = {}
                for number, live in self._live():
                    numbers.setdefault(live, []).append(number)
                self._numbers = numbers
            return self._numbers

    def _numbers_of(self, key: Hashable) -> list[int]:
        try:
            return self._numbers_by_key()[key]
        except KeyError:
            raise KeyError(f"no document has the {self.key} {key!r}") from None

    def __call__(
        self,
        q: Query,
        k: int | None = None,
        batch_size: int | None = None,
        tqdm_bar: bool = True,
        *,
        filter: Collection[Hashable] | None = None,
        **kwargs: Any,
    ) -> Answer:
        """Retrieve the documents most similar to queries.

        Parameters
        ----------
        q
            A query, or a list of queries.
        k
            Number of documents to return for each query; the retriever's ``k`` by default. A
            negative number leaves out that many of the worst matches.
        batch_size
            Number of queries to answer between two steps of the progress bar.
        tqdm_bar
            Show a progress bar for lists of queries.
        filter
            Keys of the documents that may be returned; those that are not known count for nothing.

        Returns
        -------
        For a query, a list of documents: dicts of the key field and the ``"similarity"``, best
        first, equal ones in the order they were added, those without similarity left out. For a
        list of queries, a list of such lists.
        """
        queries = [q] if isinstance(q, str) else _queries(q)
        k = operator.index(self.k if k is None else k)  # type: ignore[arg-type]
        size = positive("batch_size", self.batch_size if batch_size is None else batch_size)
        allowed = self._allowed(filter)
        batches = [q] if isinstance(q, str) else queries
        found: list[list[Document]] = []
        desc = f"{type(self).__name__} retriever"
        shown = tqdm_bar and not isinstance(q, str)
        for batch in yield_batch(batches, size, desc, shown):
            found.extend(self._answers(batch, k, allowed))
        return found[0] if isinstance(q, str) else found

    def _allowed(self, keys: Collection[Hashable] | None) -> list[int] | None:
        if keys is None:
            return None
        if isinstance(keys, str):
            raise TypeError(f"filter must be a set of keys, got the string {keys!r}")
        numbers = self._numbers_by_key()
        return [number for key in keys for number in numbers.get(key, ())]

    def _answers(
        self, queries: list[str], k: int, allowed: list[int] | None
    ) -> list[list[Document]]:
        most = len(self._keys) if k < 0 else min(k, len(self._keys))
        keys: Any = self._keys  # Those of a file are never with another vectorizer.
        found = self._backend.answers(queries, most, allowed, self.key, keys)
        if k >= 0:
            return found
        for answer in filter(None, found):
            if -k > len(answer):
                raise ValueError(f"k={k} leaves out more documents than the {len(answer)} found")
            del answer[k:]
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the retriever to a file, whole or not at all.

        Parameters
        ----------
        path
            The file. An existing one is replaced only once the new one is complete.

        Raises
        ------
        TypeError
            If a key is not a string, a number, a bool or None, or if the vectorizer is not of
            :mod:`cherche_rs.sparse`. Such retrievers can be pickled.
        """
        if not isinstance(self._backend, NativeBackend):
            raise TypeError(
                f"a retriever with a {type(self.tfidf).__name__} cannot be saved; pickle it"
            )
        with self._changing:
            state = {
                "class": type(self).__name__,
                "removed": sorted(self._removed),
                **{name: getattr(self, name) for name in SAVED},
            }
            files.write(path, self._backend, self.tfidf, self._own_keys(), state)

    @classmethod
    def load(
        cls: type[Self], path: str | os.PathLike[str], mmap: bool = True, verify: bool = True
    ) -> Self:
        """Read a retriever that :meth:`save` wrote.

        Parameters
        ----------
        path
            The file. It must not be changed in place while a retriever maps it (replacing it, as
            ``save`` does, is fine).
        mmap
            Map the file instead of reading it: processes that open one file share its memory.
        verify
            Compare the checksum even of a mapped file, which reads all of it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, of another version, of another class or something else.
        """
        backend, vectorizer, keys, state = files.read(path, mmap, verify)
        if state["class"] != cls.__name__:
            raise ValueError(f"{os.fspath(path)}: holds a {state['class']}, not a {cls.__name__}")
        retriever = cls.__new__(cls)
        for name in SAVED:
            setattr(retriever, name, state[name])
        retriever.tfidf = vectorizer
        retriever._backend = backend
        retriever._keys = keys
        retriever._removed = set(state["removed"])
        retriever._numbers = None
        retriever._known = None
        retriever._changing = threading.RLock()
        return retriever

    def __getstate__(self) -> dict[str, Any]:
        with self._changing:
            self._own_keys()
            state = vars(self).copy()
        del state["_changing"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._changing = threading.RLock()


def _queries(q: Sequence[str]) -> list[str]:
    if isinstance(q, (bytes, dict, set, frozenset)) or not hasattr(q, "__len__"):
        raise TypeError(f"a query must be a string or a list of strings, got {type(q).__name__}")
    return list(q)
