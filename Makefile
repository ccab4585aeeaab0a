# make run    everything on this machine, at http://127.0.0.1:8080
# make test   lint and all tests, on SQLite and on Postgres; WORKERS=2 at once
# make faults kills, stops and lost answers at every COMMIT and every call, 2,000 random schedules; SEED=N DATABASE=sqlite plays one again
# make translations   the catalogues of other languages brought up to date; prints what waits to be translated
# make demo   the product beside a Zendesk simulator; CHECK=1 plays one breach and reports by exit code
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := run
.PHONY: run test lint demo faults translations bench bench-dst locks clean
.ONESHELL:
.SUFFIXES:
# Images of Python forbid bytecode; .venv is ours, and without it every start would compile everything anew: two seconds, a thousand times in the tests.
unexport PYTHONDONTWRITEBYTECODE

# An environment is named after the lock it was made from: a changed lock makes it anew, an unchanged one costs nothing.
lock_hash = $(shell sha256sum $(1) | cut -c1-16)
RUN_STAMP := .venv/run-$(call lock_hash,requirements.txt)
TEST_STAMP := .venv/test-$(call lock_hash,requirements-test.txt)
BIN := .venv/bin

define find_python
python=""
for candidate in $${PYTHON:-python3.11 python3.12 python3 python}; do
  if "$$candidate" -c 'import sys, pip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then python="$$(command -v "$$candidate")"; break; fi
done
if [ -z "$$python" ]; then
  echo "error: Python 3.11 or 3.12 with pip is needed; $$(python3 --version 2>/dev/null || echo 'no Python') was found. Set PYTHON=/path/to/python3.11 if it lies elsewhere." >&2
  exit 1
fi
endef

# $(1): lock file, $(2): stamp. pip of the found Python fills the environment, so that ensurepip is not needed; the checkout is put on its path.
define make_environment
@$(find_python)
echo "making .venv from $(1) (once per lock)" >&2
if ! [ -x $(BIN)/python ] || ! $(BIN)/python -c '' 2>/dev/null; then
  rm -rf .venv
  "$$python" -m venv --without-pip .venv
fi
if ! "$$python" -m pip --python $(BIN)/python install -qq --no-input --require-hashes --no-deps --no-compile -r $(1); then
  rm -rf .venv
  "$$python" -m venv .venv
  $(BIN)/python -m pip install -q --no-input --require-hashes --no-deps -r $(1)
fi
site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo ../../../.. > "$$site/sla_plugin_checkout.pth"
printf '#!/bin/sh\nexec "$$(dirname "$$(readlink -f "$$0")")/python" -m sla_plugin.cli "$$@"\n' > $(BIN)/sla-plugin
chmod +x $(BIN)/sla-plugin
touch $(2)
endef

run: $(RUN_STAMP)
	@exec $(BIN)/sla-plugin up --end-with-parent

demo: $(RUN_STAMP)
	@exec $(BIN)/python -m sla_plugin.demo $(if $(CHECK),--check)

lint: $(TEST_STAMP)
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	@$(BIN)/pytest -n $(or $(WORKERS),2) $(ARGS)

# a fixed hash seed: what a seed plays is the same every time
faults: $(TEST_STAMP)
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.faults --schedules $(or $(SCHEDULES),2000) --database $(or $(DATABASE),both) $(if $(SEED),--seed $(SEED))

translations: $(TEST_STAMP)
	@$(BIN)/python -m tests.catalogue

bench: $(TEST_STAMP)
	@$(BIN)/python bench/startup.py

bench-dst: $(TEST_STAMP)
	@$(BIN)/python bench/dst.py

$(RUN_STAMP): requirements.txt
	$(call make_environment,requirements.txt,$@)

# The test lock holds everything of the run lock: both are satisfied by it.
$(TEST_STAMP): requirements-test.txt
	$(call make_environment,requirements-test.txt,$@)
	touch $(RUN_STAMP)

# For developers; needs uv. Hashes only, no addresses.
locks:
	@export UV_CUSTOM_COMPILE_COMMAND="make locks"
	uv pip compile -q $(UPGRADE) --universal --generate-hashes --no-annotate --python-version 3.11 pyproject.toml -o requirements.txt
	uv pip compile -q $(UPGRADE) --universal --generate-hashes --no-annotate --python-version 3.11 --extra test -c requirements.txt pyproject.toml -o requirements-test.txt

clean:
	@rm -rf .venv .demo .test .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	echo "data/ is kept: it is yours"
