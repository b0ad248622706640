"""The tables of a lake by path or by catalog name: where they are, whether they exist, and their rows at a version."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from prox_spark import schemas
from prox_spark.config import LakeConfig
from prox_spark.errors import LakeError, RecipeError
from prox_spark.lake.commits import Commit, commits_of_others, may_be_doubled, newest_commits
from prox_spark.lake.log_store import find_log_store
from prox_spark.lake.operations import NO_DELTA, DeltaOperations, describe_catalog_error, is_missing
from prox_spark.lake.reaching import naming_store
from prox_spark.places import absolute
from prox_spark.spark_driver import is_connect
from prox_spark.threads import inherit_thread_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Rows of these tables are appended if nothing is known of other runs, although no key may be there twice.
TOLD_APART = (schemas.PROGRAMS.name, schemas.REFINED.name)
# Number of commits that are searched for what a killed run may have left.
_FIRST_LOOK = 100
# The operation that makes a table without rows. Clones and tables made of a query have others.
_DECLARED = "CREATE TABLE"
_NAMES = tuple(table.name for table in schemas.TABLES)


class Tables:
    """The tables of one lake, for reading.

    Args:
        spark: a session with Delta.
        config: root or catalog; one must be set. A string is a root.

    Attributes:
        beside_others: names of the tables that others were seen to change, or in which a killed run left doubled rows.

    Raises:
        RecipeError: neither is set.
        LakeError: the session has no Delta, or lacks the log store that its settings name.
    """

    def __init__(self, spark: SparkSession, config: LakeConfig | str) -> None:
        config = LakeConfig(root=config) if isinstance(config, str) else config
        if not (config.root or config.catalog):
            raise RecipeError("no lake: give --lake ROOT or --catalog NAME.SCHEMA, or set lake.root in the recipe")
        if not is_connect(spark):
            _check_delta(spark)
            # Without the class of its log store Delta can't even read a lake, and does not say what to add.
            find_log_store(spark, config.root or "")
        self.spark = spark
        self.config = config
        self._root = absolute(config.root) if config.root else None
        self.beside_others = set[str]()
        self._began_empty = set[str]()
        self._own_runs = set[str]()
        self._operations = DeltaOperations(spark)
        self._delta_tables = set[str]()
        self._seen_versions = dict[str, int]()

    def __str__(self) -> str:
        return str(self.config.root or self.config.catalog)

    @property
    def option(self) -> str:
        """The command line option that names this lake."""
        return f"{'--lake' if self._root else '--catalog'} {shlex.quote(str(self))}"

    def location(self, table: str) -> str:
        """Return the path of a table, or its catalog name."""
        return f"{str(self._root).rstrip('/')}/{table}" if self._root else f"{self.config.catalog}.{table}"

    def identifier(self, table: str) -> str:
        """Return the table as SQL names it."""
        return "delta.`{}`".format(self.location(table).replace("`", "``")) if self._root else self.location(table)

    def exists(self, table: str) -> bool:
        """Return True if the lake has this Delta table.

        Raises:
            LakeError: the store or the catalog can't be asked, or has a view or a table of another format by this name.
        """
        name, identifier = self.location(table), self.identifier(table)
        if self._root:
            with naming_store(name):
                return self._operations.is_table(identifier, name)
        try:
            if not self.spark.catalog.tableExists(name):
                return False
            if table not in self._delta_tables:
                self._operations.check_table(identifier, name)
                self._delta_tables.add(table)
            return True
        except Exception as error:
            if not is_missing(error):
                raise LakeError(f"can't look for {name}: {describe_catalog_error(error)}") from error
            raise LakeError(
                f"{name} is a {self._describe_kind(table)}, but the lake needs a Delta table of this name. Rename it, or take "
                "another schema"
            ) from error

    def _describe_kind(self, table: str) -> str:
        """Return what a catalog says of a table or view: `view`, or `table of format parquet`."""
        rows = self.spark.sql(f"DESCRIBE TABLE EXTENDED {self.identifier(table)}").collect()
        about = {row["col_name"]: str(row["data_type"]).lower().replace("_", " ") for row in rows}
        kind = about.get("Type", "table")
        return kind if "view" in kind else f"table of format {about.get('Provider', 'unknown')}"

    def version(self, table: str) -> int:
        """Return the newest version of a table.

        The table is added to `beside_others` if others have changed it since the last call or, in the first call, if a run that
        was killed may have left doubled rows.
        """
        seen = self._seen_versions.get(table)
        look = partial(self._newest_commits, table)
        commits = look(_FIRST_LOOK if seen is None and table in TOLD_APART else 1)
        if seen is None:
            doubled = may_be_doubled(commits)
        else:
            n_looked_at = 0
            while commits[-1].version > seen + 1 and len(commits) > n_looked_at:  # The oldest may be gone.
                n_looked_at = len(commits)
                commits = look(commits[0].version - seen)
            doubled = bool(commits_of_others(commits, self._own_runs, seen))
        if doubled:
            self.beside_others.add(table)
        self._seen_versions[table] = version = commits[0].version
        if (version, commits[0].operation) == (0, _DECLARED):
            self._began_empty.add(table)
        return version

    def _newest_commits(self, table: str, n: int) -> list[Commit]:
        return newest_commits(self._operations.read_history(self.identifier(table), self.location(table), n))

    def versions(self, names: Sequence[str] = _NAMES) -> dict[str, int]:
        """Return the newest versions of some tables, by default of all."""
        with ThreadPoolExecutor(len(schemas.TABLES)) as pool:
            asked = {
                name: pool.submit(inherit_thread_settings(partial(self.version, name), self.spark)) for name in names
            }
            return {name: version.result() for name, version in asked.items()}

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """Read a table, at a version if one is given.

        Raises:
            LakeError: there is no such table. The message says which command makes it.
        """
        if not self.exists(table):
            raise LakeError(
                f"{self} has no table {table}. Run `prox-spark ingest INPUT {self.option}` first, or check the name."
            )
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        rows = reader.load(self.location(table)) if self._root else reader.table(self.location(table))
        # Spark's optimizer removes a frame without rows, and with it the reading of the log.
        return rows.limit(0) if table in self._began_empty and version == 0 else rows

    def create_views(self) -> list[str]:
        """Make every table a temporary view of its own name, for SQL, and return the names.

        Raises:
            LakeError: the lake has no tables.
        """
        names = [table.name for table in schemas.TABLES if self.exists(table.name)]
        if not names:
            raise LakeError(
                f"{self} holds no tables of prox_spark. Run `prox-spark ingest INPUT {self.option}` first, or check the name."
            )
        for name in names:
            self.read(name).createOrReplaceTempView(name)
        return names


def _check_delta(spark: SparkSession) -> None:
    from py4j.java_gateway import JavaPackage

    # Databricks has Delta without settings. What is no class on the class path is a package to py4j.
    has_extension = "DATABRICKS_RUNTIME_VERSION" in os.environ or "DeltaSparkSessionExtension" in str(
        spark.conf.get("spark.sql.extensions", "")
    )
    if not has_extension or isinstance(spark._jvm.io.delta.tables.DeltaTable, JavaPackage):
        raise LakeError(NO_DELTA)
