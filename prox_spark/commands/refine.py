"""`prox-spark refine`: refine what is new in a lake."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.refine import refine_lake
from prox_spark.report.summaries import describe_refine
from prox_spark.session import spark_session

_DESCRIPTION = """Run both stages on the documents of a lake that are new, that changed, or that this recipe has not refined yet. A
run that was killed pays only for what is missing when it is started again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Refine the documents and print what came of them. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark refine", description=_DESCRIPTION)
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)
        with spark_session(recipe) as spark:
            print(describe_refine(refine_lake(spark, recipe)))
        return 0

    return run_command(run, debug=args.debug)
