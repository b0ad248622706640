#!/usr/bin/env bash
# Delta 3.3.3 on Spark 3.5.9: DeltaTable.forName takes no name of three parts, not even one in the session's own catalog, and fails with a
# syntax error of Spark's parser. spark.table, spark.catalog.tableExists and SQL's MERGE take the same name.
# Seen: forName('spark_catalog.default.t') raises ParseException [PARSE_SYNTAX_ERROR]; forName('default.t') opens the table.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==3.5.9 delta-spark==3.3.3
cd "$folder"
venv/bin/python - <<'PY' 2>/dev/null
from delta import DeltaTable, configure_spark_with_delta_pip
from pyspark.errors import ParseException
from pyspark.sql import SparkSession

builder = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
)
spark = configure_spark_with_delta_pip(builder).getOrCreate()
name = "spark_catalog.default.t"
spark.sql(f"CREATE TABLE {name} (a INT) USING delta")
spark.sql(f"MERGE INTO {name} AS old USING (SELECT 1 AS a) AS new ON old.a = new.a WHEN NOT MATCHED THEN INSERT *")
print("tableExists:", spark.catalog.tableExists(name), "rows:", spark.table(name).count())
assert spark.catalog.tableExists(name) and spark.table(name).count() == 1
assert DeltaTable.forName(spark, "default.t").toDF().count() == 1
try:
    DeltaTable.forName(spark, name)
except ParseException as error:
    print("forName:", str(error).strip().splitlines()[0])
    assert "PARSE_SYNTAX_ERROR" in str(error)
else:
    raise SystemExit("forName takes three parts now")
spark.stop()
PY
