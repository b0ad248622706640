"""`prox-spark adapt`: train a small model into a refiner. It runs on one machine; Spark only reads tables of labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from prox_spark.commands.arguments import add_override_arguments
from prox_spark.commands.run_command import run_command
from prox_spark.paths import CONF, refiners_directory
from prox_spark.pipeline.labels import read_places, relative_to
from prox_spark.report.summaries import describe_adapt
from prox_spark.training.adapt import adapt, choose_directory
from prox_spark.training.recipe import AdaptRecipe

_DESCRIPTION = """Train a refiner on labels: a LoRA adapter or all weights, on a GPU if there is one, otherwise on the CPU. The
result is a directory with a card. In its default place it has a name for recipes (refiners: {doc: NAME, chunk: NAME}). A run
that was killed goes on from its last checkpoint when it is started again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train a refiner, or print the fields of its recipe. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark adapt", description=_DESCRIPTION)
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="YAML file; --fields prints its fields")
    add_override_arguments(parser)
    parser.add_argument(
        "--labels", metavar="DIR", help="where relative paths of labels start; default: the current directory"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help=f"directory of the refiner; default: {refiners_directory()}/NAME"
    )
    parser.add_argument("--restart", action="store_true", help="throw away the checkpoints of an earlier run")
    parser.add_argument("--fields", action="store_true", help="print every field of the recipe and what it means")
    args = parser.parse_args(argv)
    if not (args.recipe or args.fields):
        parser.error(f"name a RECIPE, such as {CONF}/adapt/web-135m.yaml")

    def run() -> int:
        if args.fields:
            print(AdaptRecipe.reference())
            return 0
        recipe = AdaptRecipe.load(args.recipe, overrides=args.set)
        if args.labels:
            recipe = recipe.with_places(relative_to(args.labels))
        directory = args.output or choose_directory(recipe)
        print(describe_adapt(adapt(recipe, read_places(recipe.places), directory, restart=args.restart)))
        return 0

    return run_command(run, debug=args.debug)
