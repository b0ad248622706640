"""Documents of lines from the demo's sample, and random programs for them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from common.builds import import_first
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.demo import PAGES
from prox_spark.programs.words import count_words

to_batch = import_first("prox_spark.udfs.arrow.to_batch", "udfs.arrow.to_batch")
CHUNK_CHARS = 3_000
DOCUMENT = T.StructType(
    [schemas.DOCUMENTS.schema[name] for name in ("doc_id", "content_sha256", "text", "n_words", "url", "source")]
)
MADE = T.StructType([*DOCUMENT.fields, T.StructField("programs", T.ArrayType(schemas.PROGRAMS.schema))])


class Make:
    """A function for `mapInArrow` over `id`: it makes documents with programs, the same for the same id."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield to_batch([self.row(i) for i in batch.column("id").to_pylist()], MADE)

    def row(self, i: int, length: float | None = None) -> tuple[Any, ...]:
        """Return a document and its programs as a row of `MADE`.

        Args:
            i: number of the document.
            length: characters of the document; None: a random length as of web pages.
        """
        rng = random.Random(i)
        ordinary = min(rng.lognormvariate(7.2, 1.0), 500_000)
        length = ordinary if length is None else length
        lines: list[str] = []
        size = 0
        while size < length:
            start = rng.randrange(len(self.lines))
            for line in self.lines[start : start + rng.randrange(3, 12)]:
                lines.append(line)
                size += len(line) + 1
        return self.row_of(i, "\n".join(lines), rng)

    def row_of(self, i: int, text: str, rng: random.Random | None = None) -> tuple[Any, ...]:
        """Return a document with this text and random programs as a row of `MADE`."""
        rng = rng or random.Random(i)
        lines, doc_id = text.split("\n"), f"doc-{i:07d}"
        programs = [self._program(doc_id, rng, lines, n, *chunk) for n, chunk in enumerate(_chunks(lines))]
        return doc_id, f"{i:064x}", text, count_words(text), f"https://example.org/{i}", "benchmark", programs

    def _program(
        self, doc_id: str, rng: random.Random, lines: list[str], n: int, first: int, last: int
    ) -> dict[str, Any]:
        row = dict.fromkeys(schemas.PROGRAMS.columns)
        # Refiners write operations in the order of the lines; one chunk in ten is an exception.
        starts = [rng.randint(first, last) for _ in range(rng.choice([0, 1, 1, 2, 3, 4]))]
        starts = starts if rng.random() < 0.1 else sorted(set(starts))
        ends = [
            min(start + rng.randrange(4), after - 1)
            for start, after in zip(starts, [*starts[1:], last + 1], strict=False)
        ]
        ops = [self._op(rng, lines, start, max(start, end)) for start, end in zip(starts, ends, strict=True)]
        ops = ops or [dict.fromkeys(schemas.OPERATION.names) | {"op": "keep_chunk"}]
        sha = f"{int(doc_id[4:]):064x}"
        return row | {
            "doc_id": doc_id, "content_sha256": sha, "chunk_index": n, "line_start": first, "line_end": last,
            "ops": ops, "diagnostics": [], "status": "applied", "generation_key": sha, "recipe_fingerprint": "r",
        }  # fmt: skip

    def _op(self, rng: random.Random, lines: list[str], start: int, end: int) -> dict[str, Any]:
        op = dict.fromkeys(schemas.OPERATION.names)
        if rng.random() < 0.75:
            return op | {"op": "remove_lines", "line_start": start, "line_end": end}
        line = lines[start] or "nothing here"
        begin = rng.randrange(len(line))
        source = line[begin : begin + rng.randrange(3, 25)]
        return op | {"op": "normalize", "source_str": source, "target_str": rng.choice(["", "", " ", "…"])}


def _chunks(lines: list[str]) -> Iterator[tuple[int, int]]:
    first = size = 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > CHUNK_CHARS or number == len(lines) - 1:
            yield first, number
            first, size = number + 1, 0


def make(spark: SparkSession, root: Path, n: int) -> None:
    """Write the tables `documents` and `programs` below a folder."""
    made = spark.range(0, n, 1, 8).mapInArrow(Make(sample_lines()), MADE)
    made.write.format("delta").save(str(root / "made"))
    made = spark.read.format("delta").load(str(root / "made"))
    made.drop("programs").write.format("delta").save(str(root / "documents"))
    made.select(F.inline("programs")).write.format("delta").save(str(root / "programs"))


def sample_lines() -> list[str]:
    """Return the lines of the demo's sample."""
    return [
        line
        for page in PAGES.read_text(encoding="utf-8", errors="replace").splitlines()
        if page.startswith("{") and page.endswith("}")
        for line in _text(page).split("\n")
    ]


def _text(page: str) -> str:
    try:
        return json.loads(page).get("text") or ""
    except ValueError:  # the sample has broken records on purpose
        return ""
