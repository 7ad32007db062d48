"""Neural search pipelines with cherche's interface and a Rust core."""

from . import _libtorch

_libtorch.load()

from . import compose, evaluate, rank, retrieve, sparse, utils  # noqa: E402
from ._core import __version__  # noqa: E402
from .cross_encoder import CrossEncoder, TruncationWarning  # noqa: E402

__all__ = [
    "CrossEncoder",
    "TruncationWarning",
    "__version__",
    "compose",
    "evaluate",
    "rank",
    "retrieve",
    "sparse",
    "utils",
]
