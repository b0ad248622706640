#!/usr/bin/env bash
# Spark 4.1.2: xxhash64() and hash() skip nulls, so the hash of a row stays the same when a value moves to another column. A row
# hash for change detection must replace nulls.
# Seen: xxhash64(null, 'a') = xxhash64('a', null) = xxhash64('a').
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.1.2
"$folder/venv/bin/python" - <<'PY' 2>/dev/null
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
row = spark.sql(
    "SELECT xxhash64(null, 'a') AS first, xxhash64('a', null) AS second, xxhash64('a') AS alone, hash(null, 1) = hash(1, null) AS same"
).first()
print(row.first, row.second, row.alone, row.same)
assert row.first == row.second == row.alone and row.same
spark.stop()
PY
