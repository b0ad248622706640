"""A lake under test, and files to put into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prox_spark.config import Recipe
from prox_spark.pipeline.ingest import IngestSummary, ingest


class Lake:
    """A lake under test: ingests and looks."""

    def __init__(self, spark: Any, root: str, **config: object) -> None:
        self.spark = spark
        self.root = root
        self.config = config

    def ingest(self, *paths: object, **config: object) -> IngestSummary:
        data = {"input": {"paths": [str(path) for path in paths], **config}, "lake": {"root": self.root, **self.config}}
        return ingest(self.spark, Recipe.parse(data))

    def table(self, name: str) -> Any:
        return self.spark.read.format("delta").load(f"{self.root}/{name}")

    def rows(self, name: str, *columns: str) -> list[tuple]:
        return sorted(tuple(row) for row in self.table(name).select(*columns).collect())


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
