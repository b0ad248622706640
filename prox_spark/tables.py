"""The lake: Delta tables by path or by catalog name, made, read and committed in one way."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.config import LakeConfig
from prox_spark.errors import LakeError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_CHANGE_DATA_FEED = {"delta.enableChangeDataFeed": "true"}
_PROPERTIES = {
    # Changed rows are marked instead of rewriting files, and consumers read only what changed.
    "documents": _CHANGE_DATA_FEED | {"delta.enableDeletionVectors": "true"},
    # Without deletion vectors every Delta reader opens it; its rows are mostly added, rarely replaced.
    "refined": _CHANGE_DATA_FEED,
}


class Lake:
    """The tables of one lake.

    Args:
        spark: a session with Delta.
        config: root or catalog; one must be set.

    Raises:
        LakeError: neither is set.
    """

    def __init__(self, spark: SparkSession, config: LakeConfig) -> None:
        if not (config.root or config.catalog):
            raise LakeError("no lake: give --lake ROOT or --catalog NAME.SCHEMA, or set lake.root in the recipe")
        self.spark = spark
        self.config = config
        # Delta takes a relative path for the name of a table.
        self._root = os.path.abspath(config.root) if config.root and "://" not in config.root else config.root

    def __str__(self) -> str:
        return str(self.config.root or self.config.catalog)

    def location(self, table: str) -> str:
        """Path of a table, or its catalog name."""
        return f"{str(self._root).rstrip('/')}/{table}" if self._root else f"{self.config.catalog}.{table}"

    def identifier(self, table: str) -> str:
        """The table as SQL names it."""
        return f"delta.`{self.location(table)}`" if self.config.root else self.location(table)

    def ensure(self) -> None:
        """Makes the tables that are missing. Repeatable."""
        from delta.tables import DeltaTable

        for table in schemas.TABLES:
            if self.exists(table.name):
                continue
            builder = DeltaTable.createIfNotExists(self.spark).addColumns(table.schema)
            if self.config.root:
                builder = builder.location(self.location(table.name))
            else:
                builder = builder.tableName(self.location(table.name))
            for key, value in _PROPERTIES.get(table.name, {}).items():
                builder = builder.property(key, value)
            if table in (schemas.DOCUMENTS, schemas.REFINED) and self.config.partition_by:
                for column in self.config.partition_by:
                    if column not in table.columns:
                        # Carried columns come with the first rows, partition columns must be there before; `ingest` casts.
                        builder = builder.addColumn(column, "string")
                builder = builder.partitionedBy(*self.config.partition_by)
            builder.execute()

    def exists(self, table: str) -> bool:
        """Is there such a Delta table."""
        from delta.tables import DeltaTable

        if self.config.root:
            return bool(DeltaTable.isDeltaTable(self.spark, self.location(table)))
        return bool(self.spark.catalog.tableExists(self.location(table)))

    def version(self, table: str) -> int:
        """Newest version of a table."""
        return int(self._delta(table).history(1).select("version").first()["version"])

    def versions(self) -> dict[str, int]:
        """Newest version of every table."""
        return {table.name: self.version(table.name) for table in schemas.TABLES}

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """A table, at a version when given.

        Raises:
            LakeError: there is no such table; the message says which command makes it.
        """
        if not self.exists(table):
            raise LakeError(
                f"{self} has no table {table}. Run `prox-spark ingest INPUT --lake {self}` first, or check the path."
            )
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.location(table)) if self.config.root else reader.table(self.location(table))

    def append(self, table: str, rows: DataFrame, run_id: str, commit: tuple[str, int]) -> None:
        """Appends rows in one commit.

        Args:
            table: its name.
            rows: columns of the table.
            run_id: goes into the commit's userMetadata.
            commit: (application, version): Delta ignores a commit that it has seen, so a retry changes nothing.
        """
        writer = (
            rows.write.format("delta")
            .mode("append")
            .option("txnAppId", f"prox_spark/{commit[0]}")
            .option("txnVersion", commit[1])
            .option("userMetadata", json.dumps({"run_id": run_id}))
        )
        if self.config.root:
            writer.save(self.location(table))
        else:
            writer.saveAsTable(self.location(table))

    def insert_new(self, table: schemas.Table, rows: DataFrame, run_id: str) -> None:
        """Adds the rows whose key the table lacks; the others stay as they are."""
        self._merge(table, rows, run_id, update=None)

    def upsert(self, table: schemas.Table, rows: DataFrame, run_id: str, changed: Column) -> None:
        """Adds new rows and replaces those for which `changed` holds (columns of `old` and `new`). New columns are taken up."""
        self._merge(table, rows, run_id, update=changed)

    def create_views(self) -> list[str]:
        """Makes every table a temporary view of its own name, for SQL. Returns the names."""
        names = [table.name for table in schemas.TABLES if self.exists(table.name)]
        if not names:
            raise LakeError(
                f"{self} holds no tables of prox_spark. Run `prox-spark ingest INPUT --lake {self}` first, or check the path."
            )
        for name in names:
            self.read(name).createOrReplaceTempView(name)
        return names

    def _merge(self, table: schemas.Table, rows: DataFrame, run_id: str, update: Column | None) -> None:
        condition = " AND ".join(f"old.{column} <=> new.{column}" for column in table.key)
        merge = self._delta(table.name).alias("old").merge(rows.alias("new"), condition)
        if update is not None:
            merge = merge.whenMatchedUpdateAll(condition=update)
        with _user_metadata(self.spark, {"run_id": run_id}):
            merge.whenNotMatchedInsertAll().withSchemaEvolution().execute()

    def _delta(self, table: str):  # type: ignore[no-untyped-def]
        from delta.tables import DeltaTable

        if self.config.root:
            return DeltaTable.forPath(self.spark, self.location(table))
        return DeltaTable.forName(self.spark, self.location(table))


@contextmanager
def _user_metadata(spark: SparkSession, metadata: Mapping[str, str]) -> Iterator[None]:
    """MERGE has no write options: its userMetadata comes from the session."""
    key = "spark.databricks.delta.commitInfo.userMetadata"
    spark.conf.set(key, json.dumps(dict(metadata)))
    try:
        yield
    finally:
        spark.conf.unset(key)


def quarantine_id(*parts: Column) -> Column:
    """Key of a quarantine row: SHA-256 over what identifies it, so that the same finding is stored once."""
    return F.sha2(F.concat_ws("\x1f", *(F.coalesce(part.cast("string"), F.lit("\x00")) for part in parts)), 256)
