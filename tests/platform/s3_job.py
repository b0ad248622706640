"""What a user does with a lake on S3, command by command, in one process and one session.

Arguments: a recipe, a JSON file with the user's wrong keys and the secrets that nobody may see, and a folder for what is found.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from prox_spark import cli
from prox_spark.config import Recipe
from prox_spark.session import build_session

recipe, notes, folder = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
spark = build_session(Recipe.load(recipe))


def run(*arguments: str) -> None:
    """Run a command of prox-spark and print its status."""
    print(f"== {arguments[0]}", flush=True)
    print(f"== status {cli.main([*arguments, '--recipe', recipe])}", flush=True)


run("ingest", "s3a://crawl/parquet/*.parquet")
run("ingest", "s3a://vault/more.jsonl", "s3://custom/given.jsonl")
run("demo", "s3://crawl/pages/")
run("apply", "--set", "apply.drop_threshold=0.5")
run("compare", "--with", "apply.semantics=reference")
run("sql", "SELECT source, count(*) AS n FROM refined GROUP BY source ORDER BY source", "--output", "csv")
run("sql", "SELECT recipe FROM runs", "--output", "json")
run("annotate", "--import", "s3://vault/labels.jsonl.gz")
run("evaluate", "s3a://crawl/labels.jsonl")
run("doctor", "s3://crawl/pages/", "--json")

# From here on the keys are wrong. Where the connector has a file system open, it keeps the right ones.
spark.conf.set("fs.s3a.access.key", notes["wrong"][0])
spark.conf.set("fs.s3a.secret.key", notes["wrong"][1])
run("ingest", "s3://crawl/pages/", "--debug")
run("refine", "--lake", "s3a://other/lake", "--debug")
run("evaluate", "s3://crawl/labels.jsonl", "--debug")
run("doctor", "--lake", "s3a://other/lake", "--json")

processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
seen = []
for process in processes:
    with suppress(psutil.Error):  # It has ended meanwhile.
        seen.append({"words": process.cmdline(), "environment": process.environ()})
(folder / "processes.json").write_text(json.dumps(seen))
hidden = [text.encode() for text in notes["secrets"]]
local = [Path(place) / name for place, _, names in os.walk(notes["local"]) for name in names]
spilled = [str(path) for path in local if path.is_file() and any(text in path.read_bytes() for text in hidden)]
(folder / "spilled.json").write_text(json.dumps(spilled))
spark.stop()
