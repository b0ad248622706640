"""Into the table `labels`, from teachers and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.errors import LabelError
from prox_spark.labels import Label, read_labels
from prox_spark.lake.tables import Lake
from prox_spark.runs.run import Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Labels of a file that go to Spark at once: some ten megabytes of text.
_BATCH = 5000


def store_labels(lake: Lake, rows: DataFrame, run_id: str) -> None:
    """Adds labels, and replaces those that say something else now.

    Args:
        lake: where to.
        rows: columns of `labels`.
        run_id: goes into the commit.
    """
    lake.upsert(schemas.LABELS, rows, run_id, _differs())


def import_files(lake: Lake, paths: Sequence[Path], run: Run) -> Counter[str]:
    """Stores the labels of files; `annotation.label_set` overrides the name of their set.

    Returns:
        By set, the number of labels read.

    Raises:
        LabelError: as `read_labels` does, or an id is there twice in a set.
    """
    label_set, seen = run.recipe.annotation.label_set, dict[tuple[str, str], Path]()
    for path in paths:
        labels = read_labels(path)
        while batch := list(islice(labels, _BATCH)):
            if label_set:
                batch = [replace(label, label_set=label_set) for label in batch]
            for label in batch:
                key = (label.label_set, label.label_id)
                if before := seen.get(key):
                    where = f"{path}: the id {label.label_id!r} is there twice in the set {label.label_set!r}"
                    raise LabelError(
                        where
                        if before == path
                        else f"{where}, in {before} too: import each with a --label-set of its own"
                    )
                seen[key] = path
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
