"""The lake: Delta tables by path or by catalog name, made, read and committed in one way."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.window import Window

from prox_spark import schemas
from prox_spark.config import LakeConfig
from prox_spark.errors import LakeError, RecipeError, first_line, root_cause
from prox_spark.lake.buckets import EVERY, Buckets
from prox_spark.lake.commits import EVERY_RUN, left_doubled, newest_commits, others, user_metadata
from prox_spark.places import absolute, is_table_name
from prox_spark.threads import inheriting

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder, DeltaTable
    from pyspark.sql import Column, DataFrame, SparkSession

LOG = logging.getLogger(__name__)

_CHANGE_DATA_FEED = {"delta.enableChangeDataFeed": "true"}
# A MERGE that looked for keys fails beside an addition of another run, which may have brought them; Databricks lets both pass by default.
_SERIALIZABLE = {"delta.isolationLevel": "Serializable"}
_PROPERTIES = {
    # Changed rows are marked instead of rewriting files, and consumers read only what changed.
    "documents": _CHANGE_DATA_FEED | {"delta.enableDeletionVectors": "true"},
    # Without deletion vectors every Delta reader opens it; its rows are mostly added, rarely replaced.
    "refined": _CHANGE_DATA_FEED | _SERIALIZABLE,
    "programs": _SERIALIZABLE,
}

# Values of partition columns are in the log only, so none has to be the name of a folder: too long, `..`, or the like.
_ANY_PARTITION = {"delta.randomizeFilePrefixes": "true"}

# In a table's description, what its partition columns stand under.
_PARTITIONS = "# Partition Information"

# The operation that makes a table without rows; clones and tables made of a query have others.
_DECLARED = "CREATE TABLE"

# Each task holds a row group in memory, texts and all.
_ROW_GROUP_BYTES = 32 << 20

# Files are joined up to the one size, unless they have the other already.
_FILE_BYTES = 256 << 20
_SMALL_FILE_BYTES = 32 << 20

# Commits of other runs beside an addition, at most, among which it looks for its own.
_MAX_COMMITS_MEANWHILE = 100

# Tables whose rows are appended where nothing is known of others, though no key may be there twice.
TOLD_APART = (schemas.PROGRAMS.name, schemas.REFINED.name)
# So many commits are looked through for what a killed run may have left behind.
_FIRST_LOOK = 100
# A column beside those of any table.
_PLACE = "prox_spark_place"
# So often doubled rows are taken out beside others that write.
_TRIES = 8

_NAMES = tuple(table.name for table in schemas.TABLES)
_PARTITIONED = (schemas.DOCUMENTS, schemas.REFINED)

# What Parquet refuses in names, control characters, and the dot and backtick, which every query would have to quote.
UNFIT = re.compile(r"[ ,;{}()=.`\x00-\x1f\x7f]")
# Names that no column of the input keeps: ours, those of `refined` too, for it has all columns of `documents`, and those
# that Delta's change data feed adds to what it returns.
RESERVED = frozenset(
    {*schemas.DOCUMENTS.columns, *schemas.REFINED.columns, "_change_type", "_commit_version", "_commit_timestamp"}
)


class Lake:
    """The tables of one lake.

    Args:
        spark: a session with Delta.
        config: root or catalog; one must be set.

    Attributes:
        partition_columns: of documents and refined, known when `ensure` was called.
        written: names of the tables that rows were added to, replaced in or taken out of through this object.
        beside_others: names of the tables that others were seen to change, or that hold what a run left doubled that was killed.

    Raises:
        RecipeError: neither is set.
    """

    def __init__(self, spark: SparkSession, config: LakeConfig) -> None:
        if not (config.root or config.catalog):
            raise RecipeError("no lake: give --lake ROOT or --catalog NAME.SCHEMA, or set lake.root in the recipe")
        self.spark = spark
        self.config = config
        self._root = absolute(config.root) if config.root else None
        self.partition_columns: dict[str, tuple[str, ...]] = {}
        self.written = set[str]()
        self.beside_others = set[str]()
        self._began_empty = set[str]()
        self._runs = set[str]()
        self._settled = set[str]()
        self._seen = dict[str, int]()

    def __str__(self) -> str:
        return str(self.config.root or self.config.catalog)

    @property
    def option(self) -> str:
        """The command line option that names this lake."""
        return f"--lake {self}" if self._root else f"--catalog {self}"

    def location(self, table: str) -> str:
        """Path of a table, or its catalog name."""
        return f"{str(self._root).rstrip('/')}/{table}" if self._root else f"{self.config.catalog}.{table}"

    def identifier(self, table: str) -> str:
        """The table as SQL names it."""
        return "delta.`{}`".format(self.location(table).replace("`", "``")) if self._root else self.location(table)

    def ensure(self) -> None:
        """Makes the tables that are missing, and adds the columns that tables of an older version lack. Repeatable.

        Raises:
            RecipeError: a column can't be partitioned by.
            LakeError: a table can't be made, such as in a schema that the catalog does not have.
        """
        check_partition_columns(self.config.partition_by)
        # Side by side: a commit is mostly waiting. What `TIMESTAMP` means in SQL is a setting of the session.
        with (
            settings(self.spark, {"spark.sql.timestampType": "TIMESTAMP_LTZ"}),
            ThreadPoolExecutor(len(schemas.TABLES)) as pool,
        ):
            for done in [pool.submit(inheriting(partial(self._ensure, table))) for table in schemas.TABLES]:
                done.result()

    def _ensure(self, table: schemas.Table) -> None:
        try:
            with _telling_of_races(self.location(table.name)):
                if not self.exists(table.name):
                    self._create(table)
                else:
                    if lacking := self._lacking(table):
                        self._add(table, lacking)
                    if table.name in TOLD_APART:
                        self._make_serializable(table.name)
                if table in _PARTITIONED:
                    self._allow_any_partition(table.name)
        except AnalysisException as error:
            # Another run may have made it meanwhile.
            if not self.exists(table.name) or self._lacking(table):
                raise LakeError(f"can't make {self.location(table.name)}: {first_line(error)}") from error

    def exists(self, table: str) -> bool:
        """Is there such a Delta table."""
        from delta.tables import DeltaTable

        if self._root:
            return bool(DeltaTable.isDeltaTable(self.spark, self.location(table)))
        try:
            return bool(self.spark.catalog.tableExists(self.location(table)))
        except AnalysisException as error:
            raise LakeError(f"can't look for {self.location(table)}: {first_line(error)}") from error

    def version(self, table: str) -> int:
        """Newest version of a table.

        `beside_others` gets the table if others have changed it since this was last asked or, the first time, if a run that was
        killed may have left rows doubled.
        """
        seen = self._seen.get(table)
        look = partial(newest_commits, self._delta(table))
        commits = look(_FIRST_LOOK if seen is None and table in TOLD_APART else 1)
        if seen is None:
            doubled = left_doubled(commits)
        else:
            n_looked_at = 0
            while commits[-1].version > seen + 1 and len(commits) > n_looked_at:  # the oldest may be gone
                n_looked_at = len(commits)
                commits = look(commits[0].version - seen)
            doubled = bool(others(commits, self._runs, seen))
        if doubled:
            self.beside_others.add(table)
        self._seen[table] = version = commits[0].version
        if (version, commits[0].operation) == (0, _DECLARED):
            self._began_empty.add(table)
        return version

    def versions(self, names: Sequence[str] = _NAMES) -> dict[str, int]:
        """Newest versions of some tables, by default of every one."""
        with ThreadPoolExecutor(len(schemas.TABLES)) as pool:
            asked = {name: pool.submit(inheriting(partial(self.version, name))) for name in names}
            return {name: version.result() for name, version in asked.items()}

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """A table, at a version when given.

        Raises:
            LakeError: there is no such table; the message says which command makes it.
        """
        if not self.exists(table):
            raise LakeError(
                f"{self} has no table {table}. Run `prox-spark ingest INPUT {self.option}` first, or check the name."
            )
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        rows = reader.load(self.location(table)) if self._root else reader.table(self.location(table))
        # Spark's optimizer leaves out what has no rows, and with it the reading of a log.
        return rows.limit(0) if table in self._began_empty and version == 0 else rows

    def append(
        self,
        table: str,
        rows: DataFrame,
        run_id: str,
        commit: tuple[str, int] | None = None,
        new_columns: bool = False,
        expected_version: int | None = None,
    ) -> None:
        """Appends rows in one commit.

        Args:
            table: its name.
            rows: columns of the table.
            run_id: goes into the commit's userMetadata.
            commit: (application, version): Delta ignores a commit that it has seen, so a retry changes nothing. To know that, it
                reads the whole log, which takes two thirds of a small commit.
            new_columns: take up columns that the table lacks.
            expected_version: of this commit, where its keys were not looked for; goes into the userMetadata, too.
        """
        options: dict[str, Any] = {"userMetadata": self._metadata(table, run_id, expected_version)}
        if commit:
            options |= {"txnAppId": f"prox_spark/{commit[0]}", "txnVersion": commit[1]}
        if new_columns:
            options["mergeSchema"] = "true"
        writer = rows.write.format("delta").mode("append").options(**options)
        if self._root:
            writer.save(self.location(table))
        else:
            writer.saveAsTable(self.location(table))

    def add_new(self, table: schemas.Table, rows: DataFrame, run_id: str, read_version: int) -> None:
        """Append rows whose keys the table lacks, and take up new columns. No row of the table is looked at.

        Args:
            table: where to.
            rows: with keys that were looked for in `read_version`.
            run_id: goes into the commit's userMetadata.
            read_version: another addition since then ends this one, for it may have brought the same keys.

        Raises:
            LakeError: another run added rows meanwhile, or a column can't be taken up.
        """
        from delta.exceptions import ConcurrentTransactionException

        raced = f"another run wrote to {self.location(table.name)} while this one read its input: start it again"
        commit = (f"add to {table.name}", read_version + 1)
        try:
            # Additions share a name: Delta passes over one with a version seen before, and refuses one beside another.
            with settings(self.spark, {"parquet.block.size": str(_ROW_GROUP_BYTES)}):
                # In this order, so that Parquet's readers pass over the pages that have none of a wave's rows.
                self.append(
                    table.name, rows.sortWithinPartitions(schemas.BUCKET.name), run_id, commit, new_columns=True
                )
        except ConcurrentTransactionException as error:
            raise LakeError(raced) from error
        except Exception as error:
            message = f"{self.location(table.name)} can't take up the input: {root_cause(error)}. Nothing was written"
            raise LakeError(message) from error
        since = self._delta(table.name).history(_MAX_COMMITS_MEANWHILE).where(F.col("version") > read_version)
        if since.where(F.col("userMetadata").contains(run_id)).isEmpty():
            raise LakeError(raced)

    def insert_new(self, table: schemas.Table, rows: DataFrame, run_id: str, buckets: Buckets = EVERY) -> None:
        """Adds the rows whose key the table lacks; the others stay as they are.

        Args:
            table: where to.
            rows: in the columns of the table.
            run_id: goes into the commit's userMetadata.
            buckets: that all rows are in; then no other rows of the table are looked at.
        """
        self._merge(table, rows, run_id, None, buckets)

    def upsert(
        self, table: schemas.Table, rows: DataFrame, run_id: str, changed: Column, buckets: Buckets = EVERY
    ) -> None:
        """Adds new rows and replaces those for which `changed` holds (columns of `old` and `new`). New columns are taken up."""
        self._merge(table, rows, run_id, changed, buckets)

    def append_alone(self, table: schemas.Table, rows: DataFrame, run_id: str, buckets: Buckets = EVERY) -> None:
        """Append rows whose keys the table lacks, unless another run brings the same ones at that moment.

        What is doubled is then taken out, and the table is in `beside_others`. A MERGE takes five times as long, for it looks for
        the keys once more.

        Args:
            table: where to.
            rows: in the columns of the table, and new ones.
            run_id: goes into the commit's userMetadata.
            buckets: that all rows are in.
        """
        name = table.name
        seen = self._seen[name] if name in self._seen else self.version(name)
        with _telling_of_races(self.location(name)):
            self.append(name, rows, run_id, new_columns=True, expected_version=seen + 1)
        self.version(name)
        if name in self.beside_others:
            self.take_out_doubles(table, run_id, buckets, settles=run_id)

    def take_out_doubles(
        self, table: schemas.Table, run_id: str, buckets: Buckets = EVERY, settles: str = EVERY_RUN
    ) -> None:
        """Leave one row of those with the same key: of the newest text, else any, but all runs that do this leave the same.

        Args:
            table: with a column run_id.
            run_id: goes into the commit's userMetadata.
            buckets: where to look for them.
            settles: whose rows these are; goes there, too.

        Raises:
            LakeError: other runs have written to the table whenever this was tried.
        """
        from delta.exceptions import DeltaConcurrentModificationException

        for attempt in range(1, _TRIES + 1):
            rows = buckets.of(self.read(table.name))
            doubled = rows.groupBy(*table.key).agg(F.count("*").alias("n")).where("n > 1").drop("n")
            if doubled.isEmpty():
                return
            order = [F.desc(name) for name in ("documents_version", "run_id") if name in rows.columns]
            # A row to stay comes twice: to match all rows with its key, which go, and to match none, which brings it back.
            of_key = Window.partitionBy(*table.key).orderBy(*order)
            found = rows.join(doubled, on=list(table.key), how="left_semi")
            stays = found.withColumn(_PLACE, F.row_number().over(of_key)).where(F.col(_PLACE) == 1)
            source = stays.withColumn(_PLACE, F.explode(F.array(F.lit(1), F.lit(2))))
            merge = self._merge_on(table, source, table.key, buckets, f"new.{_PLACE} = 1").whenMatchedDelete()
            again = {f"`{name}`": f"new.`{name}`" for name in rows.columns}
            try:
                with _committing(self.spark, self._metadata(table.name, run_id, settles=settles)):
                    merge.whenNotMatchedInsert(condition=f"new.{_PLACE} = 2", values=again).execute()
                return
            except DeltaConcurrentModificationException as error:
                if attempt == _TRIES:
                    raise LakeError(_raced_at(self.location(table.name))) from error
                LOG.info("%s: doubled rows are looked for once more: %s", table.name, first_line(error))
            time.sleep(random.uniform(0, 0.1 * 2**attempt))

    def settle(self, run_id: str, names: Collection[str]) -> bool:
        """Take out what runs have doubled, one of which was killed before it could.

        Args:
            run_id: goes into the commits' userMetadata.
            names: of the tables to look through; those that aren't in `TOLD_APART` are passed over.

        Returns:
            Whether there was one.
        """
        tables = [table for table in schemas.TABLES if table.name in TOLD_APART and table.name in names]
        for table in tables:
            self.take_out_doubles(table, run_id)
            self.beside_others.discard(table.name)
            self._settled.add(table.name)
        return bool(tables)

    def remove(self, table: schemas.Table, rows: DataFrame, on: Sequence[str], run_id: str) -> None:
        """Deletes the table's rows that equal one of `rows` in these columns.

        Args:
            table: where from.
            rows: with the columns `on`; equal ones among them do no harm.
            on: columns of the table, null equal to null.
            run_id: goes into the commit's userMetadata.
        """
        merge = self._merge_on(table, rows.select(*on).distinct(), on).whenMatchedDelete()
        with _committing(self.spark, self._metadata(table.name, run_id)), _telling_of_races(self.location(table.name)):
            merge.execute()

    def compact(self, table: str, run_id: str) -> None:
        """Join the small files of a table. Large ones stay: what it costs is a matter of what was added, not of the table's size.

        Args:
            table: its name.
            run_id: goes into the commit's userMetadata.
        """
        from delta.exceptions import DeltaConcurrentModificationException

        options = {
            "spark.databricks.delta.optimize.minFileSize": str(_SMALL_FILE_BYTES),
            "spark.databricks.delta.optimize.maxFileSize": str(_FILE_BYTES),
        }
        try:
            with settings(self.spark, options), _committing(self.spark, self._metadata(table, run_id)):
                self._delta(table).optimize().executeCompaction()
        # Another run changed what this one had read: the files are joined the next time.
        except DeltaConcurrentModificationException as error:
            LOG.info("%s was not compacted: %s", self.location(table), first_line(error))

    def create_views(self) -> list[str]:
        """Makes every table a temporary view of its own name, for SQL. Returns the names."""
        names = [table.name for table in schemas.TABLES if self.exists(table.name)]
        if not names:
            raise LakeError(
                f"{self} holds no tables of prox_spark. Run `prox-spark ingest INPUT {self.option}` first, or check the name."
            )
        for name in names:
            self.read(name).createOrReplaceTempView(name)
        return names

    def _merge(
        self, table: schemas.Table, rows: DataFrame, run_id: str, update: Column | None, buckets: Buckets
    ) -> None:
        merge = self._merge_on(table, rows, table.key, buckets)
        if update is not None:
            merge = merge.whenMatchedUpdateAll(condition=update)
        with _committing(self.spark, self._metadata(table.name, run_id)), _telling_of_races(self.location(table.name)):
            merge.whenNotMatchedInsertAll().withSchemaEvolution().execute()

    def _merge_on(
        self, table: schemas.Table, rows: DataFrame, on: Sequence[str], buckets: Buckets = EVERY, *more: str
    ) -> DeltaMergeBuilder:
        conditions = [f"old.{column} <=> new.{column}" for column in on]
        condition = " AND ".join([*conditions, *more, buckets.condition("old")])
        return self._delta(table.name).alias("old").merge(rows.alias("new"), condition)

    def _allow_any_partition(self, table: str) -> None:
        """See to it that a partitioned table, also one of an older version, takes every value."""
        # Not DESCRIBE DETAIL, which reads the whole log to count the table's files.
        described = [row["col_name"] for row in self.spark.sql(f"DESCRIBE TABLE {self.identifier(table)}").collect()]
        # What follows is a line of headings, then the columns.
        _, _, *names = dropwhile(lambda name: name != _PARTITIONS, described) if _PARTITIONS in described else ("", "")
        self.partition_columns[table] = tuple(takewhile(lambda name: name and not name.startswith("#"), names))
        if self.partition_columns[table]:
            self._set_properties(table, _ANY_PARTITION)

    def _set_properties(self, table: str, properties: Mapping[str, str]) -> None:
        """Set those that a table, such as one of an older version, does not have."""
        found = self.spark.sql(f"SHOW TBLPROPERTIES {self.identifier(table)}").collect()
        if not properties.items() <= {(row["key"], row["value"]) for row in found}:
            self.spark.sql(f"ALTER TABLE {self.identifier(table)} SET TBLPROPERTIES ({_listed(properties)})")

    def _make_serializable(self, table: str) -> None:
        try:
            self._set_properties(table, _SERIALIZABLE)
        except AnalysisException as error:
            LOG.warning("%s keeps its isolation level: %s", self.location(table), first_line(error))

    def _metadata(
        self, table: str, run_id: str, expected_version: int | None = None, settles: str | None = None
    ) -> str:
        """What a commit to a table says of itself, which is noted before: then nobody takes it for another run's."""
        self.written.add(table)
        self._runs.add(run_id)
        return user_metadata(run_id, expected_version, settles or (EVERY_RUN if table in self._settled else None))

    def _create(self, table: schemas.Table) -> None:
        # In SQL: DeltaTable.create takes names of two parts at most, and a catalog's have three.
        partition_by = self.config.partition_by if table in _PARTITIONED else []
        # Carried columns come with the first rows, partition columns must be there before; `ingest` casts.
        added = [T.StructField(name, T.StringType()) for name in partition_by if name not in table.columns]
        clauses = [
            f"CREATE TABLE {self.identifier(table.name)} ({self._ddl([*table.schema.fields, *added])}) USING delta"
        ]
        if partition_by:
            clauses.append(f"PARTITIONED BY ({', '.join(f'`{name}`' for name in partition_by)})")
        if properties := _PROPERTIES.get(table.name, {}) | (_ANY_PARTITION if partition_by else {}):
            clauses.append(f"TBLPROPERTIES ({_listed(properties)})")
        self.spark.sql(" ".join(clauses))

    def _lacking(self, table: schemas.Table) -> list[T.StructField]:
        have = {field.name.lower(): field.dataType for field in self.read(table.name).schema}
        bucket = schemas.BUCKET
        if have.get(bucket.name, bucket.dataType) != bucket.dataType:
            # Of the input of an older version: waves would pass over its rows.
            raise LakeError(
                f"{self.location(table.name)} has a column {bucket.name} that is not ours, of type "
                f"{have[bucket.name].simpleString()}: rename it, or ingest into a new lake"
            )
        return [field for field in table.schema if field.name.lower() not in have]

    def _add(self, table: schemas.Table, fields: list[T.StructField]) -> None:
        self.spark.sql(f"ALTER TABLE {self.identifier(table.name)} ADD COLUMNS ({self._ddl(fields)})")

    def _ddl(self, fields: list[T.StructField]) -> str:
        """Columns as SQL declares them. Spark's own words: with the comments, also those within a structure."""
        data_type = self.spark.sparkContext._jvm.org.apache.spark.sql.types.DataType
        return str(data_type.fromJson(T.StructType(fields).json()).toDDL())

    def _delta(self, table: str) -> DeltaTable:
        from delta.tables import DeltaTable

        if self._root:
            return DeltaTable.forPath(self.spark, self.location(table))
        return DeltaTable.forName(self.spark, self.location(table))


