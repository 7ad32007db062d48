"""Imports run downward only. ARCHITECTURE.md says why; here the sources are read for it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUST = ROOT / "src"
PYTHON = ROOT / "python" / "cherche_rs"

#: What retrieval may use although more lies below it: it knows nothing of libtorch.
RETRIEVE_MAY_USE = {"pool", "cpu", "error"}
#: What every architecture in src/models may use; the others there are architectures.
SHARED_BY_ARCHITECTURES = {
    "mod",
    "config",
    "compute",
    "head",
    "layers",
    "modules",
    "packed",
    "weights",
}
PIPELINE = {"compose", "retrieve", "rank", "evaluate"}
MODELS = {"encoders", "cross_encoder", "in_memory", "checkpoint", "activations", "hub", "_core"}
#: For each part of the package, the parts it must not import.
FORBIDDEN = {
    "_documents": PIPELINE | MODELS,
    "utils": PIPELINE - {"compose"} | MODELS,
    "compose": PIPELINE - {"compose"} | MODELS,
    "evaluate": PIPELINE - {"compose"} | MODELS,
    "retrieve": {"rank", *MODELS} - {"_core"},
    "rank": {"retrieve", *MODELS} - {"encoders"},
    "encoders": PIPELINE,
    "cross_encoder": PIPELINE,
    "in_memory": PIPELINE | {"encoders", "cross_encoder", "hub"},
    "checkpoint": PIPELINE | MODELS - {"checkpoint"},
    "activations": PIPELINE | MODELS - {"activations"},
    "hub": PIPELINE | MODELS - {"hub"},
}


def code_of(file):
    """Return a Rust file without its comments and its tests."""
    text = re.sub(r"//.*", "", file.read_text())
    return text.partition("#[cfg(test)]")[0]


def part_of(file, root):
    """Return the top-level part that a file belongs to."""
    return file.relative_to(root).parts[0].removesuffix(file.suffix)


def rust_files():
    """Return all source files but the one that only lists the layers."""
    return [file for file in sorted(RUST.rglob("*.rs")) if file.name != "lib.rs"]


def rust_layers():
    """Return the layers from top to bottom, as the map in lib.rs names them."""
    layer_map = re.search(r"```text\n(.*?)//! ```", (RUST / "lib.rs").read_text(), re.DOTALL)
    return re.findall(r"^//! (\w+)", layer_map.group(1), re.MULTILINE)


def used_layers(code):
    """Return the layers that Rust code names: `crate::a`, `crate::{a, b::c}`."""
    single = re.findall(r"\bcrate::(\w+)", code)
    grouped = re.findall(r"\bcrate::\{([^;]*)\};", code)
    return {*single, *(name for group in grouped for name in re.findall(r"\w+", group))}


def python_imports(file):
    """Return the parts of our own package that a file imports, and the other packages."""
    ours, others = set(), set()
    depth = len(file.relative_to(PYTHON).parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not node.module.startswith("cherche_rs"), f"{file}: import it relatively"
            others.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            first = node.module.partition(".")[0] if node.module else None
            ours |= {first} if first else {alias.name for alias in node.names}
    return ours, others


def test_the_layer_map_names_every_module():
    folders = {part_of(file, RUST) for file in rust_files()}
    assert folders == set(rust_layers())


@pytest.mark.parametrize("file", rust_files(), ids=lambda file: str(file.relative_to(RUST)))
def test_rust_imports_run_downward(file):
    layers, own = rust_layers(), part_of(file, RUST)
    below = set(layers[layers.index(own) + 1 :])
    if own == "retrieve":
        below = RETRIEVE_MAY_USE
    upward = used_layers(code_of(file)) & set(layers) - below - {own}
    assert not upward, f"{file.name} is in {own}, and uses {sorted(upward)}"


def test_only_the_seam_knows_python():
    for file in rust_files():
        if part_of(file, RUST) != "python":
            assert not re.search(r"\b(pyo3|numpy)::", code_of(file)), file


def test_retrieval_knows_no_torch():
    for file in (RUST / "retrieve").rglob("*.rs"):
        assert not re.search(r"\btch::", code_of(file)), file


def test_architectures_do_not_import_each_other():
    models = RUST / "models"
    names = {part_of(file, models) for file in models.rglob("*.rs")} - SHARED_BY_ARCHITECTURES
    assert "bert" in names
    for file in models.rglob("*.rs"):
        depth = len(file.relative_to(models).parts) - (file.name == "mod.rs")
        root = rf"(?:crate::models|{'::'.join(['super'] * depth)})"
        used = set(re.findall(rf"\b(?<!::){root}::(\w+)", code_of(file)))
        own = part_of(file, models)
        assert own in {"mod", "config"} or not used & names - {own}, f"{file} uses {sorted(used)}"


@pytest.mark.parametrize("part", sorted(FORBIDDEN))
def test_python_imports_run_downward(part):
    files = [file for file in PYTHON.rglob("*.py") if part_of(file, PYTHON) == part]
    assert files
    for file in files:
        upward = python_imports(file)[0] & FORBIDDEN[part]
        assert not upward, f"{file} imports {sorted(upward)}"


def test_what_replaces_cherche_does_not_import_it():
    for file in PYTHON.rglob("*.py"):
        outside = python_imports(file)[1]
        assert not outside & {"cherche", "lenlp", "sklearn", "sentence_transformers"}, file
