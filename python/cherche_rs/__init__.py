"""Neural search pipelines with cherche's interface and a Rust core."""

from . import _libtorch

_libtorch.load()

from ._core import __version__  # noqa: E402

__all__ = ["__version__"]
