"""`prox-spark compare`: what two settings make of the same stored generations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.compare import compare_settings
from prox_spark.report.summaries import describe_comparison
from prox_spark.session import spark_session

_DESCRIPTION = """Show what two settings make of the documents of a lake, from stored generations. Nothing is written. Setting A is
--recipe and --set; setting B is A changed by --with, or the recipe of --against changed by --with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two settings and print where they differ. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark compare", description=_DESCRIPTION)
    add_recipe_arguments(parser)
    parser.add_argument("--against", metavar="FILE", help="recipe of setting B; default: that of A")
    parser.add_argument(
        "--with",
        dest="changes",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="field of setting B, such as apply.semantics=reference; repeat it for more fields",
    )
    parser.add_argument("--examples", metavar="N", type=int, default=3, help="number of documents to show; default: 3")
    args = parser.parse_args(argv)

    def run() -> int:
        a = make_recipe(args)
        base = {"recipe": args.against, "set": []} if args.against else {"recipe": args.recipe, "set": args.set}
        b = make_recipe(argparse.Namespace(**{**vars(args), **base, "set": [*base["set"], *args.changes]}))
        with spark_session(a) as spark:
            print(describe_comparison(compare_settings(spark, a, b, n_examples=args.examples)))
        return 0

    return run_command(run, debug=args.debug)
