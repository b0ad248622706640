#!/usr/bin/env bash
# What a cluster needs that has no pip: the wheel, a relocatable environment and the jobs, in dist/. `make package` sets the variables:
#   PYTHON   base Python of the environment; the workers need the same one at the same path
#   EXTRAS   extras of the wheel: none of `gpu` and `cpu` for jobs that start no engine
#   WITH     further requirements, such as a package of your own
#   DELTA    version of Delta's Python package, without its dependencies; empty where the platform has it
#   DIST     folder of the results
set -euo pipefail
cd "$(dirname "$0")/.."
VENV="${VENV:-.venv}"; PYTHON="${PYTHON:-python3}"; EXTRAS="${EXTRAS-warc}"; WITH="${WITH:-}"; DELTA="${DELTA-4.4.0}"; DIST="${DIST:-dist}"
BIN="$VENV/bin"
# Wheels and bytecode hold times; with a fixed one the same sources make the same wheel.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1700000000)}"; export SOURCE_DATE_EPOCH

say() { printf 'package: %s\n' "$*"; }
fail() { printf 'package: %s\n' "$*" >&2; exit 1; }
size() { du -h "$1" | cut -f1; }

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null ||
    fail "PYTHON=$PYTHON is no Python 3.11 to 3.13: name one that the workers have too, such as PYTHON=/usr/bin/python3.11"
# Without a word, uv leaves out an extra that is none.
"$BIN/python" - "$EXTRAS" <<'END' || fail "EXTRAS=$EXTRAS: name extras of setup.py, such as EXTRAS=gpu,warc"
import sys
from importlib.metadata import metadata
sys.exit(not set(sys.argv[1].split(",")) <= {"", *metadata("prox_spark").get_all("Provides-Extra")})
END
# The environment of an environment would lead to a folder of this machine.
base="$("$PYTHON" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))')"
prefix="$("$PYTHON" -c 'import sys; print(sys.base_prefix)')"
work="$(mktemp -d)"; trap 'rm -rf "$work"' EXIT
mkdir -p "$DIST"; rm -rf "$DIST/jobs" "$DIST"/prox_spark-*.whl "$DIST/env.tar.gz"

# Built in a copy: `build/` of a checkout may hold modules that are gone, and they would be in the wheel.
mkdir "$work/source"
tar -cf - --exclude __pycache__ setup.py pyproject.toml README.md LICENSE prox_spark udfs conf | tar -xf - -C "$work/source"
"$BIN/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w "$DIST" "$work/source"
wheel="$(echo "$DIST"/prox_spark-*.whl)"

"$base" -m venv --without-pip "$work/env"
# A relative path with a space in it would be no requirement.
requirements=("$(realpath "$wheel")${EXTRAS:+[$EXTRAS]}")
# shellcheck disable=SC2206  # WITH is a list of words
requirements+=($WITH)
install=(--quiet --python "$work/env/bin/python" --link-mode copy)
options=("${install[@]}")
case ",$EXTRAS," in
    *,gpu,*) options+=(--constraint conf/requirements/gpu.txt) ;;
    *,cpu,*) options+=(--constraint conf/requirements/cpu.txt --override conf/requirements/overrides.txt) ;;
    *) options+=(--constraint conf/requirements/cpu.txt) ;;
esac
say "installing ${requirements[*]##*/} for $base"
"$BIN/uv" pip install "${options[@]}" "${requirements[@]}"
if [ -n "$DELTA" ]; then
    # Its dependency pyspark is the cluster's own, and so may its version be another than the checkout's.
    "$BIN/uv" pip install "${install[@]}" --no-deps "delta-spark==$DELTA"
fi
# Thousands of files that no job imports.
rm -rf "$work"/env/lib/python3.*/site-packages/{numpy,pandas,pyarrow}/tests "$work"/env/lib/python3.*/site-packages/pyarrow/include
# Executors can't keep what they compile. Bytecode that holds no times is valid wherever and however it is unpacked. A few files of
# the packages are templates, which nothing compiles.
"$work/env/bin/python" -m compileall -qq -j 0 --invalidation-mode unchecked-hash -s "$work/env" -p env "$work/env/lib" >/dev/null || :
"$BIN/venv-pack" --quiet --prefix "$work/env" --output "$DIST/env.tar.gz" --force
chmod 644 "$DIST/env.tar.gz"
rm -rf "$work/env"
mkdir "$DIST/jobs"; cp jobs/*.py "$DIST/jobs/"

# At another place than it was made, as on a worker.
mkdir "$work/moved"; tar -xzf "$DIST/env.tar.gz" -C "$work/moved"
PATH="$work/moved/bin:$PATH" "$work/moved/bin/prox-spark" --version >/dev/null || fail "$DIST/env.tar.gz does not run where it is unpacked"
[ "$("$work/moved/bin/python" -c 'import sys; print(sys.base_prefix)')" = "$prefix" ] || fail "$DIST/env.tar.gz has another base Python than $prefix"

say "$wheel ($(size "$wheel")): for pip, Databricks and images"
say "$DIST/env.tar.gz ($(size "$DIST/env.tar.gz")): for clusters without pip; every host needs the base Python $base ($prefix)"
say "$DIST/jobs: $(cd "$DIST/jobs" && echo *.py)"
shown="$(printf %q "$DIST")"
cat <<END

YARN, driver on the cluster:
  spark-submit --master yarn --deploy-mode cluster --archives $shown/env.tar.gz#env \\
    --conf spark.pyspark.python=./env/bin/python $shown/jobs/refine.py --lake hdfs:///lake …
Standalone, or YARN with the driver here (unpack it once: mkdir $shown/env && tar -xzf $shown/env.tar.gz -C $shown/env):
  spark-submit --master spark://HOST:7077 --archives $shown/env.tar.gz#env \\
    --conf spark.pyspark.python=./env/bin/python --conf spark.pyspark.driver.python=$shown/env/bin/python \\
    $shown/jobs/refine.py --lake hdfs:///lake …
END