def to_frame(spark: SparkSession, rows: Sequence[Mapping[str, object]], schema: T.StructType) -> DataFrame:
    """Return a frame of a few rows that are part of its plan: no Python worker brings them.

    Args:
        spark: the session.
        rows: values by column; structs as dicts, maps as lists of pairs.
        schema: of the frame.
    """
    return spark.createDataFrame(pa.Table.from_pylist(list(rows), to_arrow_schema(schema)), schema)


@contextmanager
def _telling_of_races(place: str) -> Iterator[None]:
    """Say so where Delta refuses a commit because another run has changed what it rests on.

    Raises:
        LakeError: that happened in the block.
    """
    from delta.exceptions import DeltaConcurrentModificationException

    try:
        yield
    except DeltaConcurrentModificationException as error:
        raise LakeError(_raced_at(place)) from error


def _raced_at(place: str) -> str:
    return f"another run wrote to {place} while this one did: start it again"


def _listed(properties: Mapping[str, str]) -> str:
    """Return properties as SQL lists them."""
    return ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())


def read_delta(spark: SparkSession, place: str) -> DataFrame:
    """A Delta table by its name in a catalog (Databricks has those of three parts), its path or its URI.

    Raises:
        AnalysisException: there is none.
    """
    return spark.read.table(place) if is_table_name(place) else spark.read.format("delta").load(absolute(place))


