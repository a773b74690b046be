# Needs only Python 3.11-3.13 and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

LOCKED ?= test,offline,sb3,robotics,ogbench,minari,slurm,web,hub

.PHONY: demo test test-marked test-slow torture lint types docs build lock hashes sbom check clean

demo: .venv/demo.done  ## train on a maze and follow an instruction, with figures
	$(BIN)/langrl demo

# Every core takes tests from the others when it has none left; ARGS="tests/envs -x" chooses tests.
PYTEST = $(BIN)/python -m pytest -n auto --dist worksteal

test: .venv/test.done  ## the tests, on all cores; except those of test-marked, test-slow and torture
	$(PYTEST) $(ARGS)

test-marked: .venv/test.done  ## the tests that build wheels, train policies or run documents
	$(PYTEST) -m "(wheel or sb3_training or documents or browser) and not slow"

test-slow: .venv/test.done  ## the statistical checks: minutes to an hour
	$(PYTEST) -m slow

torture: .venv/test.done  ## counted checks that nothing is lost or let in, in one process; ARGS="-k crash" chooses
	$(BIN)/python -m pytest -n 0 -m "" tests/torture $(ARGS)

lint: .venv/dev.done  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Type checkers do not see packages that an editable install maps, so an installed copy is checked.
types: .venv/dev.done  ## types
	rm -rf build/typecheck
	$(INSTALL) --no-deps --no-build-isolation --target build/typecheck .
	cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p langrl
	cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml --strict -p langrl.functional

# Nothing is kept from an earlier build: a page that is gone would leave its file.
docs: .venv/dev.done  ## the documentation, in build/docs; warnings, dead links and wrong examples fail
	rm -rf build/docs
	$(BIN)/python -m sphinx -q -E -W --keep-going docs build/docs
	$(BIN)/python -m pytest -n 0 -q -m "" tests/documentation/test_site.py tests/documentation/test_docstrings.py

build: .venv/dev.done  ## the wheel, in dist/
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

# Hashes are those of the files that pip chooses here: another system has other files.
lock: .venv/pip.done  ## build/locked.txt: the packages with their hashes, for pip install --require-hashes -r
	mkdir -p build
	$(INSTALL) --dry-run --ignore-installed --no-build-isolation --report build/resolved.json '.[$(LOCKED)]'
	$(BIN)/python .ci/lock.py build/resolved.json build/locked.txt

hashes: .venv/pip.done  ## requirements-locked.txt: constraints.txt with the hashes of all systems' files
	$(BIN)/python .ci/hashes.py requirements-locked.txt

sbom: lock  ## build/sbom.cdx.json: the same packages as a CycloneDX bill of materials
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom
	build/tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-format JSON \
	  --output-file build/sbom.cdx.json build/locked.txt

check:  ## all of the above but test-slow on a fresh clone of HEAD; notes HEAD in .git/checked
	.ci/check

clean:  ## remove what make made
	rm -rf .venv build dist *.egg-info

.venv/pip.done:
	$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and 'langrl needs Python 3.11 to 3.13; run make with PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	touch $@

.venv/demo.done: .venv/pip.done pyproject.toml constraints.txt
	$(INSTALL) --no-build-isolation -e .
	touch $@

.venv/test.done: .venv/pip.done pyproject.toml constraints.txt
	$(INSTALL) --no-build-isolation -e '.[test,offline,sb3,robotics,ogbench,minari,slurm,web]'
	touch $@

.venv/dev.done: .venv/pip.done pyproject.toml constraints.txt
	$(INSTALL) --no-build-isolation -e '.[dev,offline,sb3,robotics,ogbench,minari,slurm,web]'
	touch $@
