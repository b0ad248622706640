from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prox_spark.commands.sql import main

pytestmark = pytest.mark.spark

Sql = Callable[..., list[str]]


@pytest.fixture
def sql(spark: Any, empty_lake: Path, capsys: pytest.CaptureFixture[str]) -> Sql:
    """Run a query on a lake. Return the lines of its output."""

    def run(query: str, *options: str) -> list[str]:
        assert main(["--lake", str(empty_lake), *options, query]) == 0
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return run


def count_rows(lines: list[str]) -> int:
    return sum(line.strip().isdigit() for line in lines)


def test_a_table_has_a_hundred_rows_and_says_that_there_are_more(sql: Sql) -> None:
    lines = sql("SELECT id FROM range(1000)")
    assert count_rows(lines) == 100
    assert lines[-1] == "(100 rows, and there are more: --limit N prints N of them, --limit 0 all)"


def test_a_table_that_is_whole_says_how_many_rows_it_has(sql: Sql) -> None:
    assert sql("SELECT id FROM range(100)")[-1] == "(100 rows)"


@pytest.mark.parametrize(("limit", "n_rows"), [("7", 7), ("1000", 1000), ("1500", 1500), ("0", 3000)])
def test_a_limit_is_the_number_of_rows_and_0_is_no_limit(sql: Sql, limit: str, n_rows: int) -> None:
    lines = sql("SELECT id FROM range(3000)", "--limit", limit)
    assert count_rows(lines) == n_rows
    assert ("there are more" in lines[-1]) == (limit != "0")


def test_rows_keep_the_order_of_the_query_under_a_limit(sql: Sql) -> None:
    lines = sql("SELECT id FROM range(1000) ORDER BY id DESC", "--limit", "2")
    assert [line.strip() for line in lines if line.strip().isdigit()] == ["999", "998"]


@pytest.mark.parametrize("output", ["json", "csv"])
def test_json_and_csv_are_not_cut(sql: Sql, output: str) -> None:
    rows = sql("SELECT id FROM range(1000)", "--output", output)
    assert len(rows) == 1000 + (output == "csv")


@pytest.mark.parametrize("output", ["json", "csv"])
def test_json_and_csv_have_a_limit_where_one_is_given(sql: Sql, output: str) -> None:
    rows = sql("SELECT id FROM range(1000)", "--output", output, "--limit", "3")
    assert len(rows) == 3 + (output == "csv")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("named_struct('a', 1, 'b', cast(null AS string))", {"a": 1, "b": None}),
        ("map('k', named_struct('x', 1))", {"k": {"x": 1}}),
        (
            "array(named_struct('y', 'é', 'at', TIMESTAMP '0001-01-01 00:00:00'))",
            [{"y": "é", "at": "0001-01-01 00:00:00"}],
        ),
        ("named_struct('inner', named_struct('days', array(DATE '2024-02-29')))", {"inner": {"days": ["2024-02-29"]}}),
        ("map(named_struct('q', 1), 2)", {"[1]": 2}),
        ("array(X'00ff')", ["AP8="]),
    ],
)
def test_csv_has_json_with_the_names_of_fields_where_a_value_has_parts(sql: Sql, value: str, cell: Any) -> None:
    header, row = sql(f"SELECT {value} AS v", "--output", "csv")
    assert header == "v" and json.loads(row[1:-1].replace('""', '"')) == cell


def test_a_statement_that_is_no_query_prints_its_rows(sql: Sql) -> None:
    assert "database,tableName,isTemporary" in sql("SHOW TABLES", "--output", "csv")[0].replace("namespace", "database")


def test_a_reader_that_goes_ends_the_query_without_a_word(empty_lake: Path) -> None:
    command = f"{sys.executable} -m prox_spark.cli sql --lake {empty_lake} --output json 'SELECT id FROM range(100000)'"
    line = f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    of_java = "WARNING: Using incubator modules: jdk.incubator.vector\n"
    assert (done.stdout, done.stderr.replace(of_java, ""), done.returncode) == ('{"id":0}\n', "", 141)


def test_a_table_that_nobody_reads_ends_without_a_word(
    spark: Any, empty_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE, text=True)
    reader.wait()
    monkeypatch.setattr(sys, "stdout", reader.stdin)
    assert main(["--lake", str(empty_lake), "SELECT id FROM range(1000)"]) == 141
