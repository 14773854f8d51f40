# Two commands are enough: `make figures` and `make test`. They need Python 3.11 or newer and install the rest.
# `make figures` draws what takes ten minutes together, `make all-figures` everything (some hours).

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUT := build/figures
# The first interpreter on the path that is new enough; name another one with `make PYTHON=...`.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# The newest interpreter that is tested, where one is found: on the path, or among the versions of pyenv.
NEWEST ?= $(shell for python in python3.13 python3.12 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.13.*/bin/python \
	$${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.12.*/bin/python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$python && break; done)
NEWEST_TESTS := $(addprefix tests/,conformance core kernels samplers interop validity lm)

.PHONY: install figures all-figures test integration test-newest check-quick lint bench docs notebooks wheel clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'probinf needs Python 3.11 or newer; name one with `make PYTHON=/path/to/python3`.' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing into $(VENV) (the first time takes a few minutes) ...'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[lm,servers,plots,mcmc,data,docs,dev]'
	@touch $@

figures: install
	@$(BIN)/probinf figures quick --out $(OUT)

all-figures: install
	@$(BIN)/probinf figures all --out $(OUT)

lint: install
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

test: lint
	@$(BIN)/python -m pytest -q -n 2

# What a change is checked with before a commit: style, types, layers, the core and every shipped sampler.
check-quick: lint
	@$(BIN)/python -m pytest -q -n 2 tests/core tests/conformance

# Once more with the newest Python, JAX, NumPy and ArviZ, in an environment beside the first.
test-newest:
ifeq ($(NEWEST),)
	@echo 'No Python 3.12 or 3.13 is found here: the newest versions of JAX and ArviZ are not tested.'
else
	@echo 'The newest versions, with $(NEWEST):'
	@$(MAKE) --no-print-directory VENV=$(VENV)-newest PYTHON=$(NEWEST) install
	@$(VENV)-newest/bin/probinf check
	@$(VENV)-newest/bin/python -m pytest -q -n 2 $(NEWEST_TESTS)
endif

# The client against real servers, where there are any; each test that is skipped says what it needs.
integration: install
	@$(BIN)/python -m pytest -q -m integration tests/integration

bench: install
	@$(BIN)/probinf models get smollm2 >/dev/null
	@set -e; for script in benchmarks/*_speed.py; do echo "$$script"; $(BIN)/python "$$script"; done

# The site, in build/site; fails for a link that leads nowhere.
docs: install
	@$(BIN)/python scripts/make_site.py

# Runs the notebooks and keeps their output beside their text.
notebooks: install
	@$(BIN)/python scripts/make_notebooks.py

# Needs an index of packages: installs the wheel into a clean environment, beside a package of the same name.
wheel: install
	@scripts/check_wheel.sh $(BIN)/python

clean:
	rm -rf $(VENV) $(VENV)-newest .cache .hypothesis build dist probinf.egg-info
