# Everything here works from a fresh clone: each target installs what it needs first, once.

.PHONY: help run test lint docs dist clean system system-test lint-only docs-only examples coverage
.PHONY: pytest pytest-modern test-torchforce-2 test-install nightly
.NOTPARALLEL:
.DELETE_ON_ERROR:
SHELL := /bin/bash -o pipefail
export PYTHON ?= python3

PLUGIN := .venv/bin
MODERN := .venv-modern/bin
SECOND := .venv-torchforce-2/bin
# Interpreters of `make test-install`; those that are not installed are left out.
PYTHONS ?= python3.11 python3.12 python3.13
# Scripts that `make test` runs in their quick form.
EXAMPLES := examples/aspirin.py examples/better_gaff.py

# Rooms of tests that run on the first stack only: they use OpenMM and the torch backend in ways that other rooms test.
ONCE := additions analysis benchmarks charges core data diagnose docs faults figures reference refinement rules studies \
	tasks validation

# Two test processes, each with one thread.
PYTEST = OMP_NUM_THREADS=1 $(1)/python -m pytest -q -n 2 --durations=10

help:
	@echo 'make run     refine GAFF for aspirin, and compare the shapes of the molecule → runs/aspirin/report.html'
	@echo 'make test    lint, docs, examples, and tests on both stacks'
	@echo 'make lint    ruff and mypy'
	@echo 'make test-torchforce-2  the tests on the second plugin stack'
	@echo 'make test-install  every pip line of docs/install.md in a clean environment (an hour) → runs/install.json'
	@echo 'make nightly  2000 random cases, and checks of dynamics (hours) → runs/fuzz.json, runs/validation.json'
	@echo 'make coverage  tests of the plugin stack, with the covered share of each module (slower)'
	@echo 'make docs    the documentation → docs/_build/html/index.html'
	@echo 'make dist    an sdist and a wheel → dist/'
	@echo 'make clean   remove the environments, caches and built docs (runs/ stays)'
	@echo 'First use installs into .venv (8 GB) and, for the tests, .venv-modern (2 GB).'
	@echo 'PYTHON=python3.12 picks an interpreter, SYSTEM_PACKAGES=skip leaves the system as it is.'

run: .venv/.ready
	$(PLUGIN)/python examples/aspirin.py

test: system-test .venv/.ready .venv-modern/.ready lint-only docs-only examples pytest pytest-modern
	@tail -qn 1 .venv/pytest.log .venv-modern/pytest.log

lint: .venv/.ready lint-only
docs: .venv/.ready docs-only

# --no-isolation: the build backend comes with the extra "test", so nothing is downloaded here.
dist: .venv/.ready
	rm -f dist/openmm_hybrid-*
	$(PLUGIN)/python -m build --no-isolation --outdir dist .

lint-only:
	$(PLUGIN)/ruff format --check .
	$(PLUGIN)/ruff check .
	$(PLUGIN)/mypy

docs-only:
	$(PLUGIN)/sphinx-build -W --keep-going -q docs docs/_build/html

examples:
	set -e; for script in $(EXAMPLES); do OPENMM_HYBRID_QUICK=1 $(PLUGIN)/python $$script; done

pytest:
	$(call PYTEST,$(PLUGIN)) | tee .venv/pytest.log

pytest-modern:
	$(call PYTEST,$(MODERN)) $(ONCE:%=--ignore=tests/%) | tee .venv-modern/pytest.log

# Not a part of `make test`, because tracing makes the tests slower.
test-torchforce-2: system-test .venv-torchforce-2/.ready
	$(call PYTEST,$(SECOND))

test-install: system .venv/.ready
	mkdir -p runs
	$(PLUGIN)/python -m benchmarks.install --keep runs/install-parts.json \
		$(foreach each,$(PYTHONS),$(if $(shell command -v $(each)),--python $(each))) > runs/install.json

# Both resume after a stop; what a commit has finished is not done again. The second runs even if the first fails.
nightly: .venv/.ready
	mkdir -p runs
	status=0; \
	$(PLUGIN)/python -m benchmarks.fuzz --cases 2000 --keep runs/fuzz-parts.json > runs/fuzz.json || status=1; \
	$(PLUGIN)/python -m benchmarks.validation --keep runs/validation-parts.json > runs/validation.json || status=1; \
	exit $$status

coverage: .venv/.ready
	$(call PYTEST,$(PLUGIN)) --cov=openmm_hybrid --cov-report=term:skip-covered

system:
	@tools/bootstrap.sh system run

system-test:
	@tools/bootstrap.sh system test

# The versions come first: otherwise pip downloads the newest torch before it finds that an extra requires another.
.venv/.ready: pyproject.toml | system
	tools/bootstrap.sh venv .venv 'openmm==8.4.*' 'torch==2.9.*' -e '.[torchforce,gaff,openff,labels,free-energy,cluster,validation,test,docs]'

.venv-modern/.ready: pyproject.toml | system
	tools/bootstrap.sh venv .venv-modern 'openmm>=8.6.1' 'torch==2.13.0' -e '.[gaff,openff,labels,free-energy,cluster,validation,openmm-ml,test]'

.venv-torchforce-2/.ready: pyproject.toml | system
	tools/bootstrap.sh venv .venv-torchforce-2 'openmm==8.5.2' 'torch==2.12.1' \
		-e '.[torchforce-2,gaff,openff,labels,free-energy,cluster,validation,test]'

clean:
	rm -rf .venv .venv-modern .venv-torchforce-2 .coverage docs/_build .mypy_cache .pytest_cache .ruff_cache