def check_partition_columns(names: Sequence[str]) -> None:
    """Can `documents` and `refined` be partitioned by these columns?

    Raises:
        RecipeError: a name that Delta refuses, a column of ours other than `source`, or the same column twice.
    """
    accepted = "accepted are source and columns that the input carries, by the name that documents gives them"
    seen = set[str]()
    for name in names:
        if not name or UNFIT.search(name):
            problem = f"write {UNFIT.sub('_', name)!r}, as documents names it" if name else "it is empty"
        elif name != "source" and name.lower() == "source":
            problem = "write 'source'"
        elif name != "source" and name.lower() in RESERVED:
            problem = f"it is a column of prox_spark; one of the input with this name is carried as 'input_{name}'"
        elif name.lower() in seen:
            problem = "it is named twice"
        else:
            seen.add(name.lower())
            continue
        raise RecipeError(f"lake.partition_by: can't partition by {name!r}: {problem}; {accepted}")


@contextmanager
def _committing(spark: SparkSession, metadata: str) -> Iterator[None]:
    """MERGE has no write options: its userMetadata comes from the session, where the user may have one of their own."""
    with settings(spark, {"spark.databricks.delta.commitInfo.userMetadata": metadata}):
        yield


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings of the session for the block."""
    before = {key: spark.conf.get(key, None) for key in values}
    try:
        for key, value in values.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, value in before.items():
            if value is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, value)


def quarantine_id(*parts: Column) -> Column:
    """Key of a quarantine row: SHA-256 over what identifies it, so that the same finding is stored once."""
    return F.sha2(F.concat_ws("\x1f", *(F.coalesce(part.cast("string"), F.lit("\x00")) for part in parts)), 256)
