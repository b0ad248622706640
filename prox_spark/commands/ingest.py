"""spark-submit entry point: take files up into a lake. Same call as `prox-spark ingest`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from prox_spark.commands.arguments import add_input_arguments, add_recipe_arguments, recipe_from, run_command
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.inputs.find import find_inputs
from prox_spark.report.summaries import describe_ingest
from prox_spark.session import spark_session


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the run failed, 2 usage or recipe error."""
    parser = argparse.ArgumentParser(prog="prox-spark ingest", description=__doc__)
    add_input_arguments(parser)
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = recipe_from(args)
        inputs = find_inputs(recipe.input)  # a wrong path is said at once, not after Spark has started
        with spark_session(recipe) as spark:
            print(describe_ingest(ingest(spark, recipe, inputs)))
        return 0

    return run_command(run, debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
