"""Importing the package: without torch, in any order with it, and with a torch that does not fit.

Each case needs a process of its own: libtorch cannot be unloaded.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cherche_rs
from cherche_rs import _core, _libtorch

ROOT = Path(__file__).parents[1]
PACKAGE_PARENT = Path(cherche_rs.__file__).parents[1]


def python(code, *path, **environment):
    """Run `code` in a fresh interpreter that finds our package, and first what is in `path`."""
    search = os.pathsep.join(map(str, [*path, PACKAGE_PARENT]))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": search, **environment},
        timeout=300,
    )


def error_of(run):
    """Return the last line of a failed run, after checking that Python failed, not the process."""
    assert run.returncode == 1, (run.returncode, run.stderr)
    return run.stderr.strip().splitlines()[-1]


def fake_torch(folder, version):
    """Write a torch package that must be recognised by its version file alone."""
    package = folder / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "version.py").write_text(f"__version__ = '{version}'\n")
    return package


def test_no_heavy_package_is_imported():
    code = """
import sys, time
start = time.perf_counter()
import cherche_rs
from cherche_rs import rank, retrieve
print(f"import: {time.perf_counter() - start:.3f} s")
heavy = "torch", "sentence_transformers", "transformers", "cherche", "sklearn", "lenlp"
assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)
"""
    run = python(code)
    assert run.returncode == 0, run.stderr
    print(run.stdout)


TORCH = """
import torch
assert (torch.ones(3, 4) @ torch.ones(4, 2)).tolist() == [[4.0, 4.0]] * 3
"""
SENTENCE_TRANSFORMERS = """
import sentence_transformers
sentence_transformers.CrossEncoder
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("", TORCH), (TORCH, ""), ("", SENTENCE_TRANSFORMERS), (SENTENCE_TRANSFORMERS, TORCH)],
    ids=["before torch", "after torch", "before st", "after st"],
)
def test_any_order_of_imports(before, after):
    directory = str(ROOT / "tests" / "golden" / "models" / "roberta")
    pairs = [("a query", "a text"), ("another", "text")]
    code = f"""
{before}
import cherche_rs
model = cherche_rs.CrossEncoder({directory!r})
first = model.predict({pairs!r}).tolist()
{after}
assert model.predict({pairs!r}).tolist() == first
print(first)
"""
    run = python(code)
    assert run.returncode == 0, run.stderr
    expected = cherche_rs.CrossEncoder(directory).predict(pairs).tolist()
    assert run.stdout.strip() == str(expected)


def test_torch_missing():
    # None in sys.modules is how Python itself marks a package as absent.
    message = error_of(python("import sys; sys.modules['torch'] = None; import cherche_rs"))
    assert message == (
        "ImportError: cherche_rs needs torch 2.11, which is not installed; "
        'run: pip install "torch==2.11.*"'
    )


@pytest.mark.parametrize("version", ["2.10.2", "2.12.0+cu130", "2.110.0", "1.13.1"])
def test_torch_of_another_version(tmp_path, version):
    fake_torch(tmp_path, version)
    message = error_of(python("import cherche_rs", tmp_path))
    assert message == (
        f"ImportError: cherche_rs is built for torch 2.11, and torch {version} is installed; "
        'run: pip install "torch==2.11.*"'
    )


def test_torch_without_a_version(tmp_path):
    (fake_torch(tmp_path, "") / "version.py").unlink()
    assert "torch unknown is installed" in error_of(python("import cherche_rs", tmp_path))


def test_torch_libraries_do_not_load(tmp_path):
    package = fake_torch(tmp_path, "2.11.0")
    message = error_of(python("import cherche_rs", tmp_path))
    assert message.startswith(
        f"ImportError: torch 2.11.0 is installed in {package}, but its libc10"
    )

    (package / "lib").mkdir()
    (package / "lib" / "libc10.so").write_bytes(b"not a library")
    message = error_of(python("import cherche_rs", tmp_path))
    assert "libc10.so does not load" in message and 'pip install "torch==2.11.*"' in message


def test_another_platform_is_refused():
    message = error_of(python("import sys; sys.platform = 'darwin'; import cherche_rs"))
    assert message == "ImportError: cherche_rs runs on Linux only so far, and this is darwin"


def test_extension_links_libtorch_and_nothing_of_python():
    run = subprocess.run(
        ["readelf", "-d", _core.__file__], capture_output=True, text=True, check=True
    )
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", run.stdout))
    system = re.compile(r"(libc|libm|libgcc_s|libstdc\+\+|ld-linux.*|libdl|libpthread|librt)\.so.*")
    ours = {name for name in needed if not system.fullmatch(name)}
    assert ours == {"libtorch_cpu.so", "libc10.so"}
    # The libraries are those of the torch that is installed, wherever that is.
    assert "RPATH" not in run.stdout and "RUNPATH" not in run.stdout


def test_one_torch_version_everywhere():
    major, minor = map(int, _libtorch.SUPPORTED.split("."))
    project = (ROOT / "pyproject.toml").read_text()
    assert f'"torch>={major}.{minor},<{major}.{minor + 1}"' in project
    assert f'torch = ["torch=={major}.{minor}.0"]' in project
