"""MERGE as SQL. That Delta takes it is shown by tests/platform/test_connect.py."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark.errors import LakeError
from prox_spark.lake.operations import DeltaOperations, SqlMerge, is_race, is_race_of_twins

pytestmark = pytest.mark.unit


class FakeSession:
    """A session of Spark Connect, its catalog and a frame in one. It keeps statements, and which views are there."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.statements, self.views = error, list[str](), set[str]()
        self.catalog = self
        self.dropTempView = self.views.remove
        self.createOrReplaceTempView = self.views.add

    @property
    def schema(self) -> None:
        return None

    def sql(self, statement: str) -> FakeSession:
        assert self.views == set(re.findall(r"prox_spark_\w+", statement))
        self.statements.append(re.sub(r"prox_spark_\w+", "ROWS", statement))
        if self.error:
            raise self.error
        return self


FakeSession.__module__ = "pyspark.sql.connect.session"


def make_error(condition: str) -> Exception:
    """An error of Spark Connect with a condition."""
    kind = type("SparkConnectGrpcException", (AnalysisException,), {"__module__": "pyspark.errors.exceptions.connect"})
    error = kind(f"[{condition}] what happened")
    error.getCondition = lambda: condition  # type: ignore[attr-defined]
    return error


def test_an_upsert_is_one_statement_over_a_view_that_goes() -> None:
    session: Any = FakeSession()
    merge = SqlMerge(session, "delta.`/l/t`", session, "old.k <=> new.k")
    merge.whenMatchedUpdateAll("old.v <> new.v").whenNotMatchedInsertAll().withSchemaEvolution().execute()
    assert session.statements == [
        "MERGE WITH SCHEMA EVOLUTION INTO delta.`/l/t` AS old USING ROWS AS new ON old.k <=> new.k "
        "WHEN MATCHED AND (old.v <> new.v) THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    ]
    assert session.views == set()


def test_rows_are_replaced_by_values() -> None:
    session: Any = FakeSession()
    merge = SqlMerge(session, "c.s.t", session, "old.k <=> new.k AND new.place = 1").whenMatchedDelete()
    merge.whenNotMatchedInsert("new.place = 2", {"`k`": "new.`k`", "`v`": "new.`v`"}).execute()
    (statement,) = session.statements
    assert statement.endswith(
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND (new.place = 2) THEN INSERT (`k`, `v`) VALUES (new.`k`, new.`v`)"
    )


def test_the_view_goes_also_if_the_statement_fails() -> None:
    session: Any = FakeSession(make_error("DELTA_CONCURRENT_APPEND"))
    with pytest.raises(AnalysisException):
        SqlMerge(session, "t", session, "true").whenNotMatchedInsertAll().execute()
    assert session.views == set()


@pytest.mark.parametrize("condition", ["DELTA_MISSING_DELTA_TABLE", "PATH_NOT_FOUND"])
def test_a_path_without_a_table_is_none(condition: str) -> None:
    session: Any = FakeSession(make_error(condition))
    assert not DeltaOperations(session).is_table("delta.`/l/t`", "/l/t")


def test_a_server_without_delta_is_told_what_it_lacks() -> None:
    session: Any = FakeSession(make_error("DATA_SOURCE_NOT_FOUND"))
    with pytest.raises(LakeError, match="no Delta"):
        DeltaOperations(session).is_table("delta.`/l/t`", "/l/t")


def test_another_error_is_not_taken_for_a_missing_table() -> None:
    session: Any = FakeSession(make_error("INSUFFICIENT_PERMISSIONS"))
    with pytest.raises(AnalysisException, match="INSUFFICIENT"):
        DeltaOperations(session).is_table("delta.`/l/t`", "/l/t")


@pytest.mark.parametrize(
    ("condition", "races", "of_twins"),
    [
        ("DELTA_CONCURRENT_APPEND.WITHOUT_HINT", True, False),
        ("DELTA_CONCURRENT_TRANSACTION", True, True),
        ("DELTA_METADATA_CHANGED", True, False),
        ("UNRESOLVED_COLUMN.WITH_SUGGESTION", False, False),
    ],
)
def test_refusals_of_delta_are_told_by_their_conditions(condition: str, races: bool, of_twins: bool) -> None:
    error = make_error(condition)
    assert (is_race(error), is_race_of_twins(error)) == (races, of_twins)
