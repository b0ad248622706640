#!/usr/bin/env bash
# Daft 0.6.14 with deltalake 1.4.2: read_deltalake returns rows that a deletion vector deletes, without a word. Daft looks for the
# vectors among the add actions, where deltalake from 1.2 on no longer has them. Daft 0.7 refuses such tables. It wants
# pyarrow below 26, so that beside a newer pyarrow pip and uv choose 0.6.14.
# Seen: Daft 10 rows, delta-rs itself 7, of a table of ten rows of which three were deleted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.1.2 delta-spark==4.4.0 \
    daft==0.6.14 deltalake==1.4.2 pyarrow==26.0.1 pandas==2.3.3
cd "$folder"
"$folder/venv/bin/python" - <<'PY' 2>/dev/null
import os

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

builder = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
)
spark = configure_spark_with_delta_pip(builder).getOrCreate()
path = f"{os.getcwd()}/table"
spark.range(10).coalesce(1).write.format("delta").option("delta.enableDeletionVectors", "true").save(path)
spark.sql(f"DELETE FROM delta.`{path}` WHERE id < 3")
spark.stop()
PY
"$folder/venv/bin/python" - <<'PY' 2>/dev/null
import daft
import deltalake

table = deltalake.DeltaTable("table")
n_rows = len(deltalake.QueryBuilder().register("t", table).execute("SELECT id FROM t").read_all())
n_daft = daft.read_deltalake("table").count_rows()
print(f"Daft {daft.__version__}: {n_daft} rows; delta-rs {deltalake.__version__}: {n_rows} rows")
assert (n_daft, n_rows) == (10, 7)
PY
