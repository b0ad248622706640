#!/usr/bin/env bash
# pyspark 4.1.2 with its py4j 0.10.9.9: a frame that Python has dropped keeps its plan and its broadcast tables in the JVM. py4j's
# JavaObject keeps a member object for each method that was called, and the member refers back to it. The two are a reference cycle,
# so dropping the frame tells the JVM nothing until Python's cyclic collector finds the two. A frame that lives while some thousand
# objects are made, such as the rows it returns, is in the oldest generation by then. Python looks at that when a quarter as many new
# objects have come as there are old ones, and the JVM's memory plays no part in it: in a process that has loaded large libraries, a
# loop over broadcast joins fills the driver's heap although no frame is in use.
# Seen, beside 3 million objects: 60 joins of 8,000 rows, each dropped at once, hold over 40 broadcast tables of 1 MiB; after
# gc.collect() there are none.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pyspark==4.1.2"
cat > "$folder/frames.py" <<'PY'
import gc
import time

import py4j.version
import pyspark
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
jvm = spark.sparkContext._jvm
libraries = [[n] for n in range(3_000_000)]  # as many objects as large libraries bring


def count_tables():
    """Count the broadcast tables in storage memory, once the JVM's collector and cleaner have run; each has a page of 1 MiB."""
    seen = None
    for _ in range(10):
        jvm.System.gc()
        time.sleep(1)
        last, seen = seen, jvm.org.apache.spark.SparkEnv.get().memoryManager().storageMemoryUsed()
        if last == seen:
            break
    return seen >> 20


def join():
    """Join and drop all frames."""
    small = spark.range(100).withColumn("text", F.lit("x" * 50))
    joined = spark.range(8_000).join(F.broadcast(small), "id", "left")
    assert len(joined.collect()) == 8_000


join()
gc.collect()
before = count_tables()
for _ in range(60):
    join()
dropped = count_tables()
gc.collect()
after = count_tables()
print(pyspark.__version__, "py4j", py4j.version.__version__)
print("broadcast tables: before", before, "after 60 joins", dropped, "after gc.collect()", after)
assert before == 0 and dropped > 40 and after == 0
spark.stop()
PY
export PYSPARK_PYTHON="$folder/venv/bin/python" SPARK_LOCAL_IP=127.0.0.1
"$folder/venv/bin/python" "$folder/frames.py" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
