"""`prox-spark sql`: a lake's tables as a database."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.commands.arguments import add_recipe_arguments, recipe_from, run_command
from prox_spark.lake.lake import Lake
from prox_spark.lake.types import as_string, change_leaves
from prox_spark.report.terminal import print_rows
from prox_spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

# Types whose values are dates, times, or what lies between two of them.
_TIMES = frozenset({"date", "timestamp", "timestamp_ntz", "time", "interval", "daytimeinterval", "yearmonthinterval"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one statement and prints its rows."""
    parser = argparse.ArgumentParser(prog="prox-spark sql", description=__doc__)
    parser.add_argument(
        "query",
        help='Spark SQL over documents, generations, programs, refined, quarantine, labels and runs, such as "select * from runs"',
    )
    parser.add_argument(
        "--output", choices=("table", "json", "csv"), default="table", help="default: table; json is one object a line"
    )
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = recipe_from(args)
        with spark_session(recipe) as spark:
            Lake(spark, recipe.lake).create_views()
            _print(spark.sql(args.query), args.output)
        return 0

    return run_command(run, debug=args.debug)


def _print(rows: DataFrame, output: str) -> None:
    if output == "table":
        print_rows(rows.columns, (tuple(row) for row in _with_times_as_text(rows).toLocalIterator()))
    elif output == "json":
        for line in rows.toJSON().toLocalIterator():
            print(line)
    else:
        writer = csv.writer(sys.stdout)
        writer.writerow(rows.columns)
        for row in _with_times_as_text(rows).toLocalIterator():
            writer.writerow(json.dumps(v, default=str) if isinstance(v, (list, dict, tuple)) else v for v in row)


def _with_times_as_text(rows: DataFrame) -> DataFrame:
    """Return the rows with dates and times as Spark writes them: Python's have no year 0 or 10000, and the host's zone."""
    # By numbers for names: a query may return two columns of one name.
    numbered = rows.toDF(*(f"_{n}" for n in range(len(rows.columns))))
    fields = numbered.schema.fields
    return numbered.select(*(change_leaves(F.col(f.name), f.dataType, _text_of_times).alias(f.name) for f in fields))


def _text_of_times(kind: DataType) -> Callable[[Column], Column] | None:
    return as_string if kind.typeName() in _TIMES else None
