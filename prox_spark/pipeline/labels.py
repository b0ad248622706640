"""Labels: read from files and from Delta tables, and stored in the table `labels`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import LabelError, first_line
from prox_spark.labels import Label, read_labels, read_operations
from prox_spark.lake.frames import read_delta
from prox_spark.lake.lake import Lake
from prox_spark.places import is_folder_with, is_table_name, is_uri
from prox_spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Labels of a file that go to Spark at once, some ten megabytes of text.
_BATCH = 5000
_REQUIRED = ("label_id", "label_set", "text")
_OPTIONAL = tuple(field.name for field in fields(Label) if field.name not in _REQUIRED)


def store_labels(lake: Lake, rows: DataFrame, run_id: str) -> None:
    """Add labels, and replace those that say something else now.

    Args:
        lake: with the table.
        rows: columns of `labels`.
        run_id: goes into the commit.
    """
    lake.upsert(schemas.LABELS, rows, run_id, _is_different())


def import_files(lake: Lake, paths: Sequence[Path], label_set: str | None, run_id: str) -> Counter[str]:
    """Store the labels of files.

    Args:
        lake: with the table.
        paths: JSON Lines files.
        label_set: name of their set; None takes the names in the files.
        run_id: goes into rows and commits.

    Returns:
        By set, the number of labels read.

    Raises:
        LabelError: as `read_labels` does, or a set has an id twice.
    """
    seen = dict[tuple[str, str], Path]()
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
            store_labels(lake, _make_rows(lake, batch, str(path), run_id), run_id)
    return Counter(name for name, _ in seen)


def _make_rows(lake: Lake, labels: Sequence[Label], origin: str, run_id: str) -> DataFrame:
    """Make rows of the table from labels."""
    schema = schemas.LABELS.schema

    def row(label: Label) -> tuple[object, ...]:
        # The JVM knows no Python enums.
        ops = None if label.ops is None else [{**asdict(op), "op": str(op.op)} for op in label.ops]
        values = {**dict.fromkeys(schema.names), **asdict(label), "ops": ops, "origin": origin, "run_id": run_id}
        return tuple(values[name] for name in schema.names)

    return lake.spark.createDataFrame([row(label) for label in labels], schema)


def _is_different() -> str:
    """Return a condition on `old` and `new`: True where a row differs in anything but `run_id`."""
    same: Iterable[str] = (f"old.`{name}` <=> new.`{name}`" for name in schemas.LABELS.columns if name != "run_id")
    return f"NOT ({' AND '.join(same)})"


def read_places(places: Sequence[str]) -> dict[str, list[Label]]:
    """Read the labels of each place as `find_labels` does. Spark is started for tables only, and stopped again."""
    if not any(map(_is_table, places)):
        return {place: list(read_labels(Path(place))) for place in places}
    with spark_session(Recipe()) as spark:
        return {place: find_labels(spark, [place]) for place in places}


def relative_to(root: str) -> Callable[[str], str]:
    """Return a function that puts a root before relative paths, and leaves absolute ones, URIs and table names as they are."""

    def resolve(place: str) -> str:
        is_whole = is_uri(place) or place.startswith("/") or is_table_name(place.partition("#")[0])
        return place if is_whole else f"{root.rstrip('/')}/{place}"

    return resolve


def find_labels(spark: SparkSession, places: Sequence[str], limit: int | None = None, seed: int = 0) -> list[Label]:
    """Read labels.

    Args:
        spark: reads the tables.
        places: files of JSON Lines (.gz), paths or URIs of Delta tables, names of tables in a catalog; `TABLE#SET` for one of
            the sets in a table, such as `lake/labels#mine`.
        limit: number of labels to draw at random; None reads all.
        seed: of the draw.

    Returns:
        One or more labels, in the order of the places.

    Raises:
        LabelError: a place is neither a file nor a table, a label can't be read, or there are none.
    """
    labels = [label for place in places for label in _read_place(spark, place)]
    if not labels:
        raise LabelError(f"no labels in {', '.join(places)}")
    if limit is None or limit >= len(labels):
        return labels
    chosen = random.Random(seed).sample(range(len(labels)), limit)
    return [labels[index] for index in sorted(chosen)]


def read_rows(rows: DataFrame) -> Iterator[Label]:
    """Read the labels among rows of a table like `labels`, in the order of their keys. Rejected rows are none."""
    if "reason" in rows.columns:
        rows = rows.where(F.col("reason").isNull())
    columns = (*_REQUIRED, *(name for name in _OPTIONAL if name in rows.columns))
    for row in rows.select(*columns).orderBy("label_set", "label_id").toLocalIterator():
        values = {name: value for name, value in row.asDict(recursive=True).items() if value is not None}
        if "ops" in values:
            values["ops"] = read_operations(values["ops"], values["text"], values.get("first_line", 0))
        yield Label(**values)


def _read_place(spark: SparkSession, place: str) -> Iterator[Label]:
    if not _is_table(place):
        yield from read_labels(Path(place))
        return
    name, _, label_set = place.partition("#")
    try:
        table = read_delta(spark, name)
        yield from read_rows(table.where(F.col("label_set") == label_set) if label_set else table)
    except (AnalysisException, ValueError) as error:
        raise LabelError(
            f"can't read labels from {place}: {first_line(error)}. A table of labels has the columns "
            f"{', '.join(_REQUIRED)} and keep, ops or both"
        ) from error


def _is_table(place: str) -> bool:
    name = place.partition("#")[0]
    return not Path(place).is_file() and (is_table_name(name) or is_uri(name) or is_folder_with(name, "_delta_log"))
