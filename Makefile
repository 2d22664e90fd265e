# Everything a newcomer needs: `make study`, `make test`.
PYTHON ?= python3
STUDY ?= default
BIN := .venv/bin
# Four files at a time: many tests wait for processes, and two cores are busy all the same.
AT_ONCE := -n 4 --dist loadfile

.PHONY: setup study test test-all siege lint docs bench gpu-check clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "installing the pinned packages (some minutes, once)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

study: setup
	$(BIN)/sgu-study run studies/$(STUDY).yaml
	$(BIN)/sgu-report front $(STUDY)
	$(BIN)/sgu-report html $(STUDY)

test: setup
	$(BIN)/pytest $(AT_ONCE) --no-loadscope-reorder -m "not long and not siege"

test-all: setup
	$(BIN)/pytest $(AT_ONCE) -m "not siege"

# Half an hour on two idle cores, before a release; docs/cluster.md says what it needs
siege: setup
	$(BIN)/pytest -m siege -rs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --allow-untyped-calls --no-warn-return-any --follow-imports=silent examples/*.py examples/extensions

docs: setup .venv-docs/ready
	@mkdir -p build/docs
	@for command in "sgu" "sgu audit" "sgu compare" "sgu data check" "sgu-study" "sgu-report"; do \
		COLUMNS=96 TERM=dumb $(BIN)/$$command --help > build/docs/$$(echo $$command | tr " " -).txt; \
	done
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --clean

.venv-docs/ready: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r requirements-docs.lock
	@touch $@

bench: setup
	$(BIN)/python benchmarks/auditor.py

# 8 minutes at most, on a machine with a GPU; DATA=cifar10 for its real figures
gpu-check: setup
	$(BIN)/python benchmarks/gpu_check.py --data $(or $(DATA),embedded)

clean:
	rm -rf .venv .venv-docs build results
