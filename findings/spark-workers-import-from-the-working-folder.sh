#!/usr/bin/env bash
# Spark 4.1.2: Python workers of local mode import from the working folder of the driver first, before PYTHONPATH. The driver itself,
# started as `python path/to/job.py`, does not look there at all. A folder in the place where a job is started, such as a checkout
# of an older version, is then what the UDFs run with, while the driver runs with the module that PYTHONPATH names.
# Seen: driver "from PYTHONPATH", worker "from the working folder".
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.1.2
mkdir -p "$folder/path" "$folder/work" "$folder/jobs"
echo 'PLACE = "from PYTHONPATH"' > "$folder/path/placed.py"
echo 'PLACE = "from the working folder"' > "$folder/work/placed.py"
cat > "$folder/jobs/job.py" <<'PY'
from pyspark.sql import SparkSession


def worker_place(_):
    import placed

    return placed.PLACE


import placed

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
found = spark.sparkContext.parallelize([0], 1).map(worker_place).first()
print("driver", placed.PLACE, "| worker", found)
assert (placed.PLACE, found) == ("from PYTHONPATH", "from the working folder")
spark.stop()
PY
cd "$folder/work"
PYTHONPATH="$folder/path" "$folder/venv/bin/python" "$folder/jobs/job.py" 2>/dev/null
