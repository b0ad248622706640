#!/usr/bin/env bash
# pyspark 4.1.2: DataFrameWriter.mode documents `error` and `errorifexists` as two names of the default. A classic session takes both.
# The client of Spark Connect takes `error` only, and refuses the other when the frame is written: UNSUPPORTED_OPERATION, although
# its own protocol calls the mode SAVE_MODE_ERROR_IF_EXISTS. So a job that names its mode fails when it is moved to Spark Connect.
# Seen: both names write in a classic session; over Spark Connect `error` writes and `errorifexists` is an error.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pyspark[connect]==4.1.2" "pyarrow==26.0.1" "pandas<3"
cat > "$folder/write.py" <<'PY'
import sys

import pyspark
from pyspark.sql import SparkSession

kind, folder = sys.argv[1:]
builder = SparkSession.builder.config("spark.ui.enabled", "false")
spark = (builder.remote("local[1]") if kind == "connect" else builder.master("local[1]")).getOrCreate()


def write(mode):
    try:
        spark.range(1).write.mode(mode).parquet(f"{folder}/{kind}-{mode}")
        return "written"
    except Exception as error:
        return str(error).strip()


found = {mode: write(mode) for mode in ("error", "errorifexists")}
print(pyspark.__version__, kind, found)
refusal = "[UNSUPPORTED_OPERATION] errorifexists is not supported."
assert found == {"error": "written", "errorifexists": refusal if kind == "connect" else "written"}
spark.stop()
PY
export PYSPARK_PYTHON="$folder/venv/bin/python" SPARK_LOCAL_IP=127.0.0.1
for kind in classic connect; do
    "$folder/venv/bin/python" "$folder/write.py" "$kind" "$folder" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
done
