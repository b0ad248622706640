"""Labels from wherever they are: files, and Delta tables in the shape of the lake's table `labels`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException

from prox_spark.errors import LabelError
from prox_spark.ingest.files import absolute, is_folder_with, is_uri
from prox_spark.labels import Label, read_labels
from prox_spark.programs import Operation, OpName

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

_COLUMNS = ("label_id", "label_set", "text", "first_line", "keep", "ops")
_TABLE_NAME = re.compile(r"(?!.*\.(?:jsonl?|gz)$)\w+(?:\.\w+){1,2}")


def find_labels(spark: SparkSession, places: Sequence[str], limit: int | None = None, seed: int = 0) -> list[Label]:
    """Reads labels.

    Args:
        spark: for tables.
        places: files of JSON Lines (.gz), paths or URIs of Delta tables, names of tables in a catalog.
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


def _read(spark: SparkSession, place: str) -> Iterator[Label]:
    is_table = _TABLE_NAME.fullmatch(place) and not Path(place).exists()
    if not (is_table or is_uri(place) or is_folder_with(place, "_delta_log")):
        yield from read_labels(Path(place))
        return
    try:
        table = spark.read.table(place) if is_table else spark.read.format("delta").load(absolute(place))
        for row in table.select(*_COLUMNS).toLocalIterator():
            yield _label(row)
    except (AnalysisException, ValueError) as error:
        raise LabelError(
            f"can't read labels from {place}: {str(error).splitlines()[0]}. A table of labels has the columns {', '.join(_COLUMNS)}"
        ) from error


def _label(row: Row) -> Label:
    ops = None
    if row["ops"] is not None:
        ops = tuple(Operation(**{**op.asDict(), "op": OpName(op["op"])}) for op in row["ops"])
    return Label(row["label_id"], row["label_set"], row["text"], row["first_line"] or 0, row["keep"], ops)
