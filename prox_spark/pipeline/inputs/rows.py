"""From the paths of a recipe to rows: one frame for all formats, documents and rejections side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import InputConfig
from prox_spark.errors import InputError, RecipeError, root_cause
from prox_spark.lake.tables import read_delta
from prox_spark.pipeline.inputs.spark_tables import map_table
from prox_spark.pipeline.inputs.union_rows import union_rows
from prox_spark.places import can_be_listed, canonical, is_folder_with, is_table_name, literal
from prox_spark.readers import (
    InputFile,
    InputFormat,
    PassedOver,
    ReadOptions,
    describe_passed_over,
    detect_formats,
    list_files,
)
from prox_spark.readers.detection import suggest_glob
from prox_spark.readers.files import find_partitioned_folder
from prox_spark.readers.formats import derive_source
from prox_spark.readers.parquet import ParquetFolder, plan_reading
from prox_spark.readers.records import Beside
from prox_spark.readers.skipping import skip_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Columns of the one frame, as `prox_spark.udfs.ingest` describes them; `carried` is a struct (Parquet, Delta) or JSON (files of records).
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
# What Spark's reader of Parquet lacks, such as types and columns of several, ours has.
_HINT = (
    ". Spark's reader is used only where files can't be listed from here. Under a local path, s3://, gs:// or hdfs://, or where the "
    "platform mounts the store, all that Arrow reads is read"
)
# Settings that tables know nothing of.
_FOR_JSONL = ("id_from_path", "folder_columns", "beside")


@dataclass(frozen=True)
class InputTable:
    """A Parquet or Delta table.

    Attributes:
        path: absolute path, URI, or name in a catalog.
        kind: parquet or delta.
        files: URIs of its Parquet files. Spark by itself passes over those in folders that are not called `name=value`, and
            knows no `**`. Empty: as Spark finds them.
        root: folder below which folders that are called `name=value` are columns; None: there are none such.
    """

    path: str
    kind: InputFormat
    files: tuple[str, ...] = ()
    root: str | None = None

    def load(self, spark: SparkSession) -> DataFrame:
        """Its rows.

        Raises:
            RecipeError: it can't be read.
        """
        reader = spark.read.format(str(self.kind))
        try:
            if self.kind is InputFormat.DELTA:
                return read_delta(spark, self.path)
            if not self.files:
                # A column that only some files have is one all the same.
                return reader.option("mergeSchema", "true").load(self.path)
            if self.root:
                reader = reader.option("basePath", self.root)
            return reader.load([*map(literal, self.files)])
        except Exception as error:  # Spark's own errors, and what py4j makes of others
            hint = "" if self.kind is InputFormat.DELTA else _HINT
            raise RecipeError(f"can't read {self.path} as {self.kind}: {root_cause(error)}{hint}") from error


@dataclass(frozen=True)
class Inputs:
    """What the paths of a recipe hold: files of records or tables, never both.

    Attributes:
        files: files of records with their formats.
        tables: what Spark reads itself.
        passed_over: files of folders and globs that are no data.
        notes: what is carried in another way than it comes.
    """

    files: tuple[tuple[InputFile, InputFormat], ...]
    tables: tuple[InputTable, ...]
    passed_over: tuple[PassedOver, ...] = ()
    notes: list[str] = field(default_factory=list)

    def may_be_read_twice(self, config: InputConfig) -> bool:
        """Return True if reading is cheaper than keeping what was read: texts of pages are extracted, and side files joined."""
        are_cheap = all(kind in (InputFormat.JSONL, InputFormat.WET) for _, kind in self.files)
        return bool(self.files) and are_cheap and not config.beside

    @property
    def places(self) -> list[str]:
        """What rows come from, as `provenance.file` has it: files, and tables that Spark reads itself."""
        tables = (table.files or (table.path,) for table in self.tables)
        return [*(file.uri for file, _ in self.files), *(place for places in tables for place in places)]


def find_inputs(config: InputConfig) -> Inputs:
    """Lists the files and tables that the recipe names.

    Raises:
        RecipeError: no path, nothing at a path or nothing to read there, a format that can't be told or read, or tables mixed
            with other files.
    """
    if not config.paths:
        raise RecipeError("no input: name files, folders or globs, or set input.paths in the recipe")
    files: list[tuple[InputFile, InputFormat]] = []
    tables: list[InputTable] = []
    passed_over: dict[str, PassedOver] = {}
    read: set[str] = set()
    for path in config.paths:
        if table := _given_table(path, config):
            tables.append(table)
            continue
        listing = skip_files(list_files(path), path, config.skip)
        if config.format == "auto":
            found, odd = detect_formats(listing, path)
        else:
            found, odd = [(file, InputFormat(config.format)) for file in listing.files], []
        passed_over |= {item.uri: item for item in (*listing.passed_over, *odd)}
        _refuse_mixture(path, found)
        # A file that two paths match is one input.
        found = [(file, kind) for file, kind in found if file.uri not in read]
        read |= {file.uri for file, _ in found}
        if found and all(kind is InputFormat.PARQUET for _, kind in found):
            tables += _parquet_tables(canonical(path), [file.uri for file, _ in found])
        else:
            files += found
    if files and tables:
        raise RecipeError(
            f"{tables[0].path} is {tables[0].kind} and {files[0][0].uri} is not: tables can't be ingested together with "
            "other formats. Run ingest once for each"
        )
    if not files and not tables:
        raise RecipeError(
            f"nothing to read: {describe_passed_over(passed_over.values())}. A file that is named itself, without a glob, is read "
            "all the same."
        )
    unheeded = [f"input.{name}" for name in _FOR_JSONL if tables and getattr(config, name)]
    notes = [f"{', '.join(unheeded)}: not heeded, as the input is no JSON Lines"] if unheeded else []
    return Inputs(
        tuple(files), tuple(tables), tuple(item for uri, item in passed_over.items() if uri not in read), notes
    )


def _refuse_mixture(path: str, found: list[tuple[InputFile, InputFormat]]) -> None:
    """Raises RecipeError where tables and files of records lie together."""
    parquet = [file for file, kind in found if kind.is_table]
    others = [file for file, kind in found if not kind.is_table]
    if parquet and others:
        raise RecipeError(
            f"{path} holds Parquet ({parquet[0].uri}) and other formats ({others[0].uri}), which can't be ingested together. "
            f"Run ingest once for each: '{suggest_glob(path, parquet)}', '{suggest_glob(path, others)}'"
        )


def read_inputs(
    spark: SparkSession, inputs: Inputs, config: InputConfig, with_texts: bool = True, is_read_twice: bool = False
) -> DataFrame:
    """Return all records of the inputs.

    Args:
        spark: the session.
        inputs: what was found.
        config: how columns are named, and limits.
        with_texts: False leaves `text` null; only where `inputs.may_be_read_twice`.
        is_read_twice: files must not change meanwhile.

    Returns:
        Columns `ROW_COLUMNS`. A row with `reason` is a rejection, one with `n_skipped` a count, any other a document.

    Raises:
        RecipeError: a table can't be read or lacks a column of the recipe.
    """
    options = read_options(config)
    if inputs.tables:
        return _read_tables(spark, inputs, config, options)
    from prox_spark.udfs.ingest import read_rows

    rows = read_rows(spark, inputs.files, options, with_texts, is_read_twice)
    if config.source is not None:
        rows = rows.withColumn("source", F.lit(config.source))
    return rows


@contextmanager
def reading(inputs: Inputs) -> Iterator[None]:
    """Say which table it is that Spark can't read, where the block does: a lost file of Delta shows only then.

    Raises:
        InputError: Spark's own reader failed.
    """
    try:
        yield
    except Exception as error:
        by_spark = [table.path for table in inputs.tables if not table.files]
        is_of_java = hasattr(error, "java_exception") or getattr(error, "_origin", None) is not None
        if not by_spark or not is_of_java:
            raise
        raise InputError(f"Spark can't read the input ({', '.join(by_spark)}): {root_cause(error)}") from error


def read_options(config: InputConfig) -> ReadOptions:
    """What the readers must know of a recipe."""
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
    """Read Parquet that can be listed by Arrow, all files under one schema; by Spark's own readers what is left."""
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
        plan = plan_reading(folders, options, spark.sparkContext.defaultParallelism)
        inputs.notes.extend(plan.notes)
        frames.append((derive_source(listed[0].path), read_parquet(spark, plan)))
    return union_rows(frames, inputs.notes)


def _parquet_tables(path: str, uris: Iterable[str]) -> Iterator[InputTable]:
    """A table for each folder whose `name=value` folders are columns, and one for the files in none such."""
    roots: dict[str | None, list[str]] = {}
    for uri in uris:
        roots.setdefault(find_partitioned_folder(uri, path), []).append(uri)
    return (InputTable(path, InputFormat.PARQUET, tuple(files), root) for root, files in roots.items())


def _given_table(path: str, config: InputConfig) -> InputTable | None:
    """A table that is one by the recipe's format, or a folder that is one of Delta; None: its files are to be looked at."""
    place = path if is_table_name(path) else canonical(path)
    if config.format == "auto":
        return InputTable(place, InputFormat.DELTA) if is_folder_with(path, "_delta_log") else None
    given = InputFormat(config.format)
    # Any store that Spark reads will do, also one that can't be listed here.
    is_read_as_named = given is InputFormat.DELTA or (given.is_table and not can_be_listed(place))
    return InputTable(place, given) if is_read_as_named else None
