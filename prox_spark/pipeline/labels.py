"""The table `labels`: into it from teachers and files, out of it for training, evaluation and export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.errors import LabelError
from prox_spark.labels import Label, read_labels, read_operations
from prox_spark.lineage import Run
from prox_spark.tables import Lake

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Labels of a file that go to Spark at once: some ten megabytes of text.
_BATCH = 5000


def label_rows(rows: DataFrame) -> Iterator[Label]:
    """The labels among rows of the table `labels`, in the order of their keys; rejected ones are none."""
    labels = (
        rows.where(F.col("reason").isNull())
        .select(*(field.name for field in fields(Label)))
        .orderBy("label_set", "label_id")
    )
    for row in labels.toLocalIterator():
        values = row.asDict(recursive=True)
        ops = values.pop("ops")
        yield Label(**values, ops=None if ops is None else read_operations(ops))


def lake_labels(lake: Lake, label_set: str) -> list[Label]:
    """The labels of a set.

    Raises:
        LabelError: the lake has no such set; the message says which it has.
    """
    rows = lake.read("labels")
    labels = list(label_rows(rows.where(F.col("label_set") == label_set)))
    if not labels:
        sets = sorted(row["label_set"] for row in rows.select("label_set").distinct().collect())
        raise LabelError(
            f"{lake} has no labels in a set {label_set!r}; its sets are {', '.join(sets) or 'none'}. Make some with `prox-spark annotate`"
        )
    return labels


def store_labels(lake: Lake, rows: DataFrame, run_id: str) -> None:
    """Adds labels, and replaces those that say something else now.

    Args:
        lake: where to.
        rows: columns of `labels`.
        run_id: goes into the commit.
    """
    lake.upsert(schemas.LABELS, rows, run_id, _differs())


def import_file(lake: Lake, path: Path, run: Run) -> Counter[str]:
    """Stores the labels of a file; `annotation.label_set` overrides the name of their set.

    Returns:
        By set, the number of labels read.

    Raises:
        LabelError: as `read_labels` does, or an id is there twice in a set.
    """
    label_set, seen = run.recipe.annotation.label_set, set[tuple[str, str]]()
    labels = read_labels(path)
    while batch := list(islice(labels, _BATCH)):
        rows = [_row(label, label_set or label.label_set, str(path), run.run_id) for label in batch]
        for row in rows:
            key = (row["label_set"], row["label_id"])
            if key in seen:
                raise LabelError(f"{path}: the id {key[1]!r} is there twice in the set {key[0]!r}")
            seen.add(key)
        store_labels(lake, _frame(lake, rows), run.run_id)
    return Counter(name for name, _ in seen)


def _row(label: Label, label_set: str, origin: str, run_id: str) -> dict[str, object]:
    return {
        **dict.fromkeys(schemas.LABELS.columns),
        **asdict(label),
        "label_set": label_set,
        "origin": origin,
        "run_id": run_id,
    }


def _frame(lake: Lake, rows: Sequence[dict[str, object]]) -> DataFrame:
    schema = schemas.LABELS.schema
    return lake.spark.createDataFrame([tuple(row[name] for name in schema.names) for row in rows], schema)


def _differs() -> Column:
    """Of `old` and `new`: is anything else than the run another."""
    same: Iterable[str] = (f"old.`{name}` <=> new.`{name}`" for name in schemas.LABELS.columns if name != "run_id")
    return F.expr(f"NOT ({' AND '.join(same)})")
