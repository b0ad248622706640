"""The inputs of an ingest: the files and tables that the paths of a recipe name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prox_spark.config import InputConfig
from prox_spark.errors import RecipeError, root_cause
from prox_spark.hadoop_logins import adopt_hadoop_logins, find_bucket
from prox_spark.lake.frames import read_delta
from prox_spark.places import can_be_listed, canonical, is_folder_with, is_table_name, literal
from prox_spark.readers import InputFile, InputFormat, PassedOver, describe_passed_over, detect_formats, list_files
from prox_spark.readers.detection import suggest_glob
from prox_spark.readers.files import find_partitioned_folder
from prox_spark.readers.skipping import skip_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Our reader of Parquet reads what Spark's does not, such as some types, and columns of several types.
_HINT = (
    ". Spark's reader is used only where files can't be listed from here. Under a local path, s3://, gs:// or hdfs://, or where the "
    "platform mounts the store, all that Arrow reads is read"
)
# Settings that don't apply to tables.
_FOR_JSONL = ("id_from_path", "folder_columns", "beside")


@dataclass(frozen=True)
class InputTable:
    """A Parquet or Delta table.

    Attributes:
        path: absolute path, URI, or name in a catalog.
        kind: parquet or delta.
        files: URIs of its Parquet files, because Spark skips files in folders that are not called `name=value` and knows no
            `**`. If it is empty, Spark finds the files.
        root: folders called `name=value` below this folder are columns; None if there are none.
    """

    path: str
    kind: InputFormat
    files: tuple[str, ...] = ()
    root: str | None = None

    def load(self, spark: SparkSession) -> DataFrame:
        """Return the rows of the table.

        Raises:
            RecipeError: it can't be read.
        """
        reader = spark.read.format(str(self.kind))
        try:
            if self.kind is InputFormat.DELTA:
                return read_delta(spark, self.path)
            if not self.files:
                # With mergeSchema, columns that only some files have are found.
                return reader.option("mergeSchema", "true").load(self.path)
            if self.root:
                reader = reader.option("basePath", self.root)
            return reader.load([*map(literal, self.files)])
        except Exception as error:  # An error of Spark, or one that py4j makes of another.
            hint = "" if self.kind is InputFormat.DELTA else _HINT
            raise RecipeError(f"can't read {self.path} as {self.kind}: {root_cause(error)}{hint}") from error


@dataclass(frozen=True)
class Inputs:
    """The files of records or the tables that the paths of a recipe hold, never both.

    Attributes:
        files: files of records with their formats.
        tables: Parquet and Delta tables.
        passed_over: files of folders and globs that hold no data.
        notes: remarks for the summary, such as on values that are carried in another form than the input has them.
    """

    files: tuple[tuple[InputFile, InputFormat], ...]
    tables: tuple[InputTable, ...]
    passed_over: tuple[PassedOver, ...] = ()
    notes: list[str] = field(default_factory=list)

    def may_be_read_twice(self, config: InputConfig) -> bool:
        """Return True if reading twice is cheaper than keeping the rows: unless texts are extracted from pages or side files joined."""
        are_cheap = all(kind in (InputFormat.JSONL, InputFormat.WET) for _, kind in self.files)
        return bool(self.files) and are_cheap and not config.beside

    @property
    def places(self) -> list[str]:
        """The places that rows come from, as in `provenance.file`: files, and tables that Spark reads itself."""
        tables = (table.files or (table.path,) for table in self.tables)
        return [*(file.uri for file, _ in self.files), *(place for places in tables for place in places)]


def find_inputs_at_once(config: InputConfig) -> Inputs | None:
    """List the files and tables that a recipe names before Spark has started, so that a wrong path is reported at once.

    Returns:
        None where Spark's settings may hold the credentials: of those `find_inputs_of` makes use.

    Raises:
        RecipeError: as `find_inputs`.
    """
    return None if any(map(find_bucket, _list_places(config))) else find_inputs(config)


def find_inputs_of(spark: SparkSession, config: InputConfig) -> Inputs:
    """List the files and tables that a recipe names, with the credentials that Hadoop has.

    Raises:
        RecipeError: as `find_inputs`.
        ProxSparkError: Hadoop's settings name credentials that can't be had.
    """
    adopt_hadoop_logins(spark, _list_places(config))
    return find_inputs(config)


def _list_places(config: InputConfig) -> list[str]:
    """Return the paths of a recipe, and the parts of paths of side files, which may name another bucket."""
    return [*config.paths, *(part for other in config.beside for part in other.path.values())]


def find_inputs(config: InputConfig) -> Inputs:
    """List the files and tables that a recipe names.

    Raises:
        RecipeError: there is no path, a path holds nothing to read, a format is unknown or can't be read, or tables are mixed
            with other files.
    """
    if not config.paths:
        raise RecipeError("no input: name files, folders or globs, or set input.paths in the recipe")
    files: list[tuple[InputFile, InputFormat]] = []
    tables: list[InputTable] = []
    passed_over: dict[str, PassedOver] = {}
    read: set[str] = set()
    for path in config.paths:
        if table := _find_table(path, config):
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
            tables += _make_tables(canonical(path), [file.uri for file, _ in found])
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
    ignored = [f"input.{name}" for name in _FOR_JSONL if tables and getattr(config, name)]
    notes = [f"{', '.join(ignored)}: ignored, because the input is not JSON Lines"] if ignored else []
    return Inputs(
        tuple(files), tuple(tables), tuple(item for uri, item in passed_over.items() if uri not in read), notes
    )


def _refuse_mixture(path: str, found: list[tuple[InputFile, InputFormat]]) -> None:
    """Raise RecipeError if tables and files of records lie together."""
    parquet = [file for file, kind in found if kind.is_table]
    others = [file for file, kind in found if not kind.is_table]
    if parquet and others:
        raise RecipeError(
            f"{path} holds Parquet ({parquet[0].uri}) and other formats ({others[0].uri}), which can't be ingested together. "
            f"Run ingest once for each: '{suggest_glob(path, parquet)}', '{suggest_glob(path, others)}'"
        )


def _make_tables(path: str, uris: Iterable[str]) -> Iterator[InputTable]:
    """Make a table of each folder whose `name=value` folders are columns, and one of the files in no such folder."""
    roots: dict[str | None, list[str]] = {}
    for uri in uris:
        roots.setdefault(find_partitioned_folder(uri, path), []).append(uri)
    return (InputTable(path, InputFormat.PARQUET, tuple(files), root) for root, files in roots.items())


def _find_table(path: str, config: InputConfig) -> InputTable | None:
    """Return the table at a path if the recipe's format says so or it is a folder of Delta; None if its files must be looked at."""
    place = path if is_table_name(path) else canonical(path)
    if config.format == "auto":
        return InputTable(place, InputFormat.DELTA) if is_folder_with(path, "_delta_log") else None
    given = InputFormat(config.format)
    # The table may be in any store that Spark reads, also in one that can't be listed here.
    is_read_as_named = given is InputFormat.DELTA or (given.is_table and not can_be_listed(place))
    return InputTable(place, given) if is_read_as_named else None
