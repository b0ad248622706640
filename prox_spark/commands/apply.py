"""spark-submit entry point: derive a lake's tables anew from stored generations. Same call as `prox-spark apply`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from prox_spark.commands.arguments import add_recipe_arguments, recipe_from, run_command
from prox_spark.pipeline.apply import apply_lake
from prox_spark.report.summaries import describe_apply
from prox_spark.session import spark_session


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the run failed, 2 usage or recipe error."""
    parser = argparse.ArgumentParser(prog="prox-spark apply", description=__doc__)
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = recipe_from(args)
        with spark_session(recipe) as spark:
            print(describe_apply(apply_lake(spark, recipe)))
        return 0

    return run_command(run, debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
