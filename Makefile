# Every target first makes .venv from requirements.lock when it is missing or old, so there is no
# set-up step. Stamps carry the checksum of what they were made from: right after any git operation,
# where file times are not.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PY := .venv/bin/python
STAGE := tools/stage
sum = $(shell cat $(1) 2>/dev/null | cksum | cut -d' ' -f1)

# With the folder's own name: an environment that was moved no longer works.
VENV := .venv/.lock-$(shell { cat requirements.lock; pwd; } | cksum | cut -d' ' -f1)
INSTALLED := .venv/.installed-$(call sum,pyproject.toml)
VENDOR := book/_static/vendor/.lock-$(call sum,package-lock.json tools/vendor)
# Names and contents, so that a deleted or renamed page counts as a change. Generated files do not.
BOOK := _build/.sources-$(shell find book transpde _config.yml _toc.yml CHANGELOG.md requirements.lock \
  package-lock.json -type f -not -path '*/__pycache__/*' -not -path '*/.*' -not -path 'book/_static/vendor/*' \
  -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 cksum | cksum | cut -d' ' -f1)

# Tests at the same time: make test WORKERS=8 on a larger machine.
WORKERS := 2

# One thread and no hash randomness: the same numbers on every machine. A reader's own matplotlib
# and IPython settings must not change a figure either.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export PYTHONHASHSEED := 0
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
export IPYTHONDIR := $(CURDIR)/.venv/ipython
# In a kernel this variable would switch off the inline figures, so it is set for the unit tests only.
unexport MPLBACKEND
# Without files of compiled code each worker and kernel would compile package and tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help book test lint weights unit coverage notebooks fresh-book browser check-wheel check-environment figures bench \
  pdf chapter notebook lock environment clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r t d; do printf '%-20s%s\n' "$$t" "$$d"; done

book: ## build the book (nothing to do when no source changed)
	@if test -e $(INSTALLED) && test -e $(VENDOR) && test -e $(BOOK); \
	  then echo '== book: up to date, 0 s'; else $(MAKE) --no-print-directory $(BOOK); fi
	@echo 'The book is built: open _build/html/index.html'

test: lint unit notebooks fresh-book browser check-wheel check-environment ## everything the project promises
	@echo 'All checks passed.'

lint: $(INSTALLED) ## ruff (code and notebooks) and mypy
	@$(STAGE) 'ruff check' $(PY) -m ruff check .
	@$(STAGE) 'ruff format' $(PY) -m ruff format --check .
	@$(STAGE) 'mypy' $(PY) -m mypy

unit: weights-if-possible ## unit tests and docstring examples
	@$(STAGE) 'unit tests' env MPLBACKEND=Agg $(PY) -m pytest -n $(WORKERS) --dist worksteal --doctest-modules --ignore=tests/browser tests transpde

coverage: $(INSTALLED) ## lines and branches of the package that the unit tests run
	@$(STAGE) 'coverage' env MPLBACKEND=Agg $(PY) -m pytest --cov --cov-report=term-missing:skip-covered \
	  --cov-fail-under=95 --doctest-modules --ignore=tests/browser tests transpde

# A notebook's cells share a kernel, so one worker runs them all (loadfile). pytest says 5 where it
# finds no notebook: a failure here, as it should be.
notebooks: weights-if-possible ## run every notebook and compare with its stored outputs
	@$(STAGE) 'notebooks' $(PY) -m pytest -n $(WORKERS) --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=600 book

weights: $(INSTALLED) ## fetch the weights of the part on a real Transformer (83 MB) into the user's cache
	@$(STAGE) 'weights' $(PY) tools/weights.py

# Tests that need them are skipped where they cannot be had, and fail in CI.
.PHONY: weights-if-possible
weights-if-possible: $(INSTALLED)
	@$(STAGE) 'weights' $(PY) tools/weights.py || echo 'Tests that need them are left out; to fetch them: make weights'

fresh-book: ## build the book from nothing, warnings as errors
	@rm -rf _build
	@$(MAKE) --no-print-directory book

