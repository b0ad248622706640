"""`prox-spark apply`: derive a lake's tables again from stored generations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.apply import apply_lake
from prox_spark.report.summaries import describe_apply
from prox_spark.session import spark_session

_DESCRIPTION = """Derive the tables `programs` and `refined` of a lake again from stored generations, with other thresholds or
semantics. No engine is started."""


def main(argv: Sequence[str] | None = None) -> int:
    """Derive the tables and print which documents moved. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark apply", description=_DESCRIPTION)
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)
        with spark_session(recipe) as spark:
            print(describe_apply(apply_lake(spark, recipe)))
        return 0

    return run_command(run, debug=args.debug)
