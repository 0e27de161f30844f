# Two commands do all of their own set-up: `make demo` and `make test`. `make` alone says what else there is.
# They need a Rust toolchain of 1.89 or newer (https://rustup.rs) and Python 3.10 or newer with its venv module.

PYTHON ?= python3
# What can be used again lives outside the checkout, so that a fresh clone builds quickly.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/openclaw-parallel-agents
export CARGO_TARGET_DIR ?= $(CACHE)/target
export CARGO_TERM_COLOR ?= auto

VENV := .venv
BIN := $(VENV)/bin
GATEWAY ?= 0
TOPIC ?= Monday motivation
PARTS ?=
SECONDS ?= 60
TARGETS ?=
MERGE ?= 0
FULL ?= 0
# Half a gigabyte, so all checkouts share it; and only where its path is the same are compiled crates used again.
LINKER_PINNED = $(shell $(PYTHON) tests/requirements.py wheel)
LINKER = $(CACHE)/$(subst $(eval ) ,-,$(subst ==,-,$(LINKER_PINNED)))
# Panics name the source files of their crates: not with the folder of whoever built the wheel.
REMAPPED = --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=crates
WHEEL_OPTIONS = --quiet --locked --release --interpreter $(BIN)/python --out dist
MODULES := parallel_agents $(addprefix parallel_agents.,ai_orchestrator builders helpers openclaw)

.DEFAULT_GOAL := help
.PHONY: help demo test build lint rust-test python-test wheel-test gateway-test snapshots mutants fuzz bench wheel docs clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: build ## run a team of five: a rehearsal with no AI; GATEWAY=1 runs it for real
ifeq ($(GATEWAY),1)
	@$(BIN)/parallel-agents demo --gateway --topic "$(TOPIC)"
else
	@$(BIN)/parallel-agents demo --topic "$(TOPIC)" --real-command "make demo GATEWAY=1"
endif

test: lint rust-test python-test wheel-test gateway-test ## everything that CI runs
	@echo "make test: all passed"

# The environment holds the test tools beside the package; a new list of them makes a new environment.
$(VENV)/.ready: pyproject.toml
	@command -v cargo >/dev/null || { echo "make: cargo was not found; install a Rust toolchain from https://rustup.rs" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $$($(PYTHON) --version) is too old; Python 3.10 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) tests/requirements.py test docs)
	@touch $@

build: $(VENV)/.ready ## build the package into .venv, unoptimised: quick to build, quick enough to try
	@echo "building parallel_agents (the first time takes some minutes)"
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --quiet --locked

lint: $(VENV)/.ready build ## formatting, lints, types and stubs
	cargo fmt --check
	cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
	cargo clippy --locked --all-targets --features python -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest parallel_agents._core --ignore-disjoint-bases

rust-test: ## the core, the agent types, the runtimes and the simulated runs
	cargo test --locked

python-test: build ## the Python surface, the command, the examples and the documents
	$(BIN)/pytest tests/python

wheel-test: wheel docs ## what is handed out, installed where there is nothing but Python; FULL=1 builds the sdist with optimisation, too
	FULL=$(FULL) $(BIN)/pytest tests/wheel

# Most of their time the tests wait for agents. One process has the gateways of its files to itself.
gateway-test: build ## a real OpenClaw gateway with a scripted provider; installs both once
	$(BIN)/pytest tests/gateway -n 2 --dist loadfile

snapshots: build ## write what the examples print into examples/output, which the tests compare with
	RENEW_SNAPSHOTS=1 $(BIN)/pytest tests/python/test_examples.py -k snapshot

mutants: ## break the machine on purpose, once per invariant, and see that the simulated runs notice
	$(PYTHON) tests/sim/mutants.py

fuzz: ## inputs nobody thought of, SECONDS=60 for each of TARGETS="answer frames journal plan tools"; needs a nightly Rust
	$(PYTHON) tests/fuzz/run.py --cache "$(CACHE)/fuzz" --seconds $(SECONDS) $(if $(filter 1,$(MERGE)),--merge) $(TARGETS)

bench: $(VENV)/.ready ## the figures in the README; PARTS="overhead journal import memory schedule gateway" chooses
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --quiet --locked --release
	cd tests && ../$(BIN)/python -m bench $(PARTS)

# Linked with zig against glibc 2.17, so that a wheel made here runs on any Linux of the last ten years.
wheel: $(VENV)/.ready ## an optimised wheel and the sources, in dist/
	rm -rf dist
ifeq ($(shell uname -s),Linux)
	@test -d "$(LINKER)" || { rm -rf "$(LINKER).partial" && mkdir -p "$(CACHE)" && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target "$(LINKER).partial" $(LINKER_PINNED) && mv -T "$(LINKER).partial" "$(LINKER)"; }
	PATH="$(LINKER)/ziglang:$$PATH" CARGO_ZIGBUILD_CACHE_DIR="$(CACHE)/zigbuild" RUSTFLAGS="$$RUSTFLAGS $(REMAPPED)" "$(LINKER)/bin/maturin" build $(WHEEL_OPTIONS) --zig --compatibility manylinux_2_17
else
	RUSTFLAGS="$$RUSTFLAGS $(REMAPPED)" $(BIN)/maturin build $(WHEEL_OPTIONS)
endif
	@$(BIN)/maturin sdist --out dist
	@ls -l dist

docs: build ## the reference of the Python package, in docs/api
	rm -rf docs/api
	$(BIN)/python -W error -m pdoc --docformat google --no-show-source --output-directory docs/api $(MODULES)

clean: ## remove what was built in this checkout
	rm -rf $(VENV) dist docs/api
	find python tests examples -name __pycache__ -prune -exec rm -rf {} +
	rm -f python/parallel_agents/_core*.so
