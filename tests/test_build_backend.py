"""Which torch a build uses, without building."""

import importlib.util
import os
import sys
import sysconfig
import types
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[1] / "build_support" / "backend.py"


@pytest.fixture
def backend(monkeypatch, tmp_path):
    """Load the backend over a stand-in for maturin, where no torch is to be found."""
    maturin = types.ModuleType("maturin")
    for hook in ("wheel", "editable", "sdist"):
        setattr(maturin, f"get_requires_for_build_{hook}", lambda settings=None: ["maturin-needs"])
        setattr(maturin, f"prepare_metadata_for_build_{hook}", None)
        setattr(maturin, f"build_{hook}", lambda *args: os.environ.get("LIBTORCH"))
    monkeypatch.setitem(sys.modules, "maturin", maturin)
    monkeypatch.setenv("LIBTORCH", "")
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(tmp_path / scheme))
    spec = importlib.util.spec_from_file_location("backend", BACKEND)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "path", [])
    return module


def install_torch(folder, version):
    """Write what the backend looks at of a torch package."""
    package = folder / "torch"
    (package / "lib").mkdir(parents=True)
    (package / "lib" / "libtorch_cpu.so").touch()
    (package / "version.py").write_text(f"__version__ = '{version}'\n")
    return package.resolve()


def test_torch_is_asked_for_where_there_is_none(backend):
    assert backend.get_requires_for_build_wheel() == ["maturin-needs", "torch==2.11.0"]
    assert backend.get_requires_for_build_editable() == ["maturin-needs", "torch==2.11.0"]
    assert backend.get_requires_for_build_sdist() == ["maturin-needs"]
    with pytest.raises(SystemExit, match=r"install torch==2\.11\.0 first, or set LIBTORCH"):
        backend.build_wheel("wheels")


@pytest.mark.parametrize("scheme", [sysconfig.get_default_scheme(), f"{os.name}_user"])
def test_the_torch_of_the_target_environment_is_used(backend, tmp_path, scheme):
    package = install_torch(tmp_path / scheme, "2.11.0+cu130")
    assert backend.get_requires_for_build_wheel() == ["maturin-needs"]
    assert backend.build_wheel("wheels") == str(package)


def test_the_torch_of_the_build_environment_comes_first(backend, tmp_path, monkeypatch):
    install_torch(tmp_path / sysconfig.get_default_scheme(), "2.11.0")
    package = install_torch(tmp_path / "overlay", "2.11.1")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "overlay")])
    assert backend.build_editable("wheels") == str(package)


def test_another_minor_is_not_used(backend, tmp_path):
    install_torch(tmp_path / sysconfig.get_default_scheme(), "2.12.0")
    assert backend.get_requires_for_build_wheel() == ["maturin-needs", "torch==2.11.0"]


def test_libtorch_overrides(backend, tmp_path, monkeypatch):
    install_torch(tmp_path / sysconfig.get_default_scheme(), "2.11.0")
    monkeypatch.setenv("LIBTORCH", "/somewhere")
    assert backend.get_requires_for_build_wheel() == ["maturin-needs"]
    assert backend.build_wheel("wheels") == "/somewhere"
