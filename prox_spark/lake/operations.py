"""What Delta does beyond reading and appending: MERGE, the history of a table, joining small files.

In a classic session this is Delta's Python API. Over Spark Connect it is SQL, which every server with Delta understands: Delta's API
needs a plug-in of the server there, which a platform may lack.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from prox_spark.errors import LakeError, comes_from_spark, find_condition, root_cause
from prox_spark.spark_driver import is_connect
from prox_spark.spark_versions import VERSION

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

NO_DELTA = (
    "this Spark session has no Delta. Make it by prox_spark.session.build_session(Recipe()), or give it Delta's package, its "
    "extension io.delta.sql.DeltaSparkSessionExtension and its catalog org.apache.spark.sql.delta.catalog.DeltaCatalog"
)
# Conditions of errors about a path without a Delta table, and about a session without Delta.
_ABSENT = ("DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND", "DELTA_PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND")
_WITHOUT_DELTA = (
    "DATA_SOURCE_NOT_FOUND",
    "UNSUPPORTED_DATASOURCE_FOR_DIRECT_QUERY",
    "DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG",
)
# Conditions of Delta's refusals of a commit, because another one changed what it rests on.
_RACES = (
    "DELTA_CONCURRENT_",
    "DELTA_METADATA_CHANGED",
    "DELTA_PROTOCOL_CHANGED",
)
_SESSION_CATALOG = re.compile(r"^`?spark_catalog`?\.")
_TWINS = "DELTA_CONCURRENT_TRANSACTION"


class Merge(Protocol):
    """A MERGE of `new` into `old`, as far as this package needs Delta's own."""

    def whenMatchedDelete(self) -> Merge: ...  # noqa: D102
    def whenMatchedUpdateAll(self, condition: str) -> Merge: ...  # noqa: D102
    def whenNotMatchedInsert(self, condition: str, values: dict[str, str]) -> Merge: ...  # noqa: D102
    def whenNotMatchedInsertAll(self) -> Merge: ...  # noqa: D102
    def withSchemaEvolution(self) -> Merge: ...  # noqa: D102
    def execute(self) -> object: ...  # noqa: D102


class SqlMerge:
    """A MERGE that is written in SQL, with the methods of Delta's own builder.

    Args:
        spark: the session.
        table: the table that is changed, as SQL names it; `old` in conditions.
        rows: the rows that are merged into it; `new` in conditions.
        condition: rows match under it.
    """

    def __init__(self, spark: SparkSession, table: str, rows: DataFrame, condition: str) -> None:
        self._spark, self._table, self._rows, self._condition = spark, table, rows, condition
        self._clauses: list[str] = []
        self._evolution = ""

    def whenMatchedDelete(self) -> SqlMerge:
        """Delete the rows that match."""
        return self._add("WHEN MATCHED THEN DELETE")

    def whenMatchedUpdateAll(self, condition: str) -> SqlMerge:
        """Replace the rows that match and for which a condition holds."""
        return self._add(f"WHEN MATCHED AND ({condition}) THEN UPDATE SET *")

    def whenNotMatchedInsert(self, condition: str, values: Mapping[str, str]) -> SqlMerge:
        """Add values of the rows that don't match and for which a condition holds."""
        columns, inserted = ", ".join(values), ", ".join(values.values())
        return self._add(f"WHEN NOT MATCHED AND ({condition}) THEN INSERT ({columns}) VALUES ({inserted})")

    def whenNotMatchedInsertAll(self) -> SqlMerge:
        """Add the rows that don't match."""
        return self._add("WHEN NOT MATCHED THEN INSERT *")

    def withSchemaEvolution(self) -> SqlMerge:
        """Add columns that the table lacks."""
        self._evolution = "WITH SCHEMA EVOLUTION "
        return self

    def execute(self) -> None:
        """Run the statement. The rows are a view for that long."""
        view = f"prox_spark_{uuid.uuid4().hex}"
        self._rows.createOrReplaceTempView(view)
        try:
            into = f"MERGE {self._evolution}INTO {self._table} AS old USING {view} AS new ON {self._condition}"
            self._spark.sql(" ".join([into, *self._clauses]))
        finally:
            self._spark.catalog.dropTempView(view)

    def _add(self, clause: str) -> SqlMerge:
        self._clauses.append(clause)
        return self


