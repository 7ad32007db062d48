"""PEP 517 backend: maturin, told where libtorch is.

The extension compiles against the headers and libraries of the torch package. In order:

1. ``LIBTORCH``, when the caller set it;
2. a fitting torch in the build environment, or in the environment that pip is installing into;
3. otherwise pip is asked to bring the pinned torch into the build environment.
"""

import os
import sys
import sysconfig
from pathlib import Path

import maturin
from maturin import (
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

TORCH = "2.11"
REQUIREMENT = "torch==2.11.0"


def _find_torch():
    """Return the folder of a torch package of the right minor, or None."""
    # sysconfig still names the target environment inside pip's build isolation, where sys.path hides it.
    for entry in [*sys.path, sysconfig.get_paths()["platlib"]]:
        folder = Path(entry or ".") / "torch"
        version = folder / "version.py"
        if (folder / "lib" / "libtorch_cpu.so").is_file() and version.is_file():
            scope = {}
            exec(version.read_text(), scope)
            if str(scope["__version__"]).startswith(TORCH + "."):
                return folder
    return None


def _requires():
    return [] if os.environ.get("LIBTORCH") or _find_torch() else [REQUIREMENT]


def get_requires_for_build_wheel(config_settings=None):
    """Name what the build environment lacks: maturin's needs, and torch where none is found."""
    return maturin.get_requires_for_build_wheel(config_settings) + _requires()


def get_requires_for_build_editable(config_settings=None):
    """Name what the build environment lacks, for an editable install."""
    return maturin.get_requires_for_build_editable(config_settings) + _requires()


def _point_to_libtorch():
    if not os.environ.get("LIBTORCH"):
        folder = _find_torch()
        if folder is None:
            raise SystemExit(
                f"cherche-rs compiles against torch {TORCH}, and none was found: install "
                f"{REQUIREMENT} first, or set LIBTORCH to the folder of its torch package"
            )
        os.environ["LIBTORCH"] = str(folder)
    os.environ.setdefault("LIBTORCH_CXX11_ABI", "1")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the wheel with maturin against the libtorch found."""
    _point_to_libtorch()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the editable wheel with maturin against the libtorch found."""
    _point_to_libtorch()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory, config_settings=None):
    """Build the source distribution; libtorch is not needed for it."""
    return maturin.build_sdist(sdist_directory, config_settings)
