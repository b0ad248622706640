"""`prox-spark compare`: what two settings make of the same stored generations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_recipe_arguments, recipe_from, run_command
from prox_spark.pipeline.compare import compare_settings
from prox_spark.report.summaries import describe_comparison
from prox_spark.session import spark_session


def main(argv: Sequence[str] | None = None) -> int:
    """Compares setting A (--recipe, --set) with setting B: the same, changed by --against and --with."""
    parser = argparse.ArgumentParser(
        prog="prox-spark compare",
        description="What two settings make of the documents of a lake, from stored generations; writes nothing. "
        "Setting A is --recipe and --set; B is A changed by --with, or the recipe of --against changed by --with.",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--against", metavar="FILE", help="recipe of setting B; default: that of A")
    parser.add_argument("--with", dest="changes", metavar="KEY=VALUE", action="append", default=[],
                        help="a field of setting B, such as apply.semantics=reference; again for more")  # fmt: skip
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="documents to show; default: 3")
    args = parser.parse_args(argv)

    def run() -> int:
        a = recipe_from(args)
        base = {"recipe": args.against, "set": []} if args.against else {"recipe": args.recipe, "set": args.set}
        b = recipe_from(argparse.Namespace(**{**vars(args), **base, "set": [*base["set"], *args.changes]}))
        with spark_session(a) as spark:
            print(describe_comparison(compare_settings(spark, a, b, n_examples=args.examples)))
        return 0

    return run_command(run, debug=args.debug)
