"""The Rust core."""

import os
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SUPPORTED_MODEL_TYPES", "CrossEncoder", "__version__"]

__version__: str
SUPPORTED_MODEL_TYPES: list[str]

@final
class CrossEncoder:
    """A cross-encoder whose forward pass runs in Rust on libtorch."""

    def __new__(
        cls,
        directory: str | os.PathLike[str],
        device: str = "cpu",
        dtype: str = "float32",
        native_kernels: bool = True,
    ) -> CrossEncoder:
        """Load a directory; without `native_kernels` libtorch's operators do everything."""

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
        progress: Callable[[int], Any] | None = None,
    ) -> tuple[NDArray[np.float32], int, int]:
        """Return logits (pairs, labels), the pairs truncated, and the tokens they lost."""

    def token_ids(
        self, pairs: list[Any], max_length: int, truncation: str = "longest_first"
    ) -> list[list[int]]:
        """Return the token ids of each pair as the model sees them."""

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
    def family(self) -> str:
        """The architecture's name."""
