"""The Rust core."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SUPPORTED_MODEL_TYPES",
    "CrossEncoder",
    "NgramIndex",
    "Report",
    "SparseIndex",
    "StoredKeys",
    "__version__",
    "answers",
    "normalize",
    "read_documents",
]

__version__: str
SUPPORTED_MODEL_TYPES: list[str]

@final
class Report:
    """What scoring pairs takes, and what they lose to `max_length`."""

    @property
    def pairs(self) -> int:
        """Number of pairs."""

    @property
    def texts(self) -> int:
        """Distinct texts, each of which is tokenised once."""

    @property
    def sequences(self) -> int:
        """Sequences the model reads: one for each distinct pair, or for each window of one."""

    @property
    def tokens(self) -> int:
        """Tokens the model reads, special tokens included."""

    @property
    def lost_tokens(self) -> NDArray[np.int64]:
        """Tokens of each pair that the model does not read, of shape (n_pairs,)."""

    @property
    def truncated_pairs(self) -> int:
        """Number of pairs that lose tokens."""

    @property
    def truncated_tokens(self) -> int:
        """Number of tokens all pairs lose together."""

@final
class CrossEncoder:
    """A cross-encoder whose forward pass runs in Rust on libtorch."""

    def __new__(
        cls,
        directory: str | os.PathLike[str],
        device: str = "cpu",
        dtype: str = "float32",
        native_kernels: bool = True,
        tokenizer_overrides: str | None = None,
        tensors: Mapping[str, tuple[int, list[int], str]] | None = None,
        owner: Any = None,
    ) -> CrossEncoder:
        """Load a directory; without `native_kernels` libtorch's operators do everything.

        `tokenizer_overrides` is JSON that counts in place of tokenizer_config.json's entries;
        `tensors`, names to (address, shape, dtype), in place of its safetensors files.
        """

    @staticmethod
    def from_memory(
        config: str,
        tokenizer: str,
        tokenizer_config: str,
        tensors: Mapping[str, tuple[int, list[int], str]],
        owner: Any,
        origin: str,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> CrossEncoder:
        """Run on tensors that a Python model holds: names to (address, shape, dtype)."""

    def score(
        self,
        pairs: list[Any],
        max_length: int,
        truncation: str = "longest_first",
        long_documents: str = "truncate",
        stride: int | None = None,
        prompt: str | None = None,
        progress: Callable[[int], Any] | None = None,
    ) -> tuple[NDArray[np.float32], Report]:
        """Return logits of shape (pairs, labels), and what was read and lost."""

    def report(
        self,
        pairs: list[Any],
        max_length: int,
        truncation: str = "longest_first",
        long_documents: str = "truncate",
        stride: int | None = None,
        prompt: str | None = None,
    ) -> Report:
        """Tell what `score` would read and lose, without scoring."""

    def token_ids(
        self,
        pairs: list[Any],
        max_length: int,
        truncation: str = "longest_first",
        long_documents: str = "truncate",
        stride: int | None = None,
        prompt: str | None = None,
    ) -> list[list[list[int]]]:
        """Return the token ids of each pair's sequences: one, or one for each window."""

    @property
    def dtype(self) -> str:
        """The number format in use."""

    @property
    def note(self) -> str | None:
        """Why the number format is not the one asked for."""

    @property
    def num_labels(self) -> int:
        """Number of outputs per pair."""

    @property
    def max_length(self) -> int | None:
        """The longest sequence tokenizer and positions allow."""

    @property
    def max_positions(self) -> int | None:
        """The longest sequence the model has positions for."""

    @property
    def special_tokens(self) -> int:
        """Special tokens around a pair."""

    @property
    def takes_messages(self) -> bool:
        """Whether pairs are written as messages, and a prompt is one of them."""

    @property
    def family(self) -> str:
        """The architecture's name."""

_Found = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]

def answers(
    key: str,
    keys: list[Any],
    ends: NDArray[np.int64],
    numbers: NDArray[np.uint32],
    scores: list[Any],
) -> list[list[dict[str, Any]]]:
    """Return, for each query, a dict of key and similarity for each of the documents found."""

def normalize(text: str) -> str:
    """Normalise a text as LeNLP does: to ASCII, lowercase, without punctuation, trimmed."""

def read_documents(
    documents: list[dict[str, Any]], key: str, fields: list[str]
) -> tuple[list[Any], list[str]] | None:
    """Return the keys of documents, and their texts: the strings of `fields`, joined by a blank.

    Fields that a document lacks count as "". None if a document is not plainly a dict of a key and
    strings.
    """

@final
class StoredKeys:
    """Keys of documents by number, all integers or all strings, that may be in a file."""

    def __new__(cls, keys: list[Any]) -> StoredKeys:
        """Take integers of 64 bits, or strings."""

    def to_list(self) -> list[Any]:
        """Return all keys as a list, the same one each time."""

    def __len__(self) -> int: ...

@final
class NgramIndex:
    """An exact n-gram index over documents numbered 0, 1, ..."""

    @staticmethod
    def fit(
        texts: list[str],
        analyzer: str,
        ngram_range: tuple[int, int],
        normalize: bool,
        stop_words: Sequence[str] | None = None,
        bm25: tuple[float, float, float] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> NgramIndex:
        """Fit an index to texts; `bm25` is (k1, b, epsilon), without it weights are tf-idf's.

        `progress` is called with the number of texts done, several times a second.
        """

    def add(self, texts: list[str]) -> None:
        """Add documents without fitting again."""

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove documents by number; the numbers of the others stay."""

    def answers(
        self,
        queries: list[str],
        k: int,
        key: str,
        keys: list[Any] | StoredKeys,
        single: bool,
        allowed: Sequence[int] | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Return, for each query, a dict of key and similarity for each of the documents found.

        Similarities are float32 if ``single``, else float64.
        """

    def save(
        self, path: str | os.PathLike[str], extra: str, keys: StoredKeys | None = None
    ) -> None:
        """Write the index, and what is kept for the caller, to a file: whole or not at all."""

    @staticmethod
    def load(
        path: str | os.PathLike[str], mmap: bool, verify: bool
    ) -> tuple[NgramIndex, str, StoredKeys | None]:
        """Read what `save` wrote."""

    def to_bytes(self) -> bytes:
        """Return the content of the file that `save` would write."""

    @staticmethod
    def from_bytes(content: bytes) -> NgramIndex:
        """Read what `to_bytes` gave."""

    def __len__(self) -> int: ...
    @property
    def segments(self) -> int:
        """Number of segments that the documents are in."""

_Part = tuple[int, NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]

@final
class SparseIndex:
    """Documents as sparse rows, found by the dot product with sparse queries."""

    def __new__(cls, width: int) -> SparseIndex:
        """Make an empty index over rows of `width` columns."""

    def add(
        self,
        starts: NDArray[np.int64],
        columns: NDArray[np.int32],
        values: NDArray[np.float32],
    ) -> None:
        """Add the rows of a CSR matrix."""

    def search(
        self,
        starts: NDArray[np.int64],
        columns: NDArray[np.int32],
        values: NDArray[np.float64],
        k: int,
        allowed: NDArray[np.bool_] | None = None,
    ) -> _Found:
        """Return where each query's answer ends, document numbers, and scores."""

    def parts(self) -> tuple[int, list[_Part]]:
        """Return the content, for `from_parts`."""

    @staticmethod
    def from_parts(parts: tuple[int, list[_Part]]) -> SparseIndex:
        """Take what `parts` gave."""

    def __len__(self) -> int: ...
