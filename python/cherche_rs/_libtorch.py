"""Loads libtorch for the extension, without importing torch.

``import torch`` takes seconds; the extension needs only ``libtorch_cpu`` and ``libc10``, which the
torch package carries. They are loaded by path, so that the extension finds them by name, and
a later ``import torch`` finds the same ones.
"""

import ctypes
import importlib.util
import re
import sys
from pathlib import Path

SUPPORTED = "2.11"
_FIX = f'run: pip install "torch=={SUPPORTED}.*"'


def _torch_folder() -> Path:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ImportError(f"cherche_rs needs torch {SUPPORTED}, which is not installed; {_FIX}")
    return Path(spec.origin).parent


def _torch_version(folder: Path) -> str:
    try:
        text = (folder / "version.py").read_text()
    except OSError:
        return "unknown"
    found = re.search(r"__version__\s*=\s*['\"]([^'\"]+)", text)
    return found.group(1) if found else "unknown"


def load() -> None:
    """Load ``libc10`` and ``libtorch_cpu`` of the installed torch package into the process.

    Raises
    ------
    ImportError
        If torch is missing, is not of the supported version, or its libraries do not load.
    """
    folder = _torch_folder()
    version = _torch_version(folder)
    if not version.startswith(SUPPORTED + "."):
        # Another libtorch would be called through the wrong C++ ABI: stop before anything runs.
        raise ImportError(
            f"cherche_rs is built for torch {SUPPORTED}, and torch {version} is installed; {_FIX}"
        )
    if sys.platform == "linux":
        _open(folder, "libc10.so", version)
        _open(folder, "libtorch_cpu.so", version)


def load_cuda() -> None:
    """Load the CUDA half of libtorch, so that its kernels register; nothing on a CPU build."""
    folder = _torch_folder()
    if (folder / "lib" / "libtorch_cuda.so").is_file():
        _open(folder, "libtorch.so", _torch_version(folder))


def _open(folder: Path, name: str, version: str) -> None:
    try:
        ctypes.CDLL(str(folder / "lib" / name))
    except OSError as error:
        raise ImportError(
            f"torch {version} is installed in {folder}, but its {name} does not load: {error}; {_FIX}"
        ) from error
