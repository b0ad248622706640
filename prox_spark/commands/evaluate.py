"""spark-submit entry point: hold a refiner against labels. Same call as `prox-spark evaluate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prox_spark.commands.arguments import add_recipe_arguments, recipe_from, run_command
from prox_spark.pipeline.evaluate import evaluate_labels, with_refiner
from prox_spark.pipeline.labels import find_labels
from prox_spark.report.evaluation import print_evaluation, write_evaluation
from prox_spark.session import spark_session

_DESCRIPTION = """Asks a refiner about labelled texts and prints how well it judges documents and removes lines, beside
baselines: keep everything, remove everything, short lines, and with the extra `evaluate` the filters of C4, Gopher and
FineWeb. Without --lake answers are forgotten; with it a second evaluation pays only for what is missing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the run failed, 2 usage or recipe error."""
    parser = argparse.ArgumentParser(prog="prox-spark evaluate", description=_DESCRIPTION)
    parser.add_argument("labels", metavar="LABELS", nargs="+", help="JSON Lines (.gz) files, Delta tables, table names")
    parser.add_argument("--refiner", metavar="NAME", help="for each stage that it serves; default: those of the recipe")
    parser.add_argument("--limit", metavar="N", type=_count, help="so many labels, drawn at random; default: all")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the draw; default: 0")
    parser.add_argument("--output", metavar="DIR", type=Path, help="local folder for evaluation.json and plots (PNG)")
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = with_refiner(recipe_from(args), args.refiner)
        with spark_session(recipe) as spark:
            evaluation = evaluate_labels(spark, recipe, find_labels(spark, args.labels, args.limit, args.seed))
        print_evaluation(evaluation)
        if args.output:
            write_evaluation(evaluation, args.output)
        return 0

    return run_command(run, debug=args.debug)


def _count(text: str) -> int:
    n = int(text)
    if n < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return n


if __name__ == "__main__":
    sys.exit(main())
