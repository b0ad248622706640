"""Checks that end an ingest before it writes: for mistakes of the recipe, not of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import InputConfig
from prox_spark.errors import ConnectError, InputError, ReasonCode, RecipeError
from prox_spark.pipeline.inputs.find import Inputs
from prox_spark.pipeline.inputs.found import Found
from prox_spark.pipeline.inputs.judge import Arrival
from prox_spark.pipeline.inputs.naming import ROW_ID
from prox_spark.readers import InputFormat
from prox_spark.readers.records import NO_SUCH_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def check_rereadable(inputs: Inputs) -> None:
    """Check that reading again gives the same rows in the same order, because the session keeps no frames.

    Raises:
        ConnectError: Spark's own readers read a table of the input. They promise no order.
    """
    if by_spark := [table.path for table in inputs.tables if not table.files]:
        raise ConnectError(
            f"this compute keeps no frames, and the rows of the table {by_spark[0]} have no order by which a second reading would find "
            "them again: ingest it with classic compute, or write it as Parquet or JSON Lines to where files can be listed, such as a volume"
        )


def check_usable(rows: DataFrame, arrivals: DataFrame, found: Found, config: InputConfig, inputs: Inputs) -> list[str]:
    """Check that the input has the columns that the recipe names, and that at least one file can be read.

    Returns:
        Notes for the summary.

    Raises:
        RecipeError: no record has a column that the recipe names.
        InputError: not one of the files can be read.
    """
    names_url = config.url_column and any(kind is InputFormat.JSONL for _, kind in inputs.files)
    if found.n_documents and names_url and rows.where(F.col("url").isNotNull()).isEmpty():
        message = f"not one record of the input has a URL in {config.url_column!r} (input.url_column)"
        # A path into an object may lead nowhere. For example, the books of Dolma have no URL in their metadata.
        if "." in str(config.url_column):
            return [message]
        raise RecipeError(f"{message}: correct the name, or leave it unset")
    if found.n_documents or not found.arrivals[Arrival.REJECTED]:
        return []
    rejected = arrivals.where(F.col("arrival") == str(Arrival.REJECTED))
    message, file = rejected.orderBy("file", "offset", ROW_ID).select("message", "file").first()
    if rejected.where(~F.col("message").startswith(NO_SUCH_COLUMN)).isEmpty():
        raise RecipeError(f"not one record of the input could be used: {message}")
    # A Parquet file has one finding for each row group that can't be read.
    unreadable = rejected.where(F.col("reason") == str(ReasonCode.UNREADABLE_FILE)).select("file").distinct()
    if unreadable.count() == len(inputs.places):
        raise InputError(
            f"not one of {len(inputs.places):,} files of the input could be read; the first, {file}: {message}"
        )
    return []


def check_replaces_nothing(arrivals: DataFrame) -> None:
    """Check that no file would replace the documents of another one, because its ids are unique within it only.

    Raises:
        InputError: most documents of a file have ids under which the lake has other texts, from another file.
    """
    documents = (str(kind) for kind in (Arrival.NEW, Arrival.CHANGED, Arrival.UNCHANGED))
    from_another = (F.col("arrival") == str(Arrival.CHANGED)) & (F.col("known_file") != F.col("file"))
    files = (
        arrivals.where(F.col("arrival").isin(*documents))
        .groupBy("file")
        .agg(
            F.count("*").alias("n"),
            F.count_if(from_another).alias("n_replacing"),
            F.max(F.when(from_another, F.col("known_file"))).alias("known_file"),
            F.max(F.when(from_another, F.col("doc_id"))).alias("doc_id"),
        )
    )
    replacing = files.where("2 * n_replacing > n").orderBy("file").first()
    if replacing is not None:
        raise InputError(
            f"{replacing['n_replacing']:,} of {replacing['n']:,} documents of {replacing['file']} have an id under which the lake has "
            f"another text, from another file (such as {replacing['doc_id']!r}, from {replacing['known_file']}), and would replace it. "
            "Where ids are unique within a file only, set input.id_scope=file; where these are newer versions of the same documents, set "
            "input.id_scope=lake. Nothing was written."
        )
