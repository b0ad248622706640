"""`prox-spark annotate`: make labels, by a teacher or from files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_annotation_arguments, add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.annotate import annotate_lake
from prox_spark.report.summaries import describe_annotate
from prox_spark.session import spark_session

_DESCRIPTION = """Ask a teacher about a sample of the documents of a lake, for two scores and for refining programs, and make labels
of its answers in the table `labels`. The answers are stored in `generations`: a second run pays only for what is missing. With
--import the labels come from JSON Lines instead: scores and programs, lines with a flag each, pairs of raw and clean texts, or
an export."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make labels and print how many. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark annotate", description=_DESCRIPTION)
    add_annotation_arguments(parser)
    parser.add_argument(
        "--import",
        dest="files",
        metavar="FILE",
        nargs="+",
        default=[],
        help="labels to import, paths or URIs; no teacher is asked",
    )
    parser.add_argument(
        "--export", metavar="FILE", help="also write the labels of the set as JSON Lines, to a local file"
    )
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)
        with spark_session(recipe) as spark:
            print(describe_annotate(annotate_lake(spark, recipe, args.files, args.export)))
        return 0

    return run_command(run, debug=args.debug)
