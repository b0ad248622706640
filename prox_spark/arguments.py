"""What the command line and the jobs share: arguments that become a recipe, errors that become one line."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import Any

from prox_spark.config import Recipe
from prox_spark.errors import ProxSparkError, RecipeError

_FORMATS = ("auto", "jsonl", "parquet", "delta", "warc", "wet")


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every command has: --recipe, --set, --lake, --catalog, --debug."""
    parser.add_argument("--recipe", metavar="FILE", help="recipe, YAML; `prox-spark config` prints every field")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a field of the recipe, such as apply.drop_threshold=0.7; again for more",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--lake", metavar="ROOT", help="path or URI under which the tables lie")
    place.add_argument("--catalog", metavar="NAME.SCHEMA", help="catalog and schema that hold the tables, instead")
    parser.add_argument("--debug", action="store_true", help="a stack trace with errors")


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what is to be ingested and how its columns are named."""
    parser.add_argument("input", metavar="INPUT", nargs="*", help="files, folders or quoted globs; paths or URIs")
    parser.add_argument("--format", choices=_FORMATS, help="default: auto, by the names")
    parser.add_argument("--text-column", metavar="C", help="column of the text; default: text")
    parser.add_argument("--id-column", metavar="C", help="column of a stable id; default: doc_id or id, else a hash")
    parser.add_argument("--url-column", metavar="C", help="column of the URL; default: url")
    parser.add_argument("--source", metavar="NAME", help="value of the source column; default: the input's name")


def recipe_from(args: argparse.Namespace) -> Recipe:
    """The recipe that the arguments describe: the file, then --set, then the options of their own.

    Raises:
        RecipeError: as `Recipe.load` does; both --lake and a catalog in the file are such a case too.
    """
    recipe = Recipe.load(args.recipe, overrides=args.set)
    data = recipe.model_dump()
    # A place on the command line is the place, whatever kind the file names.
    if args.lake:
        data["lake"] |= {"root": args.lake, "catalog": None}
    if args.catalog:
        data["lake"] |= {"root": None, "catalog": args.catalog}
    given: dict[str, Any] = {
        name: value
        for name in ("format", "text_column", "id_column", "url_column", "source")
        if (value := getattr(args, name, None)) is not None
    }
    data["input"] |= given
    data["input"]["paths"] = [*data["input"]["paths"], *getattr(args, "input", [])]
    return Recipe.parse(data, origin="the command line")


def run_command(command: Callable[[], int], debug: bool = False) -> int:
    """Runs a command and makes its errors readable.

    Args:
        command: returns an exit status.
        debug: print stack traces.

    Returns:
        The command's own status; 2 for a recipe or usage error, 1 for any other, 130 when interrupted.
    """
    try:
        return command()
    except RecipeError as error:
        return _report(str(error), 2, debug)
    except ProxSparkError as error:
        return _report(str(error), 1, debug)
    except KeyboardInterrupt:
        return _report("interrupted; start it again and it goes on where it stopped", 130, debug)
    except Exception as error:
        # Spark's messages carry a JVM stack trace after the first paragraph.
        first = str(error).strip().partition("\n\n")[0].partition("\n\tat ")[0] or "no message"
        hint = "" if debug else " (--debug shows where)"
        return _report(f"{type(error).__name__}: {first}{hint}", 1, debug)


def _report(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"prox-spark: {message}", file=sys.stderr)
    return status