# Always from nothing: Sphinx re-reads changed pages only, so an incremental build forgets the warnings
# of the pages it skips (a broken link passes at the second try) and keeps files that should be gone.
$(BOOK): $(INSTALLED) $(VENDOR)
	@rm -rf _build
	@$(STAGE) 'book' .venv/bin/jupyter-book build . -W -n --keep-going -q
	@touch $@

ifeq ($(BROWSER),skip)
browser:
	@echo '== browser: left out, as BROWSER=skip says'
else
browser: book ## open every page of the built book in Chromium (BROWSER=skip leaves that out)
	@$(STAGE) 'browser' $(PY) -m pytest -n $(WORKERS) tests/browser
endif

check-wheel: $(INSTALLED) ## build the wheel, install it alone elsewhere, run a flow
	@$(STAGE) 'wheel' tools/check-wheel

check-environment: $(INSTALLED) ## install environment.yml's packages, run a notebook there, render Binder's image
	@$(STAGE) 'environment' tools/check-environment $(NB)

figures: $(INSTALLED) ## recompute every reproduced figure
	@$(STAGE) 'figures' $(PY) -m transpde.figures --all

# The peers live in an environment of their own: no one needs torch to read or test the book.
bench: $(INSTALLED) ## time sums over tokens side by side with their peers, at most 30 minutes
	@test -x .venv-bench/bin/python || $(STAGE) 'environment of the peers' tools/bench-venv
	@$(STAGE) 'benchmarks' .venv-bench/bin/python benchmarks/attention.py --out benchmarks/attention.json
	@$(STAGE) 'scaling' .venv-bench/bin/python benchmarks/scaling.py --out benchmarks/scaling.json
	@$(STAGE) 'flows' .venv-bench/bin/python benchmarks/flows.py --out benchmarks/flows.json
	@$(STAGE) 'gradients' .venv-bench/bin/python benchmarks/gradients.py --out benchmarks/gradients.json

# TeX is a matter of the machine, so printing is no part of the tests.
pdf: $(INSTALLED) ## print the book: _build/transpde.pdf (needs TeX, and says which packages)
	@$(STAGE) 'pdf' tools/pdf
	@echo 'The book is printed: open _build/transpde.pdf'

# NB and TITLE come from the command line as they were typed: to make and to the shell they are text.
override NB := $(value NB)
override TITLE := $(value TITLE)
export NB TITLE

notebook: $(INSTALLED) ## run one notebook in place: make notebook NB=book/gaussian/preservation.ipynb
	@test -n "$$NB" || { echo 'Say which one: make notebook NB=book/gaussian/preservation.ipynb' >&2; exit 1; }
	@$(STAGE) "$$NB" $(PY) tools/execute.py "$$NB"

chapter: $(INSTALLED) ## write a new chapter to fill in: make chapter NB=book/gaussian/name.ipynb TITLE='A title'
	@test -n "$$NB" && test -n "$$TITLE" || { echo "Say which: make chapter NB=book/gaussian/name.ipynb TITLE='A title'" >&2; exit 1; }
	@$(PY) tools/new_chapter.py "$$NB" "$$TITLE"

lock: ## resolve again what pyproject.toml and package.json ask for (UPGRADE=1 takes newer releases)
	@$(STAGE) 'lock' tools/lock $(if $(UPGRADE),--upgrade)
	@$(MAKE) --no-print-directory environment

environment: $(INSTALLED) ## write environment.yml from the lock
	@$(PY) tools/environment.py

clean: ## remove what was built, keep what was installed
	rm -rf _build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

distclean: clean ## remove what was installed, too
	rm -rf .venv .venv-bench node_modules book/_static/vendor

$(VENV):
	@$(STAGE) 'python environment' tools/venv
	@touch $@

# Without build isolation the build backend is the locked one.
$(INSTALLED): $(VENV)
	@$(STAGE) 'transpde, editable' $(PY) -m pip install -qq --no-build-isolation --no-deps --editable .
	@rm -f .venv/.installed-* && touch $@

$(VENDOR):
	@$(STAGE) 'browser code' tools/vendor
	@touch $@
