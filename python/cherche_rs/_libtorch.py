"""Loads libtorch for the extension, without importing torch.

``import torch`` takes seconds; the extension needs only ``libc10`` and ``libtorch_cpu``, which the
torch package carries. They are loaded by path, so that the extension finds them by name, and
a later ``import torch`` finds the same ones.

This file imports nothing but the standard library: the build backend reads it too.
"""

import ctypes
import importlib
import importlib.util
import re
import sys
from pathlib import Path

#: The only minor whose C++ ABI the extension is compiled for.
SUPPORTED = "2.11"
_FIX = f'run: pip install "torch=={SUPPORTED}.*"'


def version_of(folder: Path) -> str:
    """Return the version of the torch package in `folder`, or ``"unknown"``."""
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"__version__\s*=\s*['\"]([^'\"]+)", text)
    return found.group(1) if found else "unknown"


def supports(version: str) -> bool:
    """Return whether the extension may be called through this torch version's ABI."""
    return version.startswith(SUPPORTED + ".")


def load() -> None:
    """Load ``libc10`` and ``libtorch_cpu`` of the installed torch package into the process.

    Raises
    ------
    ImportError
        If torch is missing, is not of the supported version, or its libraries do not load, or
        on a system other than Linux.
    """
    if sys.platform != "linux":
        raise ImportError(f"cherche_rs runs on Linux only so far, and this is {sys.platform}")
    folder = _torch_folder()
    version = version_of(folder)
    if not supports(version):
        # Another libtorch would be called through the wrong C++ ABI: stop before anything runs.
        raise ImportError(
            f"cherche_rs is built for torch {SUPPORTED}, and torch {version} is installed; {_FIX}"
        )
    _open(folder, "libc10.so")
    _open(folder, "libtorch_cpu.so")


def load_cuda() -> None:
    """Load the CUDA half of libtorch, so that its kernels register; nothing on a CPU build."""
    folder = _torch_folder()
    if (folder / "lib" / "libtorch_cuda.so").is_file():
        _open(folder, "libtorch.so")


def _torch_folder() -> Path:
    try:
        spec = importlib.util.find_spec("torch")
    except ValueError:  # sys.modules holds a stand-in that has no spec
        spec = None
    if spec is None or spec.origin is None:
        raise ImportError(f"cherche_rs needs torch {SUPPORTED}, which is not installed; {_FIX}")
    return Path(spec.origin).parent


def _open(folder: Path, name: str) -> None:
    path = str(folder / "lib" / name)
    try:
        ctypes.CDLL(path)
    except OSError as error:
        # torch knows more places to look for the NVIDIA libraries than its RPATH says.
        try:
            importlib.import_module("torch")
            ctypes.CDLL(path)
        except (ImportError, OSError):
            raise ImportError(
                f"torch {version_of(folder)} is installed in {folder}, but its {name} does not "
                f"load: {error}; {_FIX}"
            ) from error
