"""`induce`: pairs of raw and clean texts, the programs between them, and counts of the pairs that these reproduce."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.errors import RecipeError, find_condition
from prox_spark.pipeline.inputs.find import Inputs
from prox_spark.pipeline.inputs.naming import clean_names, clean_type
from prox_spark.places import absolute
from prox_spark.readers import InputFormat
from prox_spark.readers.codecs import BZIP2, GZIP, find_codec_by_name
from prox_spark.spark_driver import count_partitions, count_slots

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

LOG = logging.getLogger(__name__)

_SPARK_FORMATS = {InputFormat.JSONL: "json", InputFormat.PARQUET: "parquet", InputFormat.DELTA: "delta"}
# The conditions of Spark's and Delta's errors about an output that exists.
_EXISTS = ("PATH_ALREADY_EXISTS", "DELTA_PATH_EXISTS")
# Number of rows without a pair that the summary names, and of the characters that name a row without an id.
_N_NAMED = 5
_NAME_CHARS = 60


@dataclass(frozen=True)
class PairColumns:
    """The names of the columns of the input.

    Attributes:
        raw: column of the text as it was.
        clean: column of the text as it should be.
        id: column that names a row; None takes `doc_id`, else `id`, else the beginning of the text.
    """

    raw: str = "raw"
    clean: str = "clean"
    id: str | None = None


@dataclass(frozen=True)
class Output:
    """The place that the programs are written to.

    Attributes:
        path: absolute path or URI of a folder.
        format: format of its files.
        overwrite: True to replace an output that exists.
    """

    path: str
    format: InputFormat
    overwrite: bool = False

    @classmethod
    def of(cls, path: str, given: str | None = None, overwrite: bool = False) -> Output:
        """Return an output. If no format is given, the name decides: .jsonl, .parquet, else Delta."""
        by_name = {".jsonl": InputFormat.JSONL, ".parquet": InputFormat.PARQUET}
        found = (kind for suffix, kind in by_name.items() if path.rstrip("/").lower().endswith(suffix))
        return cls(absolute(path), InputFormat(given) if given else next(found, InputFormat.DELTA), overwrite)


@dataclass(frozen=True)
class InduceSummary:
    """The result of an induce run. The number of rows is n_pairs plus the rows without a pair.

    Attributes:
        output: where the programs were written.
        n_pairs: number of rows with both texts.
        n_exact: number of pairs whose program makes the clean text, to the character.
        n_exact_but_white_space: number of pairs whose program makes the clean text's words in their order.
        n_with_leftovers: number of pairs with a difference that a program can't express.
        leftovers: number of pairs by kind of leftover.
        operations: number of operations by name, over all pairs.
        without_pair: number of rows without a pair by reason.
        named: some of these rows, as `name: message`.
        seconds: time from reading to the end.
    """

    output: str
    n_pairs: int
    n_exact: int
    n_exact_but_white_space: int
    n_with_leftovers: int
    leftovers: dict[str, int]
    operations: dict[str, int]
    without_pair: dict[str, int]
    named: tuple[str, ...]
    seconds: float


def induce_pairs(
    spark: SparkSession, inputs: Inputs, columns: PairColumns, output: Output, max_text_chars: int
) -> InduceSummary:
    """Read pairs, write them with their programs, and count what was written.

    Args:
        spark: a session, with Delta where that is read or written.
        inputs: the result of `find_inputs`.
        columns: names of the pairs' columns.
        output: the place to write to.
        max_text_chars: a pair with a longer text gets no program.

    Raises:
        RecipeError: the input can't be read or lacks a column, or the output exists already.
    """
    started = time.monotonic()
    columns, pairs = read_pairs(spark, inputs, columns)
    LOG.info("induce: writing %s", output.path)
    induced = pairs.transform(_spread).transform(add_programs(columns, max_text_chars))
    mode = "overwrite" if output.overwrite else "error"  # Spark Connect does not know its longer name.
    writer = induced.write.format(_SPARK_FORMATS[output.format]).mode(mode)
    if output.format is InputFormat.DELTA and output.overwrite:
        writer = writer.option("overwriteSchema", "true")
    try:
        writer.save(output.path)
    except AnalysisException as error:
        if find_condition(error) not in _EXISTS:
            raise
        message = f"{output.path} exists already: name another --output, or pass --overwrite"
        raise RecipeError(message) from error
    # The written rows are counted, so that nothing is computed again.
    written = spark.read.format(_SPARK_FORMATS[output.format])
    if output.format is InputFormat.JSONL:
        written = written.schema(induced.schema)
    return _summarize(written.load(output.path), columns, output, started)


def read_pairs(spark: SparkSession, inputs: Inputs, columns: PairColumns) -> tuple[PairColumns, DataFrame]:
    """Read all rows of the inputs, under names that Delta and Parquet accept.

    Returns:
        The new names of the columns, with an id if there is one, and the rows. A column of the input with a name of
        `schemas.INDUCED` gets `input_` before it.

    Raises:
        RecipeError: a file has another format, or a column is missing or not a string.
    """
    places = [
        *((file.uri, kind) for file, kind in inputs.files),
        *((table.path, table.kind) for table in inputs.tables),
    ]
    for path, kind in places:
        if kind not in _SPARK_FORMATS:
            raise RecipeError(f"{path} is {kind}: pairs are read from jsonl, parquet or delta")
        if (codec := find_codec_by_name(path)) and codec not in (GZIP, BZIP2):
            raise RecipeError(f"{path}: Spark's reader has no {codec.name}; unpack it, or pack it as .gz")
    files = [path for path, kind in places if kind is InputFormat.JSONL]
    frames = [spark.read.json(files)] if files else []
    frames += [table.load(spark) for table in inputs.tables]
    rows = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
    for name, option in ((columns.raw, "--raw-column"), (columns.clean, "--clean-column"), (columns.id, "--id-column")):
        if name is not None and name not in rows.columns:
            raise RecipeError(f"the input has no column {name!r} ({option}); it has {', '.join(rows.columns)}")
    for name in (columns.raw, columns.clean):
        if not isinstance(rows.schema[name].dataType, (T.StringType, T.NullType)):
            kind_of = rows.schema[name].dataType.simpleString()
            raise RecipeError(f"column {name!r} is {kind_of}, but a text must be string")
    new_names = dict(zip(rows.columns, clean_names(rows.columns, schemas.INDUCED.names), strict=True))
    own_id = columns.id or next((name for name in ("doc_id", "id") if name in rows.columns), None)
    renamed = PairColumns(new_names[columns.raw], new_names[columns.clean], new_names[own_id] if own_id else None)
    return renamed, rows.select(
        *(
            F.col(f"`{old.replace('`', '``')}`").cast(clean_type(rows.schema[old].dataType)).alias(new)
            for old, new in new_names.items()
        )
    )


def add_programs(columns: PairColumns, max_text_chars: int = 1_000_000) -> Callable[[DataFrame], DataFrame]:
    """Return a transformation that adds to each pair the program between its texts.

    Returns:
        A transformation, whose result has all columns of its rows, then those of `schemas.INDUCED`.
    """
    from prox_spark.udfs.induce import Induce

    induce = Induce(columns.raw, columns.clean, max_text_chars)
    return lambda pairs: pairs.mapInArrow(induce, T.StructType([*pairs.schema.fields, *schemas.INDUCED.fields]))


def _spread(rows: DataFrame) -> DataFrame:
    """Spread rows over all cores. A packed file would be one task, and a pair takes milliseconds."""
    n_cores = count_slots(rows.sparkSession)
    return rows if (count_partitions(rows) or 0) >= n_cores else rows.repartition(n_cores)


def _summarize(written: DataFrame, columns: PairColumns, output: Output, started: float) -> InduceSummary:
    figures = _count(
        written,
        {
            "row": F.array(F.coalesce("reason", F.lit("pair"))),
            "is": F.array(
                F.when(F.col("exact"), "exact"),
                F.when(F.col("exact_but_white_space"), "exact_but_white_space"),
                F.when(F.size("leftovers") > 0, "with_leftovers"),
            ),
            "leftover": F.array_distinct("leftovers.kind"),
            "operation": F.col("ops.op"),
        },
    )
    n_pairs = figures["row"].pop("pair", 0)
    return InduceSummary(
        output=output.path,
        n_pairs=n_pairs,
        n_exact=figures["is"].get("exact", 0),
        n_exact_but_white_space=figures["is"].get("exact_but_white_space", 0),
        n_with_leftovers=figures["is"].get("with_leftovers", 0),
        leftovers=figures["leftover"],
        operations=figures["operation"],
        without_pair=figures["row"],
        named=_name_some(written, columns) if figures["row"] else (),
        seconds=time.monotonic() - started,
    )


def _count(rows: DataFrame, figures: dict[str, Column]) -> dict[str, dict[str, int]]:
    """Count the values in arrays of strings in one pass over the rows: by figure, the number of each value, the largest first."""
    values = [F.transform(F.filter(array, F.isnotnull), _label(figure)) for figure, array in figures.items()]
    nothing = F.array().cast("array<struct<f: string, v: string>>")
    counts = (
        rows.select(F.explode(F.concat(*(F.coalesce(array, nothing) for array in values))).alias("value"))
        .groupBy("value.f", "value.v")
        .count()
        .collect()
    )
    found: dict[str, dict[str, int]] = {figure: {} for figure in figures}
    for row in sorted(counts, key=lambda row: (-row["count"], row["v"])):
        found[row["f"]][row["v"]] = row["count"]
    return found


def _label(figure: str) -> Callable[[Column], Column]:
    return lambda value: F.struct(F.lit(figure).alias("f"), value.alias("v"))


def _name_some(written: DataFrame, columns: PairColumns) -> tuple[str, ...]:
    text = F.substring(F.coalesce(columns.raw, columns.clean), 1, _NAME_CHARS)
    name = F.coalesce(F.col(columns.id).cast("string") if columns.id else F.lit(None), text, F.lit("(empty row)"))
    unpaired = written.where(F.col("reason").isNotNull()).select(name.alias("name"), "message")
    return tuple(f"{row['name']!r}: {row['message']}" for row in unpaired.limit(_N_NAMED).collect())
