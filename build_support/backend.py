"""PEP 517 backend: maturin, told where libtorch is.

The extension compiles against the headers and libraries of the torch package. In order:

1. ``LIBTORCH``, when the caller set it;
2. a fitting torch in the build environment, or in the environment that pip is installing into;
3. otherwise pip is asked to bring the pinned torch into the build environment.
"""

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

import maturin
from maturin import (
    build_sdist,
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


def _runtime_loader():
    """Return the package's own ``_libtorch``: which torch fits is said there, once."""
    path = Path(__file__).parents[1] / "python" / "cherche_rs" / "_libtorch.py"
    spec = importlib.util.spec_from_file_location("_libtorch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_libtorch = _runtime_loader()
# torch-sys is generated from the headers of this very release.
REQUIREMENT = f"torch=={_libtorch.SUPPORTED}.0"


def _find_torch():
    """Return the folder of a torch package of the supported minor, or None."""
    # pip's build isolation hides the target environment from sys.path; sysconfig still names it.
    target = [
        sysconfig.get_path("platlib", scheme)
        for scheme in (sysconfig.get_default_scheme(), f"{os.name}_user")
    ]
    for entry in [*sys.path, *target]:
        folder = Path(entry or ".") / "torch"
        has_library = (folder / "lib" / "libtorch_cpu.so").is_file()
        if has_library and _libtorch.supports(_libtorch.version_of(folder)):
            return folder.resolve()
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
    if os.environ.get("LIBTORCH"):
        return
    folder = _find_torch()
    if folder is None:
        raise SystemExit(
            f"cherche-rs compiles against torch {_libtorch.SUPPORTED}, and none was found: install "
            f"{REQUIREMENT} first, or set LIBTORCH to the folder of its torch package"
        )
    os.environ["LIBTORCH"] = str(folder)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the wheel with maturin against the libtorch found."""
    _point_to_libtorch()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the editable wheel with maturin against the libtorch found."""
    _point_to_libtorch()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)
