"""Labels from wherever they are: files, and Delta tables in the shape of the lake's table `labels`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.errors import LabelError, first_line
from prox_spark.labels import Label, read_labels, read_operations
from prox_spark.lake.tables import read_delta
from prox_spark.places import is_folder_with, is_table_name, is_uri
from prox_spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_REQUIRED = ("label_id", "label_set", "text")
_OPTIONAL = tuple(field.name for field in fields(Label) if field.name not in _REQUIRED)


def labels_at(places: Sequence[str]) -> dict[str, list[Label]]:
    """The labels of each place, as `find_labels` reads them; Spark is started for tables only, and stopped again."""
    if not any(map(_is_table, places)):
        return {place: list(read_labels(Path(place))) for place in places}
    with spark_session(Recipe()) as spark:
        return {place: find_labels(spark, [place]) for place in places}


def below(root: str) -> Callable[[str], str]:
    """Where relative places start: a function that puts the root before paths and leaves URIs and table names alone."""

    def placed(place: str) -> str:
        is_whole = is_uri(place) or place.startswith("/") or is_table_name(place.partition("#")[0])
        return place if is_whole else f"{root.rstrip('/')}/{place}"

    return placed


def find_labels(spark: SparkSession, places: Sequence[str], limit: int | None = None, seed: int = 0) -> list[Label]:
    """Reads labels.

    Args:
        spark: for tables.
        places: files of JSON Lines (.gz), paths or URIs of Delta tables, names of tables in a catalog; `TABLE#SET` for one of
            the sets in a table, such as `lake/labels#mine`.
        limit: draw so many of them at random; None: all.
        seed: of the draw.

    Returns:
        One or more labels, in the order of the places.

    Raises:
        LabelError: a place is neither, a label can't be read, or there are none.
    """
    labels = [label for place in places for label in _read(spark, place)]
    if not labels:
        raise LabelError(f"no labels in {', '.join(places)}")
    if limit is None or limit >= len(labels):
        return labels
    chosen = random.Random(seed).sample(range(len(labels)), limit)
    return [labels[index] for index in sorted(chosen)]


def label_rows(rows: DataFrame) -> Iterator[Label]:
    """The labels among rows of a table like `labels`, in the order of their keys; rejected ones are none."""
    if "reason" in rows.columns:
        rows = rows.where(F.col("reason").isNull())
    columns = (*_REQUIRED, *(name for name in _OPTIONAL if name in rows.columns))
    for row in rows.select(*columns).orderBy("label_set", "label_id").toLocalIterator():
        values = {name: value for name, value in row.asDict(recursive=True).items() if value is not None}
        if "ops" in values:
            values["ops"] = read_operations(values["ops"], values["text"], values.get("first_line", 0))
        yield Label(**values)


def _read(spark: SparkSession, place: str) -> Iterator[Label]:
    if not _is_table(place):
        yield from read_labels(Path(place))
        return
    name, _, label_set = place.partition("#")
    try:
        table = read_delta(spark, name)
        yield from label_rows(table.where(F.col("label_set") == label_set) if label_set else table)
    except (AnalysisException, ValueError) as error:
        raise LabelError(
            f"can't read labels from {place}: {first_line(error)}. A table of labels has the columns "
            f"{', '.join(_REQUIRED)} and keep, ops or both"
        ) from error


def _is_table(place: str) -> bool:
    name = place.partition("#")[0]
    return not Path(place).is_file() and (is_table_name(name) or is_uri(name) or is_folder_with(name, "_delta_log"))
