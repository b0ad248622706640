#!/usr/bin/env bash
# Set-up of a checkout: virtual environment, Delta JAR, CPU refiner. Each step is skipped when its result is there.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV="${VENV:-.venv}"; PYTHON="${PYTHON:-python3}"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# With JAVA_TOOL_OPTIONS set, the first line is about these and not the version.
java_major() { "$1" -version 2>&1 | sed -nE 's/^[[:alnum:]]+ version "([0-9]+).*/\1/p'; }
java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
command -v "$java" >/dev/null 2>&1 || fail "Java 17 is missing: install it (Debian/Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) and set JAVA_HOME."
[ "$(java_major "$java")" -ge 17 ] 2>/dev/null || fail "Spark needs Java 17 or newer, $java is $(java_major "$java"): install openjdk-17-jre-headless and set JAVA_HOME to it."
"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || fail "Python 3.11 to 3.13 is needed: make PYTHON=python3.11 …"

# What an engine and a Python worker of Spark import.
IMPORTED="import prox_spark.engine.process.server, vllm.v1.worker.cpu_worker, vllm.model_executor.models.llama, peft, pyspark.worker, pandas, pyarrow, prox_spark.udfs.generate, prox_spark.udfs.parse, prox_spark.udfs.prompts, prox_spark.cli"

# The stamp is a hash of all that decides what is installed: a changed pin installs again.
want="$(cat setup.py prox_spark/__init__.py conf/setup.sh conf/requirements/{cpu,overrides}.txt | sha256sum | cut -c1-64) $(pwd)"
if [ "$(cat "$VENV/.prox-spark-setup" 2>/dev/null)" != "$want" ]; then
    say "making $VENV (about 1.5 GB to download on a fresh machine)"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    [ -x "$VENV/bin/uv" ] || "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.5"
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" \
        --override conf/requirements/overrides.txt --constraint conf/requirements/cpu.txt -e '.[spark,cpu,warc,docs,dev]'
    # uv compiles nothing, other than pip, and with PYTHONDONTWRITEBYTECODE, as many images have it, no process keeps what it
    # compiled: each engine would spend 20 s on that. So it is done once, here.
    say "compiling what is imported and fetching the Delta JAR"
    unset PYTHONDONTWRITEBYTECODE
    log="$(mktemp -d)"
    "$VENV/bin/python" -c "$IMPORTED" >"$log/vllm" 2>&1 & importing=$!
    trap 'kill "$importing" 2>/dev/null || :; rm -rf "$log"' EXIT
    "$VENV/bin/python" -m prox_spark.session >"$log/jar" 2>&1 || { cat "$log/jar" >&2; fail "the Delta JAR could not be fetched from Maven Central."; }
    wait "$importing" || { cat "$log/vllm" >&2; fail "vLLM can't be imported."; }
    trap - EXIT; rm -rf "$log"
    printf '%s' "$want" > "$VENV/.prox-spark-setup"
    say "environment ready"
fi
"$VENV/bin/prox-spark" refiners build web-135m
