# Verbs, one a job. Each makes what it needs: nothing has to be installed first but Python 3.11 or later.
#
#   run      two real jobs on this machine's own Python: examples/audit.py, then the flow file examples/audit.yaml
#   test     all of CI: lint, types, the wheel, every test with coverage
#   fix      format, and mend what ruff can mend
#   lint     format, ruff, flake8-async, the layers of .importlinter
#   types    pyright and mypy, both strict, over src and tests/typing; no public name without a full type
#   check    build the wheel and test the wheel, with src out of sight
#   docs     the documentation as HTML, into docs/_build
#   screenshots  the pictures of the documentation, into docs/images; ARGS="--only live.png" is one of them
#   faults   plant bugs in copies of the package, and say which test catches each; ARGS="lost" chooses
#   mutants  change the kernel sign by sign, and list what no test sees; ARGS="plait._kernel.waits*" chooses
#   bench    plait beside its peers: one table, written to docs/benchmarks.md; ARGS="chain --quick" is a look
#   matrix   the tests on each Python that plait supports and this machine has
#   news     what the next release's changelog will say; `make news VERSION=1.2.3` writes it

VENV := .venv
PY := $(VENV)/bin/python
BENCH := .venv-bench
MUTANTS := .venv-mutants
MATRIX := 3.11 3.12 3.13
PYTEST := $(PY) -m pytest
# On a machine of two cores; `make test JOBS=8` on a larger one.
JOBS := 2
SPREAD := --numprocesses $(JOBS) --dist worksteal
LONG := tests/faults tests/model

# $(call stage,NAME,COMMAND): name it, run it, say how long it took; what it prints is shown if it fails.
stage = @printf '%-14s' '$(1)'; start=$$(date +%s); printed=$$($(2) 2>&1) \
	|| { code=$$?; printf 'failed\n%s\n' "$$printed"; exit $$code; }; \
	printf 'ok, %s s\n' $$(($$(date +%s) - start))

.PHONY: help run test fix lint types check docs screenshots faults mutants bench matrix news clean

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

$(MUTANTS)/.ready: pyproject.toml .ci/venv
	@sh .ci/venv $(MUTANTS) --group test --group mutants
	@touch $@

# -- verbs ---------------------------------------------------------------------------------------

# ARGS are for the first: with another tree to look at, this machine's Python is not asked for.
run: $(VENV)/.core
	@$(PY) examples/audit.py $(ARGS)
ifndef ARGS
	@printf '\n$$ plait run examples/audit.yaml\n'
	@$(VENV)/bin/plait run examples/audit.yaml --set python=$(PY)
endif

# What tries everything goes first, by itself: under coverage it would take three times as long.
# The other tests come last: pytest's summary is the last line, and machines read it.
test: lint types check
	@sh .ci/system $(VENV)/.system
	$(call stage,faults,$(PYTEST) -q $(SPREAD) $(LONG))
	@$(PYTEST) $(SPREAD) --cov --cov-report=term --cov-fail-under=95 $(LONG:%=--ignore=%)
	@printed=$$($(PY) -m coverage report --include='src/plait/_kernel/*' --fail-under=100) \
		|| { printf 'The kernel is not covered to the last branch:\n%s\n' "$$printed"; exit 1; }

fix: $(VENV)/.dev
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check .

lint: $(VENV)/.dev
	$(call stage,format,$(PY) -m ruff format --check --quiet .)
	$(call stage,ruff,$(PY) -m ruff check --quiet --output-format concise .)
	$(call stage,flake8-async,find src -name '*.py' -print0 | xargs -0 -P $(JOBS) -n 25 \
		$(PY) -m flake8_async --enable=ASYNC --disable=ASYNC124)
	$(call stage,layers,$(VENV)/bin/lint-imports --no-logo --cache-dir $(VENV)/.import-linter)

# The last one looks for the package in the first Python of the PATH: it does not know --pythonpath.
types: $(VENV)/.dev
	$(call stage,pyright,PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY))
	$(call stage,mypy,$(PY) -m mypy --no-error-summary)
	$(call stage,public types,PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m pyright --verifytypes plait --ignoreexternal)

check: $(VENV)/.dev
	$(call stage,wheel,sh .ci/wheel $(PY))

docs: $(VENV)/.docs
	$(call stage,docs,$(PY) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build)
	@echo "open docs/_build/index.html"

screenshots: $(VENV)/.dev
	@sh .ci/system $(VENV)/.system
	@$(PY) docs/screenshots.py $(ARGS)

faults: $(VENV)/.dev
	@$(PY) -m tests.faults.planted $(ARGS)

# Few examples first. What is left deserves more: HYPOTHESIS_PROFILE=ci make mutants ARGS="its names".
# A mutant may fill a list for ever: hence the limit, in KB.
mutants: $(MUTANTS)/.ready
	@ulimit -v 4000000; HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-quick} nice $(MUTANTS)/bin/mutmut run $(ARGS)
	@$(MUTANTS)/bin/mutmut results | grep -v ': not checked' || true

bench: $(BENCH)/.ready
	@$(BENCH)/bin/python -m benchmarks $(or $(ARGS),--write)

matrix:
	@sh .ci/matrix $(MATRIX)

news: $(VENV)/.dev
ifdef VERSION
	@$(PY) -m towncrier build --yes --version $(VERSION)
else
	@$(PY) -m towncrier build --draft
endif

clean:
	rm -rf .venv .venv-* build dist docs/_build mutants .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
