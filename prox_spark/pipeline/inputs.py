"""From the paths of a recipe to rows: one frame for all formats, documents and rejections side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import InputConfig
from prox_spark.errors import InputError, RecipeError, root_cause
from prox_spark.ingest import (
    InputFile,
    InputFormat,
    PassedOver,
    ReadOptions,
    describe_passed_over,
    detect_formats,
    list_files,
)
from prox_spark.ingest.detection import suggest_glob
from prox_spark.ingest.files import absolute, can_be_listed, is_folder_with, literal, partitioned_folder
from prox_spark.ingest.formats import source_name
from prox_spark.ingest.parquet import ParquetFolder, ReadPlan, plan_reading
from prox_spark.ingest.records import Beside
from prox_spark.ingest.skipping import skip_files
from prox_spark.pipeline.spark_tables import map_table
from prox_spark.pipeline.union_rows import union_rows
from prox_spark.tables import is_table_name, read_delta

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Columns of the one frame, as `udfs.ingest` describes them; `carried` is a struct (Parquet, Delta) or JSON (files of records).
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
        listed: its Parquet files. Spark by itself passes over those in folders that are not called `name=value`, and
            knows no `**`. Empty: as Spark finds them.
        root: folder below which folders that are called `name=value` are columns; None: there are none such.
    """

    path: str
    kind: InputFormat
    listed: tuple[InputFile, ...] = ()
    root: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """URIs of its Parquet files."""
        return tuple(file.uri for file in self.listed)

    def load(self, spark: SparkSession) -> DataFrame:
        """Its rows.

        Raises:
            RecipeError: it can't be read.
        """
        reader = spark.read.format(str(self.kind))
        try:
            if self.kind is InputFormat.DELTA:
                return read_delta(spark, self.path)
            if not self.listed:
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

    def are_known_read_twice(self, config: InputConfig) -> bool:
        """Return True if reading is cheaper than keeping what was read: texts of pages are extracted, and side files joined."""
        are_cheap = all(kind in (InputFormat.JSONL, InputFormat.WET) for _, kind in self.files)
        return bool(self.files) and are_cheap and not config.beside

    def are_read_twice(self) -> bool:
        """Return True if all is Parquet that we read: no reading is cheaper. A table that Spark reads has no order to rely on."""
        return bool(self.tables) and all(table.listed for table in self.tables)

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
            tables += _parquet_tables(absolute(path), [file for file, _ in found])
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


class InputReader:
    """Reads the records of the inputs, once or twice; what is planned for that is planned once."""

    def __init__(self, spark: SparkSession, inputs: Inputs, config: InputConfig) -> None:
        """Plans how tables are read.

        Args:
            spark: the session.
            inputs: what was found; notes on it are added.
            config: how columns are named, and limits.

        Raises:
            RecipeError: a table can't be read or lacks a column of the recipe.
        """
        self._spark, self._inputs, self._config = spark, inputs, config
        self._options = read_options(config)
        self._listed = [table for table in inputs.tables if table.listed]
        self._plan: ReadPlan | None = None
        self._tables = [
            (
                source_name(table.path),
                map_table(table.load(spark), table.path, self._source_of(table), self._options, inputs.notes),
            )
            for table in inputs.tables
            if not table.listed
        ]
        if self._listed:
            folders = [ParquetFolder(t.path, self._source_of(t), t.files, t.root) for t in self._listed]
            self._plan = plan_reading(folders, self._options, spark.sparkContext.defaultParallelism)
            inputs.notes.extend(self._plan.notes)

    def rows(self, with_texts: bool = True, is_read_twice: bool = False) -> DataFrame:
        """Return all records.

        Args:
            with_texts: False leaves `text` and `n_words` null; only where the inputs may be read twice.
            is_read_twice: files must not change meanwhile.

        Returns:
            Columns `ROW_COLUMNS`. A row with `reason` is a rejection, one with `n_skipped` a count, any other a document.
        """
        if self._inputs.tables:
            return self._rows_of_tables(with_texts, is_read_twice)
        from udfs.ingest import read_rows

        rows = read_rows(self._spark, self._inputs.files, self._options, with_texts, is_read_twice)
        if self._config.source is not None:
            rows = rows.withColumn("source", F.lit(self._config.source))
        return rows

    def _rows_of_tables(self, with_texts: bool, is_read_twice: bool) -> DataFrame:
        """Read Parquet that can be listed by Arrow, all files under one schema; by Spark's own readers what is left."""
        from udfs.parquet import read_parquet

        frames = self._tables
        if self._plan:
            stamps = [file for table in self._listed for file in table.listed] if is_read_twice else []
            rows = read_parquet(self._spark, self._plan, with_texts, stamps)
            frames = [*frames, (source_name(self._listed[0].path), rows)]
        return union_rows(frames, self._inputs.notes)

    def _source_of(self, table: InputTable) -> str:
        return self._config.source if self._config.source is not None else source_name(table.path)


@contextmanager
def reading(inputs: Inputs) -> Iterator[None]:
    """Say which table it is that Spark can't read, where the block does: a lost file of Delta shows only then.

    Raises:
        InputError: Spark's own reader failed.
    """
    try:
        yield
    except Exception as error:
        by_spark = [table.path for table in inputs.tables if not table.listed]
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


def _parquet_tables(path: str, files: Iterable[InputFile]) -> Iterator[InputTable]:
    """A table for each folder whose `name=value` folders are columns, and one for the files in none such."""
    roots: dict[str | None, list[InputFile]] = {}
    for file in files:
        roots.setdefault(partitioned_folder(file.uri, path), []).append(file)
    return (InputTable(path, InputFormat.PARQUET, tuple(files), root) for root, files in roots.items())


def _given_table(path: str, config: InputConfig) -> InputTable | None:
    """A table that is one by the recipe's format, or a folder that is one of Delta; None: its files are to be looked at."""
    place = path if is_table_name(path) else absolute(path)
    if config.format == "auto":
        return InputTable(place, InputFormat.DELTA) if is_folder_with(path, "_delta_log") else None
    given = InputFormat(config.format)
    # Any store that Spark reads will do, also one that can't be listed here.
    is_read_as_named = given is InputFormat.DELTA or (given.is_table and not can_be_listed(place))
    return InputTable(place, given) if is_read_as_named else None
