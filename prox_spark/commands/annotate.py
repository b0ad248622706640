"""spark-submit entry point: make labels, by a teacher or from files. Same call as `prox-spark annotate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from prox_spark.commands.arguments import add_annotation_arguments, add_recipe_arguments, recipe_from, run_command
from prox_spark.pipeline.annotate import annotate_lake
from prox_spark.report.summaries import describe_annotate
from prox_spark.session import spark_session

_DESCRIPTION = """Asks a teacher about a sample of the documents of a lake, for two scores and for refining programs, and makes labels of
its answers, in the table `labels`. Answers are in `generations`: a second run pays only for what is missing. With --import the
labels come from JSON Lines instead: scores and programs, lines with a flag each, pairs of raw and clean texts, or an export."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the run failed, 2 usage or recipe error."""
    parser = argparse.ArgumentParser(prog="prox-spark annotate", description=_DESCRIPTION)
    add_annotation_arguments(parser)
    parser.add_argument(
        "--import", dest="files", metavar="FILE", nargs="+", default=[], help="labels to import; no teacher is asked"
    )
    parser.add_argument("--export", metavar="FILE", help="write the labels of the set as JSON Lines too, a local file")
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = recipe_from(args)
        with spark_session(recipe) as spark:
            print(describe_annotate(annotate_lake(spark, recipe, args.files, args.export)))
        return 0

    return run_command(run, debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
