"""A driver that appends rows one by one to a table of a lake. Arguments: settings as JSON in a file, and the table.

It prints `ready` when Spark has started. For each line on standard input, a number, it appends so many rows and prints `done`. At the
end of the input it prints the number of rows of the table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from prox_spark.config import Recipe
from prox_spark.session import build_session

settings, table = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
spark = build_session(Recipe.parse({"spark": {"master": "local[1]", "conf": settings}}))
row = spark.range(1)
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        row.write.format("delta").mode("append").save(table)
    print("done", flush=True)
print(spark.read.format("delta").load(table).count(), flush=True)
spark.stop()
