"""Adapt a small model into a refiner. Same call as `prox-spark adapt`; runs on one machine, Spark only reads tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prox_spark.commands.arguments import add_override_arguments, run_command
from prox_spark.paths import CONF, refiners_directory
from prox_spark.pipeline.labels import read_places, relative_to
from prox_spark.training.adapt import adapt, choose_directory
from prox_spark.training.recipe import AdaptRecipe

_DESCRIPTION = """Trains a refiner on labels: a LoRA adapter or all weights, on a GPU if there is one, else on the CPU. The
result is a directory with a card and, in its default place, a name for recipes (refiners: {doc: NAME, chunk: NAME}). A run
that was killed goes on from its last checkpoint when it is started again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the run failed, 2 usage or recipe error."""
    parser = argparse.ArgumentParser(prog="prox-spark adapt", description=_DESCRIPTION)
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="YAML file; --fields prints what it may hold")
    add_override_arguments(parser)
    parser.add_argument("--labels", metavar="DIR", help="where relative paths of labels start; default: where you are")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help=f"where the refiner goes; default: {refiners_directory()}/NAME"
    )
    parser.add_argument("--restart", action="store_true", help="throw away the checkpoints that are there")
    parser.add_argument("--fields", action="store_true", help="print every field of the recipe and what it means")
    args = parser.parse_args(argv)
    if args.fields:
        print(AdaptRecipe.reference())
        return 0
    if not args.recipe:
        parser.error(f"name a RECIPE, such as {CONF}/adapt/web-135m.yaml")

    def run() -> int:
        recipe = AdaptRecipe.load(args.recipe, overrides=args.set)
        if args.labels:
            recipe = recipe.with_places(relative_to(args.labels))
        directory = args.output or choose_directory(recipe)
        print(adapt(recipe, read_places(recipe.places), directory, restart=args.restart).summary())
        return 0

    return run_command(run, debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
