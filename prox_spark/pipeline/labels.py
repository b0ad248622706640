"""The table `labels`: into it from teachers and files, out of it for training, evaluation and export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
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
        if label_set:
            batch = [replace(label, label_set=label_set) for label in batch]
        for label in batch:
            key = (label.label_set, label.label_id)
            if key in seen:
                raise LabelError(f"{path}: the id {label.label_id!r} is there twice in the set {label.label_set!r}")
            seen.add(key)
        store_labels(lake, _frame(lake, batch, str(path), run.run_id), run.run_id)
    return Counter(name for name, _ in seen)


def _frame(lake: Lake, labels: Sequence[Label], origin: str, run_id: str) -> DataFrame:
    """Labels as rows of the table."""
    schema = schemas.LABELS.schema

    def row(label: Label) -> tuple[object, ...]:
        # The JVM knows no Python enums.
        ops = None if label.ops is None else [{**asdict(op), "op": str(op.op)} for op in label.ops]
        told = {**dict.fromkeys(schema.names), **asdict(label), "ops": ops, "origin": origin, "run_id": run_id}
        return tuple(told[name] for name in schema.names)

    return lake.spark.createDataFrame([row(label) for label in labels], schema)


def _differs() -> Column:
    """Of `old` and `new`: is anything else than the run another."""
    same: Iterable[str] = (f"old.`{name}` <=> new.`{name}`" for name in schemas.LABELS.columns if name != "run_id")
    return F.expr(f"NOT ({' AND '.join(same)})")
