# Everything starts here: `make demo` and `make test` set up by themselves what is missing.
VENV   ?= .venv
PYTHON ?= python3
INPUT  ?=
LAKE   ?=
# Test files side by side; most of a test's time is a start, of a JVM or an engine, and that keeps one core busy.
JOBS   ?= 2
BIN    := $(VENV)/bin

.PHONY: setup demo test test-matrix lint docs package bench clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: ## make the virtual environment, fetch the Delta JAR, build the CPU refiner (seconds when done before)
	@VENV="$(VENV)" PYTHON="$(PYTHON)" bash conf/setup.sh

demo: setup ## refine the sample, or your own data with INPUT=path, and show what happened
	@$(BIN)/prox-spark demo $(if $(LAKE),--lake "$(LAKE)") $(if $(INPUT),"$(INPUT)")

test: setup lint .cache/airflow/installed .cache/daft/installed ## ruff, mypy and all tests (those marked `shared` only where PROX_SPARK_SHARED is a folder)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --basetemp "$$(mktemp -d)" \
		--cov --cov-report= $(ARGS)
	@echo "covered lines, without those that run in Spark's workers and engines: $$($(BIN)/coverage report --format=total) %"

test-matrix: setup ## the demo and the Spark tests on Spark 3.5 to 4.2 and Python 3.11 to 3.13 (an hour; MATRIX=3.5.9-py3.11 for one)
	@bash tests/matrix.sh $(MATRIX)

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: setup ## build the documentation site in build/docs; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

package: setup ## the wheel, a relocatable environment and the jobs, in dist/ (EXTRAS=gpu,warc PYTHON=/usr/bin/python3.11)
	@VENV="$(VENV)" PYTHON="$(PYTHON)" bash conf/package.sh

# Airflow has an environment of its own, as it has on a worker: neither Spark nor prox_spark is in it.
.cache/airflow/installed: conf/requirements/airflow.txt | setup
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/airflow
	@$(BIN)/uv pip install --quiet --python .cache/airflow/bin/python -r $<
	@touch $@

# Daft wants an older pyarrow than ours.
.cache/daft/installed: conf/requirements/daft.txt | setup
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/daft
	@$(BIN)/uv pip install --quiet --python .cache/daft/bin/python -r $<
	@touch $@

# What ingest is compared with has an environment of its own: its pins are not ours.
.cache/datatrove/installed: benchmarks/common/datatrove.txt | setup
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/datatrove
	@$(BIN)/uv pip install --quiet --python .cache/datatrove/bin/python -r $<
	@touch $@

# Peers of `refine`, with the same vLLM as ours, which their own requirements would replace.
PEERS := benchmarks/side_by_side
.cache/peers/%/installed: $(PEERS)/%.txt $(PEERS)/overrides.txt $(PEERS)/vllm_name/pyproject.toml conf/requirements/overrides.txt | setup
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/peers/$*
	@$(BIN)/uv pip install --quiet --python .cache/peers/$*/bin/python \
		--override conf/requirements/overrides.txt --override $(PEERS)/overrides.txt -r $<
	@$(BIN)/uv pip install --quiet --python .cache/peers/$*/bin/python --no-deps $(PEERS)/vllm_name
	@touch $@

bench: setup .cache/datatrove/installed .cache/peers/datatrove/installed .cache/peers/ray/installed ## the benchmarks, ratios side by side (two hours and more)
	@for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python "$$b" || exit 1; done

clean: ## remove what set-up and the demo made
	rm -rf $(VENV) lake .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache spark-warehouse
