"""`prox-spark config`: the fields of a recipe, the recipe that arguments make, and the schema for editors."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import yaml

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.config import Recipe, RecipeFile
from prox_spark.paths import CONF
from prox_spark.training.recipe import AdaptRecipe

_DESCRIPTION = "Print every field of a recipe with its type, default and meaning."
_RECIPES: dict[str, type[RecipeFile]] = {"recipe": Recipe, "adapt": AdaptRecipe}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the fields, with --show a recipe, with --schema a schema. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(
        prog="prox-spark config", description=_DESCRIPTION, epilog=f"Recipes to start from are in {CONF / 'recipes'}."
    )
    parser.add_argument(
        "--show", action="store_true", help="print the recipe that the arguments make, with secrets redacted"
    )
    parser.add_argument(
        "--schema",
        nargs="?",
        const="recipe",
        choices=_RECIPES,
        help="print the JSON schema of a recipe (default) or of the recipe of `prox-spark adapt`, for completion in editors",
    )
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)  # Also without --show: a mistake in it is named instead of ignored.
        if args.schema:
            print(_RECIPES[args.schema].schema_text())
        elif args.show:
            print(yaml.safe_dump(recipe.redact(), sort_keys=False))
        else:
            print(Recipe.reference())
        return 0

    return run_command(run, debug=args.debug)
