# Everything is made inside .venv and target; nothing outside the checkout is touched.
# Stamp files in .venv say what is done, so a second run only does what changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# The Rust checks use the libtorch of .venv and the profile that maturin builds with: what is
# compiled for the wheel is not compiled again for them.
CARGO_ENV = LIBTORCH="$$(echo $(CURDIR)/$(VENV)/lib/python3.*/site-packages/torch)" \
	PYO3_PYTHON="$(CURDIR)/$(BIN)/python"

SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find src python build_support \
	-type f -not -name '*.so' -not -path '*/__pycache__/*')

NUMBERS := tests/comparison/test_parity_logits.py tests/test_number_formats.py tests/test_retrieve.py

.DELETE_ON_ERROR:
.PHONY: help quickstart test lint format bench dev clean

help:
	@echo "make quickstart   install into $(VENV), then search and re-rank"
	@echo "make test         the Rust and the Python tests"
	@echo "make lint         formatting, clippy, ruff, types, stubs"
	@echo "make format       let cargo fmt and ruff rewrite the sources"
	@echo "make bench        ours and the peers, side by side"
	@echo "make dev          an editable install with everything for working on the project"
	@echo "PYTHON=python3.12 chooses the interpreter that $(VENV) is made with"

quickstart: $(VENV)/.installed
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.test
	$(CARGO_ENV) LD_LIBRARY_PATH="$$(echo $(CURDIR)/$(VENV)/lib/python3.*/site-packages/torch/lib)" \
		cargo test --release --locked --no-default-features --lib
	$(BIN)/python -m pytest
	# Code for CPUs that have less: the numbers again, with fewer instructions allowed.
	for isa in AVX512_CORE_VNNI AVX2_VNNI SSE41; do echo "ONEDNN_MAX_CPU_ISA=$$isa"; \
		ONEDNN_MAX_CPU_ISA=$$isa $(BIN)/python -m pytest $(NUMBERS) || exit 1; done

lint: $(VENV)/.lint
	cargo fmt --check
	$(CARGO_ENV) cargo clippy --quiet --release --locked --all-targets -- -D warnings
	$(CARGO_ENV) cargo clippy --quiet --release --locked --all-targets --no-default-features \
		-- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml cherche_rs._core

format: $(VENV)/.lint
	cargo fmt
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.bench
	for bench in $(filter-out benches/draw_% benches/profile_%,$(wildcard benches/*.py)); do $(BIN)/python "$$bench" || exit 1; done

dev: $(VENV)/.torch
	$(PIP) --editable . --group dev

clean:
	rm -rf $(VENV) target

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "cherche-rs needs Python 3.10 or newer; choose one: make PYTHON=python3.12 ..."; exit 1; }
	@cargo --version >/dev/null || { \
		echo "cherche-rs is compiled with cargo, which was not found: install Rust with rustup"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

# torch comes first: the build then links against it, instead of bringing a second copy.
$(VENV)/.torch: $(VENV)/.created
	@echo "Installing torch (once; some 5 GB on disk)"
	$(PIP) --group torch
	@touch $@

$(VENV)/.installed: $(VENV)/.torch $(SOURCES)
	@echo "Compiling and installing cherche-rs (minutes the first time)"
	$(PIP) .
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(VENV)/.installed
	@echo "Installing what $* needs"
	$(PIP) --group $*
	@touch $@
