"""`prox-spark config`: the reference of the recipe, from the fields' own descriptions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import yaml

from prox_spark.commands.arguments import add_recipe_arguments, recipe_from, run_command
from prox_spark.config import Recipe


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the reference, or with --show a recipe as it is understood."""
    parser = argparse.ArgumentParser(prog="prox-spark config", description=__doc__)
    parser.add_argument(
        "--show", action="store_true", help="print the recipe that the arguments make, secrets redacted"
    )
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        print(yaml.safe_dump(recipe_from(args).redacted(), sort_keys=False) if args.show else Recipe.reference())
        return 0

    return run_command(run, debug=args.debug)
