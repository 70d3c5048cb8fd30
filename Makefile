# Verbs, one a job. Each makes what it needs: nothing has to be installed first but Python 3.11 or later.
#
#   run      a real job on this machine's own Python: examples/audit.py
#   test     all of CI: lint, types, the wheel, every test with coverage
#   fix      format, and mend what ruff can mend
#   lint     format, ruff, flake8-async, the layers of .importlinter
#   types    pyright and mypy, both strict, over src and tests/typing
#   check    build the wheel and test the wheel, with src out of sight
#   docs     the documentation as HTML, into docs/_build
#   bench    plait beside its peers: one table, written to docs/benchmarks.md
#   matrix   the tests on each Python that plait supports and this machine has
#   news     what the next release's changelog will say; `make news VERSION=1.2.3` writes it

VENV := .venv
PY := $(VENV)/bin/python
BENCH := .venv-bench
MATRIX := 3.11 3.12 3.13
PYTEST := $(PY) -m pytest

# $(call stage,TITLE,COMMANDS): say what runs, run it, say how long it took.
stage = @printf '\n== %s\n' "$(1)"; start=$$(date +%s); $(2) || exit $$?; \
	printf -- '-- %s: %s s\n' "$(1)" $$(($$(date +%s) - start))

.PHONY: help run test fix lint types check docs bench matrix news clean

help:
	@sed -n '/^#   /s/^#   /make /p' Makefile

# -- environments: made once, and again when pyproject.toml changes ------------------------------

$(VENV)/.core: pyproject.toml .ci/venv
	@sh .ci/venv $(VENV)
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@sh .ci/venv $(VENV) --group test --group types --group lint
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@sh .ci/venv $(VENV) --group docs
	@touch $@

$(BENCH)/.ready: pyproject.toml .ci/venv
	@sh .ci/venv $(BENCH) --group bench --group peers
	@touch $@

# -- verbs ---------------------------------------------------------------------------------------

run: $(VENV)/.core
	@$(PY) examples/audit.py $(ARGS)

# The tests come last: pytest's summary is the last line, and machines read it.
test: lint types check
	@printf '\n== tests\n'
	@$(PYTEST) --cov --cov-report=term --cov-fail-under=95 $(ARGS)

fix: $(VENV)/.dev
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check .

lint: $(VENV)/.dev
	$(call stage,format,$(PY) -m ruff format --check --quiet .)
	$(call stage,ruff,$(PY) -m ruff check --quiet .)
	$(call stage,flake8-async,$(PY) -m flake8_async --enable=ASYNC --disable=ASYNC124 \
		$$(find src -name '*.py'))
	$(call stage,layers,$(VENV)/bin/lint-imports --no-logo --cache-dir $(VENV)/.import-linter)

types: $(VENV)/.dev
	$(call stage,pyright,$(PY) -m pyright --pythonpath $(PY))
	$(call stage,mypy,$(PY) -m mypy --no-error-summary)

check: $(VENV)/.dev
	$(call stage,wheel,sh .ci/wheel $(PY))

docs: $(VENV)/.docs
	$(call stage,docs,$(PY) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build)
	@echo "open docs/_build/index.html"

bench: $(BENCH)/.ready
	@$(BENCH)/bin/python -m benchmarks $(ARGS)

matrix:
	@for version in $(MATRIX); do sh .ci/matrix $$version || exit $$?; done

news: $(VENV)/.dev
ifdef VERSION
	@$(PY) -m towncrier build --yes --version $(VERSION)
else
	@$(PY) -m towncrier build --draft
endif

clean:
	rm -rf .venv .venv-* build dist docs/_build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