class DeltaOperations:
    """The operations on the Delta tables of a session.

    Tables are named twice: by an identifier, as SQL names them, and by a location, which is a path or a name in a catalog.

    Args:
        spark: the session.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._by_sql = is_connect(spark)
        if not self._by_sql:
            import delta.exceptions  # noqa: F401  # From now on Delta's refusals come as its own classes.

    def is_table(self, identifier: str, location: str) -> bool:
        """Return True if there is a Delta table at a path.

        Args:
            identifier: the table, as SQL names it.
            location: its path.

        Raises:
            LakeError: the session has no Delta.
        """
        if not self._by_sql:
            from delta.tables import DeltaTable

            return bool(DeltaTable.isDeltaTable(self._spark, location))
        try:
            self._spark.sql(f"DESCRIBE TABLE {identifier}").schema  # noqa: B018
        except Exception as error:
            if find_condition(error) in _ABSENT:
                return False
            if find_condition(error) in _WITHOUT_DELTA:
                raise LakeError(NO_DELTA) from error
            raise
        return True

    def check_table(self, identifier: str, location: str) -> None:
        """Raise an error of Spark if the table of a catalog is none of Delta."""
        if self._by_sql:
            self.read_history(identifier, location, 1).collect()
        else:
            self._open(identifier, location)

    def read_history(self, identifier: str, location: str, n: int) -> DataFrame:
        """Return the newest commits of a table, the newest first."""
        if self._by_sql:
            return self._spark.sql(f"DESCRIBE HISTORY {identifier} LIMIT {n}")
        return self._open(identifier, location).history(n)

    def merge(self, identifier: str, location: str, rows: DataFrame, condition: str) -> Merge:
        """Return a MERGE of rows into a table. The table is called `old` in the condition, and the rows are called `new`."""
        if self._by_sql:
            return SqlMerge(self._spark, identifier, rows, condition)
        return self._open(identifier, location).alias("old").merge(rows.alias("new"), condition)

    def join_files(self, identifier: str, location: str) -> None:
        """Join the small files of a table."""
        if self._by_sql:
            self._spark.sql(f"OPTIMIZE {identifier}")
        else:
            self._open(identifier, location).optimize().executeCompaction()

    def _open(self, identifier: str, location: str) -> DeltaTable:
        from delta.tables import DeltaTable

        if location == identifier:
            # Delta for Spark 3.5 takes no name of three parts here, although SQL does.
            name = location if VERSION >= (4, 0) else _SESSION_CATALOG.sub("", location)
            return DeltaTable.forName(self._spark, name)
        return DeltaTable.forPath(self._spark, location)


def is_race(error: BaseException) -> bool:
    """Return True if Delta refused a commit because another commit changed what it rests on."""
    if type(error).__module__.startswith("delta.exceptions"):
        return True
    condition = find_condition(error) if comes_from_spark(error) else None
    return bool(condition) and str(condition).startswith(_RACES)


def is_race_of_twins(error: BaseException) -> bool:
    """Return True if Delta refused a commit because another one of the same application and version was made meanwhile."""
    return is_race(error) and (
        type(error).__name__ == "ConcurrentTransactionException" or find_condition(error) == _TWINS
    )


def is_missing(error: Exception) -> bool:
    """Return True if an error says that a table of a catalog is none of Delta."""
    return find_condition(error) in ("DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_ONLY_OPERATION")


def describe_catalog_error(error: Exception) -> str:
    """Return why a catalog did not take a name, in one line. What did not come from Spark is raised again."""
    if not comes_from_spark(error):
        raise error
    # Where a session does not know CATALOG, CATALOG.SCHEMA is a name of two parts in its own catalog. Spark 3.5 fails when it says so.
    if find_condition(error) == "REQUIRES_SINGLE_PART_NAMESPACE" or "_LEGACY_ERROR_TEMP_1055" in root_cause(error):
        return (
            "the session does not know its catalog. Name that by `spark.sql.catalog.NAME` in the recipe's spark.conf, or give the schema "
            f"alone, which is in the session's own catalog ({root_cause(error)})"
        )
    return root_cause(error)
