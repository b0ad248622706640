"""`prox-spark ingest`: bring files or tables into a lake."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_input_arguments, add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.inputs.find import find_inputs_at_once
from prox_spark.report.summaries import describe_ingest
from prox_spark.session import spark_session

_DESCRIPTION = """Write the new and changed documents of files or tables into a lake. What can't be a document goes into the table
`quarantine`. The same input a second time changes nothing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Ingest the inputs and print what was found. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark ingest", description=_DESCRIPTION)
    add_input_arguments(parser)
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)
        inputs = find_inputs_at_once(recipe.input)  # A wrong path is reported at once, not after Spark has started.
        with spark_session(recipe) as spark:
            print(describe_ingest(ingest(spark, recipe, inputs)))
        return 0

    return run_command(run, debug=args.debug)
