"""Labels: read from files, on local disks and object stores, and from Delta tables, and stored in the table `labels`."""

from __future__ import annotations

import gzip
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import LabelError, first_line
from prox_spark.hadoop_logins import adopt_hadoop_logins
from prox_spark.labels import Label, read_labels, read_operations
from prox_spark.lake.frames import read_delta
from prox_spark.lake.lake import Lake
from prox_spark.logins import hide_secrets
from prox_spark.places import can_be_listed, canonical, describe_login, is_folder_with, is_table_name, is_uri
from prox_spark.readers.files import open_raw
from prox_spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Labels of a file that go to Spark at once, some ten megabytes of text.
_BATCH = 5000
_REQUIRED = ("label_id", "label_set", "text")
_OPTIONAL = tuple(field.name for field in fields(Label) if field.name not in _REQUIRED)
# In a store the name tells a file from a table.
_FILE_NAME = re.compile(r".*\.(?:jsonl?|ndjson|gz)")
_FOR_FILES = ". The name of a file of labels ends with .jsonl, .json or .gz"


def store_labels(lake: Lake, rows: DataFrame, run_id: str) -> None:
    """Add labels, and replace those that say something else now.

    Args:
        lake: with the table.
        rows: columns of `labels`.
        run_id: goes into the commit.
    """
    lake.upsert(schemas.LABELS, rows, run_id, _is_different())


def import_files(lake: Lake, places: Sequence[str], label_set: str | None, run_id: str) -> Counter[str]:
    """Store the labels of files.

    Args:
        lake: with the table.
        places: paths or URIs of JSON Lines files.
        label_set: name of their set; None takes the names in the files.
        run_id: goes into rows and commits.

    Returns:
        By set, the number of labels read.

    Raises:
        LabelError: as `read_labels` does, or a set has an id twice.
        ProxSparkError: Hadoop's settings name credentials that can't be had.
    """
    adopt_hadoop_logins(lake.spark, places)
    seen = dict[tuple[str, str], str]()
    for place in places:
        path = place if is_uri(place) else str(Path(place))
        labels = _read_file(path)
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
            store_labels(lake, _make_rows(lake, batch, path, run_id), run_id)
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
    """Read the labels of each place as `find_labels` does. Spark is started for tables only, and stopped again.

    Without Spark, files on S3 are read with the credentials that AWS's own chain finds.
    """
    if not any(map(_is_table, places)):
        return {place: list(_read_file(place)) for place in places}
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
        spark: reads the tables. Files on S3 are read with the credentials that its Hadoop has.
        places: paths or URIs of files of JSON Lines (.gz) or of Delta tables, names of tables in a catalog; `TABLE#SET` for one of
            the sets in a table, such as `lake/labels#mine`.
        limit: number of labels to draw at random; None reads all.
        seed: of the draw.

    Returns:
        One or more labels, in the order of the places.

    Raises:
        LabelError: a place is neither a file nor a table, a label can't be read, or there are none.
        ProxSparkError: Hadoop's settings name credentials that can't be had.
    """
    adopt_hadoop_logins(spark, [place for place in places if not _is_table(place)])
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
        yield from _read_file(place)
        return
    name, _, label_set = place.partition("#")
    try:
        table = read_delta(spark, name)
        yield from read_rows(table.where(F.col("label_set") == label_set) if label_set else table)
    except (AnalysisException, ValueError) as error:
        raise LabelError(
            f"can't read labels from {place}: {first_line(error)}. A table of labels has the columns "
            f"{', '.join(_REQUIRED)} and keep, ops or both{_FOR_FILES if is_uri(place) else ''}"
        ) from error


def _read_file(place: str) -> Iterator[Label]:
    path = canonical(place)
    # A local file keeps the name that it was given: messages and the table have it.
    return read_labels(place, _open_stored) if is_uri(path) else read_labels(path if is_uri(place) else place)


@contextmanager
def _open_stored(uri: str) -> Iterator[BinaryIO]:
    """Open a file in a store. An error also of its reading says whose credentials were used."""
    if not can_be_listed(uri):
        raise OSError("files of labels are read from local disks, s3://, gs:// and hdfs:// only; tables from any store")
    try:
        with open_raw(uri) as raw:
            yield raw
    except gzip.BadGzipFile:  # Credentials have no part in it.
        raise
    except (OSError, pa.ArrowInvalid) as error:
        raise OSError(f"{hide_secrets(first_line(error))}{describe_login(uri)}") from error


def _is_table(place: str) -> bool:
    if is_uri(place):
        return not _FILE_NAME.fullmatch(place)
    name = place.partition("#")[0]
    return not Path(place).is_file() and (is_table_name(name) or is_folder_with(name, "_delta_log"))
