"""`prox-spark sql`: a lake's tables as a database."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.errors import RecipeError, find_condition, first_line
from prox_spark.lake.lake import Lake
from prox_spark.lake.types import change_leaves, to_string
from prox_spark.report.terminal import print_rows
from prox_spark.session import spark_session
from prox_spark.spark_driver import is_connect

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

_DESCRIPTION = """Run one statement of Spark SQL over the tables of a lake: documents, generations, programs, refined, quarantine,
labels and runs."""

_TABLE_ROWS = 100
# Spark's own limit of rows is an integer of 32 bits.
_MAX_LIMIT = 2**31 - 1
# Types whose values are dates, times, or the time between two of them.
_TIMES = frozenset({"date", "timestamp", "timestamp_ntz", "time", "interval", "daytimeinterval", "yearmonthinterval"})
_NESTED = (T.StructType, T.MapType, T.ArrayType)
_ALL_FIELDS = {"ignoreNullFields": "false"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one statement and print its rows. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark sql", description=_DESCRIPTION)
    parser.add_argument(
        "query", metavar="QUERY", help='statement, such as "SELECT status, count(*) FROM refined GROUP BY status"'
    )
    parser.add_argument(
        "--output",
        choices=("table", "json", "csv"),
        default="table",
        help="default: table; json is one object a line; csv has structs, maps and arrays as JSON",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_parse_limit,
        help=f"rows to print, 0 for all; default: {_TABLE_ROWS} of a table, all of json and csv",
    )
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)
        with spark_session(recipe) as spark:
            names = Lake(spark, recipe.lake).create_views()
            _print(_ask(spark, args.query, names), args.output, args.limit)
        return 0

    return run_command(run, debug=args.debug)


def _ask(spark: SparkSession, query: str, names: Sequence[str]) -> DataFrame:
    """Return the rows of a statement.

    Raises:
        RecipeError: it names a table that there is not.
    """
    try:
        return spark.sql(query)
    except AnalysisException as error:
        if find_condition(error) != "TABLE_OR_VIEW_NOT_FOUND":
            raise
        raise RecipeError(f"{first_line(error)} The tables of this lake are {', '.join(names)}.") from error


def _print(rows: DataFrame, output: str, limit: int | None) -> None:
    if output == "table":
        limit = _TABLE_ROWS if limit is None else limit
        print_rows(rows.columns, _fetch(_write_nested(_write_times(rows)), limit), limit or None)
        return
    chosen = rows.limit(limit) if limit else rows
    if output == "json":
        for line in _write_json(chosen):
            print(line)
    else:
        writer = csv.writer(sys.stdout)
        writer.writerow(rows.columns)
        writer.writerows(_write_nested(_write_times(chosen)).toLocalIterator())


def _write_json(rows: DataFrame) -> Iterable[str]:
    """Return each row as an object."""
    if not is_connect(rows):
        return rows.toJSON().toLocalIterator()
    lines = rows.select(F.to_json(F.struct("*")))  # Spark Connect has no toJSON.
    return (line for (line,) in lines.toLocalIterator())


def _fetch(rows: DataFrame, limit: int) -> Iterable[Row]:
    """Return the rows up to the limit and one more, which shows that there are others."""
    if not limit:
        return rows.toLocalIterator()
    chosen = rows.limit(limit + 1)
    # To collect few rows Spark reads no more partitions than these need. An iterator needs no memory for many rows.
    return chosen.collect() if limit <= _TABLE_ROWS else chosen.toLocalIterator()


def _write_times(rows: DataFrame) -> DataFrame:
    """Return the rows with dates and times as Spark writes them: Python's have no year 0 or 10000, and the host's zone."""
    # Numbers for names, because a query may return two columns of one name.
    numbered = rows.toDF(*(f"_{n}" for n in range(len(rows.columns))))
    fields = numbered.schema.fields
    return numbered.select(*(change_leaves(F.col(f.name), f.dataType, _choose_text).alias(f.name) for f in fields))


def _choose_text(kind: T.DataType) -> Callable[[Column], Column] | None:
    return to_string if kind.typeName() in _TIMES else None


def _write_nested(rows: DataFrame) -> DataFrame:
    """Return the rows with structs, maps and arrays as JSON, in which every field has its name."""
    return rows.select(
        *(
            F.to_json(field.name, _ALL_FIELDS).alias(field.name) if isinstance(field.dataType, _NESTED) else field.name
            for field in rows.schema.fields
        )
    )


def _parse_limit(text: str) -> int:
    try:
        n = int(text)
    except ValueError:
        n = -1
    if not 0 <= n < _MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {_MAX_LIMIT - 1:,}")
    return n
