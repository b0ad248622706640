#!/usr/bin/env bash
# Spark 4.1.2: from_json() keeps unparsable input in a field called _corrupt_record, if the schema has one: the value of such a
# key in valid JSON becomes null. The option columnNameOfCorruptRecord gives this field another name.
# Seen: null by default, 'mine' with the option.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.1.2
"$folder/venv/bin/python" - <<'PY' 2>/dev/null
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
json, schema = """'{"_corrupt_record": "mine", "a": 1}'""", "'_corrupt_record STRING, a INT'"
plain = spark.sql(f"SELECT from_json({json}, {schema}) AS j").first().j
named = spark.sql(f"SELECT from_json({json}, {schema}, map('columnNameOfCorruptRecord', 'x')) AS j").first().j
print(plain, named)
assert plain._corrupt_record is None and plain.a == 1 and named._corrupt_record == "mine"
spark.stop()
PY
