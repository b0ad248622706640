"""The rows of the inputs: one frame for all formats, with documents and rejections side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import InputConfig
from prox_spark.errors import InputError, comes_from_spark, root_cause
from prox_spark.pipeline.inputs.find import Inputs, InputTable
from prox_spark.pipeline.inputs.spark_tables import map_table
from prox_spark.pipeline.inputs.union_rows import union_rows
from prox_spark.readers import ReadOptions
from prox_spark.readers.formats import derive_source
from prox_spark.readers.parquet import ParquetFolder, plan_reading
from prox_spark.readers.records import Beside
from prox_spark.spark_driver import count_slots

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Columns of that frame, described in `prox_spark.udfs.ingest`. `carried` is a struct (Parquet, Delta) or JSON (files of records).
ROW_COLUMNS = (
    "doc_id",
    "text",
    "content_sha256",
    "n_words",
    "url",
    "source",
    "provenance",
    "ordinal",
    "metadata",
    "carried",
    "reason",
    "message",
    "snippet",
    "n_skipped",
    "keys",
)


def read_inputs(
    spark: SparkSession, inputs: Inputs, config: InputConfig, with_texts: bool = True, is_read_twice: bool = False
) -> DataFrame:
    """Return all records of the inputs.

    Args:
        spark: the session.
        inputs: as `find_inputs` found them.
        config: names of columns, and limits.
        with_texts: False leaves `text` null, which is allowed if `inputs.may_be_read_twice`.
        is_read_twice: True if files must not change until they are read again.

    Returns:
        Columns `ROW_COLUMNS`. A row with `reason` is a rejection, a row with `n_skipped` is a count, any other is a document.

    Raises:
        RecipeError: a table can't be read or lacks a column of the recipe.
    """
    options = make_options(config)
    if inputs.tables:
        return _read_tables(spark, inputs, config, options)
    from prox_spark.udfs.ingest import read_rows

    rows = read_rows(spark, inputs.files, options, with_texts, is_read_twice)
    if config.source is not None:
        rows = rows.withColumn("source", F.lit(config.source))
    return rows


@contextmanager
def naming_tables(inputs: Inputs) -> Iterator[None]:
    """Name the tables in errors of Spark's readers during the block. A lost file of a Delta table shows only when it is read.

    Raises:
        InputError: Spark's own reader failed.
    """
    try:
        yield
    except Exception as error:
        by_spark = [table.path for table in inputs.tables if not table.files]
        if not by_spark or not comes_from_spark(error):
            raise
        raise InputError(f"Spark can't read the input ({', '.join(by_spark)}): {root_cause(error)}") from error


def make_options(config: InputConfig) -> ReadOptions:
    """Return the settings of a recipe that the readers need."""
    return ReadOptions(
        text_column=config.text_column,
        id_column=config.id_column,
        id_from_path=config.id_from_path,
        ids_of_file=config.id_scope == "file",
        url_column=config.url_column,
        source_column=config.source_column,
        keep_source=config.source is None,
        as_json=tuple(config.as_json),
        max_keys=config.max_keys,
        folder_columns=tuple(config.folder_columns),
        beside=tuple(Beside(b.column, tuple(b.path.items()), b.key, b.value, b.not_for) for b in config.beside),
        max_text_chars=config.max_text_chars,
        max_window_bytes=config.max_zstd_window_mb << 20,
    )


def _read_tables(spark: SparkSession, inputs: Inputs, config: InputConfig, options: ReadOptions) -> DataFrame:
    """Read Parquet that can be listed by Arrow, all files under one schema, and everything else by Spark's own readers."""
    from prox_spark.udfs.parquet import read_parquet

    def source_of(table: InputTable) -> str:
        return config.source if config.source is not None else derive_source(table.path)

    frames = [
        (derive_source(table.path), map_table(table.load(spark), table.path, source_of(table), options, inputs.notes))
        for table in inputs.tables
        if not table.files
    ]
    if listed := [table for table in inputs.tables if table.files]:
        folders = [ParquetFolder(table.path, source_of(table), table.files, table.root) for table in listed]
        plan = plan_reading(folders, options, count_slots(spark))
        inputs.notes.extend(plan.notes)
        frames.append((derive_source(listed[0].path), read_parquet(spark, plan)))
    return union_rows(frames, inputs.notes)
