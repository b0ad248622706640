"""The lake: it creates its tables, reads them and commits to them."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from prox_spark import schemas
from prox_spark.config import LakeConfig
from prox_spark.errors import LakeError, find_condition, first_line, root_cause
from prox_spark.lake import declare
from prox_spark.lake.buckets import EVERY, Buckets
from prox_spark.lake.columns import check_partition_columns
from prox_spark.lake.commits import EVERY_RUN, user_metadata
from prox_spark.lake.operations import Merge, is_race, is_race_of_twins
from prox_spark.lake.spark_settings import spark_settings
from prox_spark.lake.tables import TOLD_APART, Tables
from prox_spark.spark_versions import WRITE_SETTINGS
from prox_spark.threads import inherit_thread_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)

# Each task holds a row group in memory, with its texts.
_ROW_GROUP_BYTES = 32 << 20
# Files below the small size are joined, up to the other.
_FILE_BYTES = 256 << 20
_SMALL_FILE_BYTES = 32 << 20
# An addition looks for its own commit among at most this many commits of other runs.
_MAX_COMMITS_MEANWHILE = 100
# A column beside those of any table.
_PLACE = "prox_spark_place"
# Condition of Delta's refusal of OPTIMIZE where Unity Catalog manages the commits of a table.
_BLOCKED = "DELTA_UNSUPPORTED_CATALOG_MANAGED_TABLE_OPERATION"
# Number of tries to take out doubled rows while other runs write.
_TRIES = 8


class Lake(Tables):
    """The tables of one lake, for reading and writing.

    Args:
        spark: a session with Delta.
        config: root or catalog; one must be set. A string is a root.

    Attributes:
        partition_columns: of documents and refined, known once `ensure` was called.
        written: names of the tables whose rows were added, replaced or removed through this object.

    Raises:
        RecipeError: neither is set.
    """

    def __init__(self, spark: SparkSession, config: LakeConfig | str) -> None:
        super().__init__(spark, config)
        self.partition_columns: dict[str, tuple[str, ...]] = {}
        self.written = set[str]()
        self._settled = set[str]()

    def ensure(self) -> None:
        """Make the schema and tables that are missing, and add the columns that tables of an older version lack. Repeatable.

        Raises:
            RecipeError: a column can't be partitioned by.
            LakeError: the schema or a table can't be made.
        """
        check_partition_columns(self.config.partition_by)
        declare.create_schema(self)
        # Side by side, because a commit is mostly waiting. What `TIMESTAMP` means in SQL is a setting of the session.
        with (
            spark_settings(self.spark, {"spark.sql.timestampType": "TIMESTAMP_LTZ"}),
            ThreadPoolExecutor(len(schemas.TABLES)) as pool,
        ):
            for done in [
                pool.submit(inherit_thread_settings(partial(self._ensure, t), self.spark)) for t in schemas.TABLES
            ]:
                done.result()

    def _ensure(self, table: schemas.Table) -> None:
        try:
            with _naming_races(self.location(table.name)):
                if not self.exists(table.name):
                    declare.create_table(self, table)
                else:
                    if lacking := declare.find_lacking(self, table):
                        declare.add_columns(self, table, lacking)
                    if table.name in TOLD_APART:
                        declare.make_serializable(self, table.name)
                if table in declare.PARTITIONED:
                    self._read_partition_columns(table.name)
                    if self.partition_columns[table.name]:
                        declare.allow_any_partition(self, table.name)
        except AnalysisException as error:
            # Another run may have made it meanwhile, or the user may not change it.
            if not self.exists(table.name) or declare.find_lacking(self, table):
                raise LakeError(f"can't make {self.location(table.name)}: {first_line(error)}") from error
            if table in declare.PARTITIONED:
                self._read_partition_columns(table.name)

    def _read_partition_columns(self, table: str) -> None:
        self.partition_columns[table] = declare.read_partition_columns(self, table)

    def append(
        self,
        table: str,
        rows: DataFrame,
        run_id: str,
        commit: tuple[str, int] | None = None,
        new_columns: bool = False,
        expected_version: int | None = None,
    ) -> None:
        """Append rows in one commit.

        Args:
            table: its name.
            rows: in the columns of the table.
            run_id: goes into the commit's userMetadata.
            commit: (application, version). Delta ignores a commit that it has seen, so a retry changes nothing. For that it reads
                the whole log, which takes two thirds of a small commit.
            new_columns: True to add columns that the table lacks.
            expected_version: of this commit if nobody looked for its keys. It goes into the userMetadata, too.
        """
        options: dict[str, Any] = {"userMetadata": self._metadata(table, run_id, expected_version)}
        if commit:
            options |= {"txnAppId": f"prox_spark/{commit[0]}", "txnVersion": commit[1]}
        if new_columns:
            options["mergeSchema"] = "true"
        writer = rows.write.format("delta").mode("append").options(**options)
        with spark_settings(self.spark, WRITE_SETTINGS):
            if self._root:
                writer.save(self.location(table))
            else:
                writer.saveAsTable(self.location(table))

    def add_new(self, table: schemas.Table, rows: DataFrame, run_id: str, read_version: int) -> None:
        """Append rows whose keys the table lacks, and add new columns. No row of the table is read.

        Args:
            table: of the lake.
            rows: the table had no rows with their keys in `read_version`.
            run_id: goes into the commit's userMetadata.
            read_version: an addition of another run since then makes this one fail, because it may have the same keys.

        Raises:
            LakeError: another run added rows meanwhile, or a column can't be added.
        """
        raced = f"another run wrote to {self.location(table.name)} while this one read its input: start it again"
        commit = (f"add to {table.name}", read_version + 1)
        try:
            # Additions share a name. Delta ignores one whose version it has seen, and refuses one that races with another.
            with spark_settings(self.spark, {"parquet.block.size": str(_ROW_GROUP_BYTES)}):
                # In this order readers of Parquet skip the pages without rows of a wave.
                self.append(
                    table.name, rows.sortWithinPartitions(schemas.BUCKET.name), run_id, commit, new_columns=True
                )
        except Exception as error:
            if is_race_of_twins(error):
                raise LakeError(raced) from error
            message = f"{self.location(table.name)} can't take up the input: {root_cause(error)}. Nothing was written"
            raise LakeError(message) from error
        newest = self._newest_commits(table.name, _MAX_COMMITS_MEANWHILE)
        if not any(commit.run_id == run_id for commit in newest if commit.version > read_version):
            raise LakeError(raced)

    def insert_new(self, table: schemas.Table, rows: DataFrame, run_id: str, buckets: Buckets = EVERY) -> None:
        """Add the rows whose key the table lacks. Rows of the table stay as they are.

        Args:
            table: of the lake.
            rows: in the columns of the table.
            run_id: goes into the commit's userMetadata.
            buckets: all rows are in these, so no other rows of the table are read.
        """
        self._merge(table, rows, run_id, None, buckets)

    def upsert(
        self, table: schemas.Table, rows: DataFrame, run_id: str, changed: str, buckets: Buckets = EVERY
    ) -> None:
        """Add new rows, replace rows for which `changed` holds (SQL over columns of `old` and `new`), and add new columns."""
        self._merge(table, rows, run_id, changed, buckets)

    def append_alone(self, table: schemas.Table, rows: DataFrame, run_id: str, buckets: Buckets = EVERY) -> None:
        """Append rows whose keys the table lacks, unless another run brings the same ones at that moment.

        If one does, doubled rows are removed and the table is in `beside_others` from then on. A MERGE takes five times as long,
        because it looks for the keys once more.

        Args:
            table: of the lake.
            rows: in the columns of the table, and new ones.
            run_id: goes into the commit's userMetadata.
            buckets: all rows are in these.
        """
        name = table.name
        seen = self._seen_versions[name] if name in self._seen_versions else self.version(name)
        with _naming_races(self.location(name)):
            self.append(name, rows, run_id, new_columns=True, expected_version=seen + 1)
        self.version(name)
        if name in self.beside_others:
            self.take_out_doubles(table, run_id, buckets, settles=run_id)

    def take_out_doubles(
        self, table: schemas.Table, run_id: str, buckets: Buckets = EVERY, settles: str = EVERY_RUN
    ) -> None:
        """Delete doubled rows and keep one per key: the row of the newest text. Every run breaks ties in the same way.

        Args:
            table: with a column run_id.
            run_id: goes into the commit's userMetadata.
            buckets: that may have doubled rows.
            settles: run that brought these rows; goes into the userMetadata, too.

        Raises:
            LakeError: other runs wrote to the table during every try.
        """
        for attempt in range(1, _TRIES + 1):
            rows = buckets.of(self.read(table.name))
            doubled = rows.groupBy(*table.key).agg(F.count("*").alias("n")).where("n > 1").drop("n")
            if doubled.isEmpty():
                return
            order = [F.desc(name) for name in ("documents_version", "run_id") if name in rows.columns]
            # A row that stays comes twice: once to match all rows with its key, which go, and once to match none and come back.
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
            except Exception as error:
                if not is_race(error):
                    raise
                if attempt == _TRIES:
                    raise LakeError(_say_raced(self.location(table.name))) from error
                LOG.info("%s: doubled rows are looked for once more: %s", table.name, first_line(error))
            time.sleep(random.uniform(0, 0.1 * 2**attempt))

    def settle(self, run_id: str, names: Collection[str]) -> bool:
        """Remove rows that runs have doubled, one of which was killed before it could remove them.

        Args:
            run_id: goes into the commits' userMetadata.
            names: of tables; those that aren't in `TOLD_APART` are ignored.

        Returns:
            True if there was a table to look through.
        """
        tables = [table for table in schemas.TABLES if table.name in TOLD_APART and table.name in names]
        for table in tables:
            self.take_out_doubles(table, run_id)
            self.beside_others.discard(table.name)
            self._settled.add(table.name)
        return bool(tables)

    def remove(self, table: schemas.Table, rows: DataFrame, on: Sequence[str], run_id: str) -> None:
        """Delete the rows of a table that equal one of `rows` in some columns.

        Args:
            table: of the lake.
            rows: with the columns `on`; duplicates do no harm.
            on: columns of the table, null equal to null.
            run_id: goes into the commit's userMetadata.
        """
        merge = self._merge_on(table, rows.select(*on).distinct(), on).whenMatchedDelete()
        with _committing(self.spark, self._metadata(table.name, run_id)), _naming_races(self.location(table.name)):
            merge.execute()

    def compact(self, table: str, run_id: str) -> None:
        """Join the small files of a table. Large files stay, so the cost depends on what was added and not on the size of the table.

        Args:
            table: its name.
            run_id: goes into the commit's userMetadata.
        """
        options = {
            "spark.databricks.delta.optimize.minFileSize": str(_SMALL_FILE_BYTES),
            "spark.databricks.delta.optimize.maxFileSize": str(_FILE_BYTES),
        }
        try:
            with spark_settings(self.spark, options), _committing(self.spark, self._metadata(table, run_id)):
                self._operations.join_files(self.identifier(table), self.location(table))
        except Exception as error:
            if not is_race(error) and find_condition(error) != _BLOCKED:
                raise
            # Another run changed what this one had read, and the files are joined the next time. Or the catalog joins them itself.
            LOG.info("%s was not compacted: %s", self.location(table), first_line(error))

    def _merge(self, table: schemas.Table, rows: DataFrame, run_id: str, update: str | None, buckets: Buckets) -> None:
        merge = self._merge_on(table, rows, table.key, buckets)
        if update is not None:
            merge = merge.whenMatchedUpdateAll(condition=update)
        with _committing(self.spark, self._metadata(table.name, run_id)), _naming_races(self.location(table.name)):
            merge.whenNotMatchedInsertAll().withSchemaEvolution().execute()

    def _merge_on(
        self, table: schemas.Table, rows: DataFrame, on: Sequence[str], buckets: Buckets = EVERY, *more: str
    ) -> Merge:
        conditions = [f"old.{column} <=> new.{column}" for column in on]
        condition = " AND ".join([*conditions, *more, buckets.condition("old")])
        return self._operations.merge(self.identifier(table.name), self.location(table.name), rows, condition)

    def _metadata(
        self, table: str, run_id: str, expected_version: int | None = None, settles: str | None = None
    ) -> str:
        """Return the userMetadata of a commit, and note the run before it commits, so that its commits count as its own."""
        self.written.add(table)
        self._own_runs.add(run_id)
        return user_metadata(run_id, expected_version, settles or (EVERY_RUN if table in self._settled else None))


@contextmanager
def _naming_races(place: str) -> Iterator[None]:
    """Turn Delta's refusal of a commit, because another run changed what it rests on, into an error that says so.

    Raises:
        LakeError: Delta refused a commit of the block.
    """
    try:
        yield
    except Exception as error:
        if is_race(error):
            raise LakeError(_say_raced(place)) from error
        raise


def _say_raced(place: str) -> str:
    return f"another run wrote to {place} while this one did: start it again"


@contextmanager
def _committing(spark: SparkSession, metadata: str) -> Iterator[None]:
    """Set the userMetadata of commits for the block. MERGE takes it from the session, where the user may have set another."""
    with spark_settings(spark, {"spark.databricks.delta.commitInfo.userMetadata": metadata} | WRITE_SETTINGS):
        yield
