"""`prox-spark evaluate`: score a refiner against labels, beside baselines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.evaluate import evaluate_labels, with_refiner
from prox_spark.pipeline.labels import find_labels
from prox_spark.report.evaluation import print_evaluation, write_evaluation
from prox_spark.session import spark_session

_DESCRIPTION = """Ask a refiner about labelled texts and print how well it judges documents and removes lines, beside baselines:
keep everything, remove everything, short lines, and with the extra `evaluate` the filters of C4, Gopher and FineWeb. Without
--lake the answers are forgotten; with it a second evaluation pays only for what is missing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Score a refiner and print the figures. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark evaluate", description=_DESCRIPTION)
    parser.add_argument(
        "labels",
        metavar="LABELS",
        nargs="+",
        help="paths or URIs of JSON Lines files (.gz) or Delta tables, or names of tables",
    )
    parser.add_argument(
        "--refiner", metavar="NAME", help="refiner for each stage that it serves; default: those of the recipe"
    )
    parser.add_argument("--limit", metavar="N", type=_parse_count, help="use N randomly drawn labels; default: all")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the draw; default: 0")
    parser.add_argument("--output", metavar="DIR", type=Path, help="local folder for evaluation.json and plots (PNG)")
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = with_refiner(make_recipe(args), args.refiner)
        with spark_session(recipe) as spark:
            evaluation = evaluate_labels(spark, recipe, find_labels(spark, args.labels, args.limit, args.seed))
        print_evaluation(evaluation)
        if args.output:
            write_evaluation(evaluation, args.output)
        return 0

    return run_command(run, debug=args.debug)


def _parse_count(text: str) -> int:
    n = int(text)
    if n < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return n
