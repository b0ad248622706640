"""Declaration of tables: the SQL that makes one, adds columns to it and sets its properties."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.errors import LakeError, first_line
from prox_spark.lake.operations import describe_catalog_error

if TYPE_CHECKING:
    from prox_spark.lake.tables import Tables

LOG = logging.getLogger(__name__)

_CHANGE_DATA_FEED = {"delta.enableChangeDataFeed": "true"}
# With this a MERGE that looked for keys fails if another run adds rows meanwhile, which may have the same keys. Databricks lets
# both pass by default.
_SERIALIZABLE = {"delta.isolationLevel": "Serializable"}
_PROPERTIES = {
    # Changed rows are marked instead of rewriting files, and consumers read only what changed.
    "documents": _CHANGE_DATA_FEED | {"delta.enableDeletionVectors": "true"},
    # Every Delta reader opens a table without deletion vectors. Rows of this one are mostly added and rarely replaced.
    "refined": _CHANGE_DATA_FEED | _SERIALIZABLE,
    "programs": _SERIALIZABLE,
}
# Values of partition columns then stand in the log only. As the name of a folder a value could be too long, or `..`.
_ANY_PARTITION = {"delta.randomizeFilePrefixes": "true"}
# The heading above the partition columns in the description of a table.
_PARTITIONS = "# Partition Information"

PARTITIONED = (schemas.DOCUMENTS, schemas.REFINED)


def create_schema(tables: Tables) -> None:
    """Make the schema of a lake in a catalog, if there is none.

    Raises:
        LakeError: it can't be made, such as in a catalog that the session does not know.
    """
    schema = tables.config.catalog
    if not schema:
        return
    try:
        if not tables.spark.catalog.databaseExists(schema):
            tables.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            LOG.info("made the schema %s", schema)
    except Exception as error:
        raise LakeError(
            f"there is no schema {schema}, and none can be made: {describe_catalog_error(error)}"
        ) from error


def create_table(tables: Tables, table: schemas.Table) -> None:
    """Make a table of the lake."""
    # In SQL, because DeltaTable.create takes names of at most two parts and a catalog's have three.
    partition_by = tables.config.partition_by if table in PARTITIONED else []
    # Carried columns come with the first rows, but partition columns must exist before. `ingest` casts their values.
    added = [T.StructField(name, T.StringType()) for name in partition_by if name not in table.columns]
    columns = to_ddl([*table.schema.fields, *added])
    clauses = [f"CREATE TABLE {tables.identifier(table.name)} ({columns}) USING delta"]
    if partition_by:
        clauses.append(f"PARTITIONED BY ({', '.join(f'`{name}`' for name in partition_by)})")
    if properties := _PROPERTIES.get(table.name, {}) | (_ANY_PARTITION if partition_by else {}):
        clauses.append(f"TBLPROPERTIES ({_list_properties(properties)})")
    tables.spark.sql(" ".join(clauses))


def find_lacking(tables: Tables, table: schemas.Table) -> list[T.StructField]:
    """Return the columns that a table of an older version lacks.

    Raises:
        LakeError: the table has a column of the input by the name of a column that waves need.
    """
    have = {field.name.lower(): field.dataType for field in tables.read(table.name).schema}
    bucket = schemas.BUCKET
    if have.get(bucket.name, bucket.dataType) != bucket.dataType:
        # Of the input of an older version. Waves would skip its rows.
        raise LakeError(
            f"{tables.location(table.name)} has a column {bucket.name} that is not ours, of type "
            f"{have[bucket.name].simpleString()}: rename it, or ingest into a new lake"
        )
    return [field for field in table.schema if field.name.lower() not in have]


def add_columns(tables: Tables, table: schemas.Table, fields: Sequence[T.StructField]) -> None:
    """Add columns to a table."""
    columns = to_ddl(fields)
    tables.spark.sql(f"ALTER TABLE {tables.identifier(table.name)} ADD COLUMNS ({columns})")


def read_partition_columns(tables: Tables, table: str) -> tuple[str, ...]:
    """Return the partition columns of a table."""
    # Not DESCRIBE DETAIL, which reads the whole log to count the files of the table.
    described = [row["col_name"] for row in tables.spark.sql(f"DESCRIBE TABLE {tables.identifier(table)}").collect()]
    # A line of headings follows, then the columns.
    _, _, *names = dropwhile(lambda name: name != _PARTITIONS, described) if _PARTITIONS in described else ("", "")
    return tuple(takewhile(lambda name: name and not name.startswith("#"), names))


def allow_any_partition(tables: Tables, table: str) -> None:
    """Let a partitioned table, also one of an older version, take every value."""
    _set_properties(tables, table, _ANY_PARTITION)


def make_serializable(tables: Tables, table: str) -> None:
    """Set the isolation level of a table, such as one of an older version, or warn if that is not allowed."""
    try:
        _set_properties(tables, table, _SERIALIZABLE)
    except AnalysisException as error:
        LOG.warning("%s keeps its isolation level: %s", tables.location(table), first_line(error))


def _set_properties(tables: Tables, table: str, properties: Mapping[str, str]) -> None:
    """Set the properties that a table does not have yet."""
    found = tables.spark.sql(f"SHOW TBLPROPERTIES {tables.identifier(table)}").collect()
    if not properties.items() <= {(row["key"], row["value"]) for row in found}:
        tables.spark.sql(f"ALTER TABLE {tables.identifier(table)} SET TBLPROPERTIES ({_list_properties(properties)})")


def _list_properties(properties: Mapping[str, str]) -> str:
    return ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())


def to_ddl(fields: Sequence[T.StructField]) -> str:
    """Return columns as SQL declares them, with all comments, also those within a struct."""
    return ", ".join(_declare_field(field, " ") for field in fields)


def _declare_field(field: T.StructField, between: str) -> str:
    name = field.name.replace("`", "``")
    comment = field.metadata.get("comment", "").replace("\\", "\\\\").replace("'", "\\'")
    needed = "" if field.nullable else " NOT NULL"
    return f"`{name}`{between}{_declare_type(field.dataType)}{needed}" + (f" COMMENT '{comment}'" if comment else "")


def _declare_type(kind: T.DataType) -> str:
    if isinstance(kind, T.StructType):
        return f"STRUCT<{', '.join(_declare_field(field, ': ') for field in kind.fields)}>"
    if isinstance(kind, T.ArrayType):
        return f"ARRAY<{_declare_type(kind.elementType)}>"
    if isinstance(kind, T.MapType):
        return f"MAP<{_declare_type(kind.keyType)}, {_declare_type(kind.valueType)}>"
    return str(kind.simpleString()).upper()
