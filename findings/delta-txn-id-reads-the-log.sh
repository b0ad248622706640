#!/usr/bin/env bash
# delta-spark 4.4.0 on pyspark 4.1.2: an append with txnAppId and txnVersion, which make it idempotent, runs three Spark jobs
# more than one without, every time: Delta computes the whole state of the table to find the application's last version. On a
# small table this is most of the append's time, and it grows with the log. Set the two options only on appends that may be
# repeated.
# Seen: 4 jobs and 0.76 s with them, 1 job and 0.21 s without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pyspark==4.1.2" "delta-spark==4.4.0"
cd "$folder"
cat > appends.py <<'PYTHON'
import statistics
import sys
import time
import uuid

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

builder = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.databricks.delta.snapshotPartitions", "2")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
)
spark = configure_spark_with_delta_pip(builder).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")


def append(options):
    """Append a row, and return the number of Spark jobs and seconds that it took."""
    group = str(uuid.uuid4())
    spark.sparkContext.setJobGroup(group, group)
    begun = time.monotonic()
    spark.range(1).write.format("delta").mode("append").options(**options).save("table")
    seconds = time.monotonic() - begun
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group)), seconds


append({})
found = {"plain": [], "with a transaction id": []}
for _ in range(8):  # fewer than the ten commits after which Delta writes a checkpoint
    found["with a transaction id"].append(append({"txnAppId": str(uuid.uuid4()), "txnVersion": 0}))
for _ in range(8):
    found["plain"].append(append({}))
for name, appends in found.items():
    jobs = [n for n, _ in appends]
    print(f"{name}: {jobs} jobs, {statistics.median(seconds for _, seconds in appends):.2f} s in the median")
plain, with_id = (statistics.median(n for n, _ in found[name]) for name in found)
spark.stop()
sys.exit(0 if with_id > plain else "an append with a transaction id runs no more jobs than one without")
PYTHON
"$folder/venv/bin/python" appends.py 2>/dev/null
