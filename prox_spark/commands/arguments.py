"""Arguments that several commands share, and the recipe that they make."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from prox_spark.config import InputConfig, Recipe, load_corpus

_FORMATS = get_args(InputConfig.model_fields["format"].annotation)


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command on a lake has: --recipe, --set, --debug, --lake, --catalog."""
    add_settings_arguments(parser)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--lake", metavar="ROOT", help="path or URI; the tables lie at ROOT/TABLE")
    place.add_argument(
        "--catalog", metavar="NAME.SCHEMA", help="catalog and schema that hold the tables, instead of --lake"
    )


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command with a recipe has: --recipe, --set, --debug."""
    parser.add_argument("--recipe", metavar="FILE", help="recipe, a YAML file; `prox-spark config` prints every field")
    add_override_arguments(parser, ", such as apply.drop_threshold=0.7")


def add_override_arguments(parser: argparse.ArgumentParser, example: str = "") -> None:
    """Add what every command with a YAML file has: --set, --debug."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"field of the recipe{example}; the value is YAML; repeat it for more fields",
    )
    parser.add_argument("--debug", action="store_true", help="print a stack trace with errors")


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is to be ingested and the names of its columns."""
    parser.add_argument("input", metavar="INPUT", nargs="*", help="files, folders or quoted globs; paths or URIs")
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        help="published data set whose columns and layout are known, or a file that describes one; `prox-spark corpora` lists them",
    )
    parser.add_argument(
        "--format", choices=_FORMATS, help="format of the input; default: auto, by the names of the files"
    )
    parser.add_argument("--text-column", metavar="C", help="column of the text; default: text")
    parser.add_argument("--id-column", metavar="C", help="column of a stable id; default: doc_id or id, else a hash")
    parser.add_argument("--url-column", metavar="C", help="column of the URL; default: url")
    parser.add_argument(
        "--source", metavar="NAME", help="value of the column source; default: the record's own, else the input's name"
    )


def add_annotation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which model is asked about which documents."""
    parser.add_argument(
        "--teacher", metavar="NAME", help="model that is asked: a known name, a directory or a hub model"
    )
    parser.add_argument("--documents", metavar="N", type=int, help="number of documents to ask about")
    parser.add_argument("--seed", metavar="N", type=int, help="seed of the sample; another seed draws other documents")
    parser.add_argument(
        "--label-set",
        metavar="NAME",
        help="name of the label set; default: the teacher's, or that of the imported file",
    )


def make_recipe(args: argparse.Namespace) -> Recipe:
    """Return the recipe that the arguments describe: the corpus, over it the file, then --set, then the other options.

    Raises:
        RecipeError: as `Recipe.load` and `load_corpus` do.
    """
    corpus = getattr(args, "corpus", None)
    recipe = Recipe.load(args.recipe, overrides=args.set, beneath=load_corpus(corpus) if corpus else None)
    data = recipe.model_dump()
    # A place on the command line replaces one of the other kind in the file.
    if getattr(args, "lake", None):
        data["lake"] |= {"root": args.lake, "catalog": None}
    if getattr(args, "catalog", None):
        data["lake"] |= {"root": None, "catalog": args.catalog}
    data["input"] |= _take_given(args, "format", "text_column", "id_column", "url_column", "source")
    data["annotation"] |= _take_given(args, "teacher", "documents", "seed", "label_set")
    data["input"]["paths"] = [*data["input"]["paths"], *getattr(args, "input", [])]
    return Recipe.parse(data, origin="the command line")


def _take_given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}
