#!/usr/bin/env bash
# pyspark 4.1.2: a scalar Arrow UDF that returns a struct fails if a field of its declared type has metadata, such as the comment
# of a table's column. Spark compares the declared and the returned type including metadata, but prints both without it:
# ARROW_TYPE_MISMATCH, with the same type as "expected" and "got". mapInArrow accepts the same type.
# Seen: the two types in the message are equal, and the UDF works without the metadata.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.1.2 "pyarrow==26.0.1" "pandas<3"
PYSPARK_PYTHON="$folder/venv/bin/python" "$folder/venv/bin/python" - <<'PY' 2>/dev/null
import re

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")


def halve(numbers: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array([n / 2 for n in numbers.to_pylist()])], names=["half"])


def result(metadata):
    kind = T.StructType([T.StructField("half", T.DoubleType(), True, metadata)])
    try:
        return [row.out.half for row in spark.range(3).select(F.arrow_udf(halve, kind)("id").alias("out")).collect()]
    except Exception as error:
        text = str(error)
        found = re.search(r"expected (StructType\(.*\)), got (StructType\(.*\))\. SQLSTATE", text)
        return text.partition("ARROW_TYPE_MISMATCH")[1], found and found[1] == found[2]


plain, commented = result(None), result({"comment": "half of it"})
print(plain, commented)
assert plain == [0.0, 0.5, 1.0]
assert commented == ("ARROW_TYPE_MISMATCH", True)
spark.stop()
PY
