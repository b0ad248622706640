"""From the paths of a recipe to rows: one frame for all formats, documents and rejections side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.config import InputConfig
from prox_spark.errors import ReasonCode, RecipeError, first_line
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
from prox_spark.ingest.records import SNIPPET_CHARS
from prox_spark.tables import is_table_name, read_delta
from udfs.columns import count_words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

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
_PROVENANCE = "struct<file: string, offset: bigint, length: bigint>"


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
                return reader.load(self.path)
            if self.root:
                reader = reader.option("basePath", self.root)
            return reader.load([*map(literal, self.files)])
        except AnalysisException as error:
            raise RecipeError(f"can't read {self.path} as {self.kind}: {first_line(error)}") from error


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
    notes: tuple[str, ...] = ()


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
        listing = list_files(path)
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
            tables += _parquet_tables(absolute(path), [file.uri for file, _ in found])
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
    return Inputs(tuple(files), tuple(tables), tuple(item for uri, item in passed_over.items() if uri not in read))


def _refuse_mixture(path: str, found: list[tuple[InputFile, InputFormat]]) -> None:
    """Raises RecipeError where tables and files of records lie together."""
    parquet = [file for file, kind in found if kind.is_table]
    others = [file for file, kind in found if not kind.is_table]
    if parquet and others:
        raise RecipeError(
            f"{path} holds Parquet ({parquet[0].uri}) and other formats ({others[0].uri}), which can't be ingested together. "
            f"Run ingest once for each: '{suggest_glob(path, parquet)}', '{suggest_glob(path, others)}'"
        )


def read_inputs(spark: SparkSession, inputs: Inputs, config: InputConfig) -> DataFrame:
    """All records of the inputs.

    Returns:
        Columns `ROW_COLUMNS`. A row with `reason` is a rejection, one with `n_skipped` a count, any other a document.

    Raises:
        RecipeError: a table can't be read or lacks a column of the recipe.
    """
    if inputs.tables:
        frames = [map_table(table.load(spark), table.path, config) for table in inputs.tables]
        try:
            return reduce(lambda a, b: a.unionByName(b), frames)
        except AnalysisException as error:
            message = "the inputs have different columns or types: run ingest once for each"
            raise RecipeError(f"{message} ({first_line(error)})") from error
    from udfs.ingest import read_rows

    options = ReadOptions(
        text_column=config.text_column,
        id_column=config.id_column,
        ids_of_file=config.id_scope == "file",
        url_column=config.url_column,
        source_column=config.source_column,
        keep_source=config.source is None,
        as_json=tuple(config.as_json),
        max_keys=config.max_keys,
        max_text_chars=config.max_text_chars,
        max_window_bytes=config.max_zstd_window_mb << 20,
    )
    rows = read_rows(spark, inputs.files, options)
    if config.source is not None:
        rows = rows.withColumn("source", F.lit(config.source))
    return rows


def map_table(table: DataFrame, path: str, config: InputConfig) -> DataFrame:
    """Maps the columns of a table to `ROW_COLUMNS`, by column expressions only.

    Args:
        table: as it was read.
        path: names it in messages and, where nothing else does, its source.
        config: how columns are named, and limits.

    Raises:
        RecipeError: a column that the recipe names is missing, or the text is no string.
    """
    text_name = _need(table, path, config.text_column, "input.text_column")
    if not isinstance(table.schema[text_name].dataType, T.StringType):
        kind = table.schema[text_name].dataType.simpleString()
        raise RecipeError(f"column {text_name!r} of {path} is {kind}, but the text (input.text_column) must be string")
    id_name = (
        _need(table, path, config.id_column, "input.id_column")
        if config.id_column
        else _find_scalar(table, "doc_id") or _find_scalar(table, "id")
    )
    url_name = (
        _need(table, path, config.url_column, "input.url_column") if config.url_column else _find_scalar(table, "url")
    )
    source_column = None if config.source is not None else _find_scalar(table, "source")

    text = _column(text_name)
    doc_id, url, own_source = (
        _column(name).cast("string") if name else F.lit(None).cast("string")
        for name in (id_name, url_name, source_column)
    )
    others = [name for name in table.columns if name not in (text_name, id_name, url_name, source_column)]
    carried = F.struct(*map(_column, others)) if others else F.lit(None).cast("string")
    # A row without text is identified by what else it holds.
    raw = F.coalesce(text, F.to_json(F.struct(*map(_column, others))) if others else F.lit(None))
    default_source = F.lit(config.source if config.source is not None else source_name(path))
    return (
        table.select(
            F.nullif(doc_id, F.lit("")).alias("doc_id"),
            _rejection(text, text_name, doc_id, config),
            text.alias("raw_text"),
            F.sha2(raw, 256).alias("content_sha256"),
            url.alias("url"),
            F.coalesce(F.nullif(own_source, F.lit("")), default_source).alias("source"),
            F.lit(None).cast(_PROVENANCE).alias("provenance"),
            F.lit(None).cast("map<string, string>").alias("metadata"),
            carried.alias("carried"),
            F.lit(None).cast("bigint").alias("ordinal"),
            F.lit(None).cast("bigint").alias("n_skipped"),
            F.lit(None).cast("string").alias("keys"),
        )
        .withColumns(
            {
                "reason": F.col("rejection.reason"),
                "message": F.col("rejection.message"),
                "text": F.when(F.col("rejection").isNull(), F.col("raw_text")),
                "n_words": F.when(F.col("rejection").isNull(), count_words(F.col("raw_text"))),
                "snippet": F.when(
                    F.col("rejection").isNotNull(), _as_valid_utf8(F.substring("raw_text", 1, SNIPPET_CHARS))
                ),
            }
        )
        .transform(_with_identity)
        .select(*ROW_COLUMNS)
    )


def _with_identity(rows: DataFrame) -> DataFrame:
    """Content hash and, where a document has no id of its own, the id made from it."""
    derived_id = F.sha2(F.concat(F.coalesce("url", F.lit("")), F.lit("\n"), "text"), 256)
    return rows.withColumns(
        {
            "content_sha256": F.coalesce("content_sha256", F.sha2("text", 256)),
            "doc_id": F.coalesce("doc_id", derived_id),
            # A null partition would be a folder that no query finds by name.
            "source": F.coalesce(F.nullif(F.col("source"), F.lit("")), F.lit("unknown")),
        }
    )


def _rejection(text: Column, text_name: str, doc_id: Column, config: InputConfig) -> Column:
    def because(reason: ReasonCode, message: Column) -> Column:
        return F.struct(F.lit(str(reason)).alias("reason"), message.alias("message"))

    too_long = F.format_string(
        f"the text has %d characters, more than input.max_text_chars = {config.max_text_chars:,}", F.length(text)
    )
    rejection = (
        F.when(text.isNull(), because(ReasonCode.NULL_TEXT, F.lit(f"{text_name!r} is null")))
        .when(~_is_valid_utf8(text), because(ReasonCode.INVALID_UTF8, F.lit(f"{text_name!r} is not valid UTF-8")))
        .when(F.length(text) > config.max_text_chars, because(ReasonCode.TEXT_TOO_LONG, too_long))
    )
    if config.id_column:
        message = F.lit(f"no id in {config.id_column!r} (input.id_column)")
        missing = doc_id.isNull() | (doc_id == "")
        rejection = rejection.when(missing, because(ReasonCode.INVALID_RECORD, message))
    return rejection.alias("rejection")


def _is_valid_utf8(text: Column) -> Column:
    # Parquet writers are free to put any bytes into a string column, and Spark passes them on. The function is of
    # Spark 4.0; in 3.5 decode() puts U+FFFD where bytes are wrong.
    if hasattr(F, "is_valid_utf8"):
        return F.is_valid_utf8(text)
    return F.encode(F.decode(text.cast("binary"), "UTF-8"), "UTF-8") == text.cast("binary")


def _as_valid_utf8(text: Column) -> Column:
    return F.make_valid_utf8(text) if hasattr(F, "make_valid_utf8") else F.decode(text.cast("binary"), "UTF-8")


def _parquet_tables(path: str, uris: Iterable[str]) -> Iterator[InputTable]:
    """A table for each folder whose `name=value` folders are columns, and one for the files in none such."""
    roots: dict[str | None, list[str]] = {}
    for uri in uris:
        roots.setdefault(partitioned_folder(uri, path), []).append(uri)
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


def _need(table: DataFrame, path: str, name: str, option: str) -> str:
    found = _find(table, name)
    if found is None:
        raise RecipeError(f"{path} has no column {name!r} ({option}); it has {', '.join(table.columns)}")
    return found


def _find(table: DataFrame, name: str) -> str | None:
    """The column of this name, else the one that differs in letter case only."""
    if name in table.columns:
        return name
    return next((column for column in table.columns if column.lower() == name.lower()), None)


def _find_scalar(table: DataFrame, name: str) -> str | None:
    found = _find(table, name)
    nested = (T.StructType, T.ArrayType, T.MapType, T.BinaryType)
    return found if found and not isinstance(table.schema[found].dataType, nested) else None


def _column(name: str) -> Column:
    return F.col(f"`{name.replace('`', '``')}`")
