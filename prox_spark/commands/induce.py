"""`prox-spark induce`: from raw and clean texts to the refining programs between them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import add_settings_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.pipeline.induce import Output, PairColumns, induce_pairs
from prox_spark.pipeline.inputs.find import find_inputs_at_once, find_inputs_of
from prox_spark.report.summaries import describe_induce
from prox_spark.session import spark_session

_DESCRIPTION = """Find for every pair of a raw text and its clean version the smallest program of remove_lines and normalize that
turns one into the other or comes nearest to it. In this way any cleaned corpus becomes training data for a refiner. The output
has all columns of the input, and: program, ops, exact, exact_but_white_space, leftovers (what no program can express), reason
and message (of rows that hold no pair)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Induce programs and print how far they get. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark induce", description=_DESCRIPTION)
    parser.add_argument(
        "input", metavar="INPUT", nargs="*", help="JSON Lines (.gz), Parquet or Delta: files, folders or quoted globs"
    )
    parser.add_argument(
        "--format",
        choices=("auto", "jsonl", "parquet", "delta"),
        help="format of the input; default: auto, by the names of the files",
    )
    parser.add_argument("--raw-column", metavar="C", default="raw", help="column of the raw text; default: raw")
    parser.add_argument("--clean-column", metavar="C", default="clean", help="column of the clean text; default: clean")
    parser.add_argument(
        "--id-column", metavar="C", help="column that names a row without a pair; default: doc_id or id, else its text"
    )
    parser.add_argument("--output", metavar="PLACE", required=True, help="path or URI of the folder to write")
    parser.add_argument(
        "--output-format",
        choices=("jsonl", "parquet", "delta"),
        help="format of the output; default: by its name (.jsonl or .parquet), else delta",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    add_settings_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        recipe = make_recipe(args)
        inputs = find_inputs_at_once(recipe.input)  # A wrong path is reported at once, not after Spark has started.
        columns = PairColumns(args.raw_column, args.clean_column, recipe.input.id_column)
        output = Output.of(args.output, args.output_format, args.overwrite)
        with spark_session(recipe) as spark:
            inputs = inputs or find_inputs_of(spark, recipe.input)
            print(describe_induce(induce_pairs(spark, inputs, columns, output, recipe.input.max_text_chars)))
        return 0

    return run_command(run, debug=args.debug)
