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

test: setup lint .cache/s3a/installed .cache/airflow/installed .cache/daft/installed ## ruff, mypy and all tests (those marked `shared` only where PROX_SPARK_SHARED is a folder)
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

# What Spark needs for S3, of the Hadoop of Spark 4.1; the SHA-1 sums are Maven Central's.
MAVEN := https://repo1.maven.org/maven2
S3A   := 16f9de6da5c7862241d55a13d34843404d0cbb88:org/apache/hadoop/hadoop-aws/3.4.2/hadoop-aws-3.4.2.jar \
	b63eb928c2ac13bde07746bcfe7fb38bbdb4b5c5:software/amazon/awssdk/bundle/2.29.52/bundle-2.29.52.jar \
	44f8cf72ed9d5f948de0ba29e437a17d723bb7bb:software/amazon/s3/analyticsaccelerator/analyticsaccelerator-s3/1.2.1/analyticsaccelerator-s3-1.2.1.jar
.cache/s3a/installed: Makefile
	@mkdir -p $(@D)
	@for jar in $(S3A); do file="$(@D)/$${jar##*/}"; \
		echo "$${jar%%:*}  $$file" | sha1sum --check --status 2>/dev/null || \
		{ curl -fsSL --retry 3 -o "$$file" "$(MAVEN)/$${jar#*:}" && echo "$${jar%%:*}  $$file" | sha1sum --check --quiet; } || exit 1; done
	@touch $@

# The log store of S3 is compiled where its source was changed; its JAR is part of the repository, so that users need no compiler.
LOG_STORE := prox_spark/lake/s3_log_store
$(LOG_STORE)/prox-spark-log-store.jar: $(LOG_STORE)/S3ConditionalLogStore.java $(LOG_STORE)/build.sh | setup
	@bash $(LOG_STORE)/build.sh $(VENV)/lib/python3.*/site-packages/pyspark/jars

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
