"""`prox-spark demo`: ingest and refine a sample, or your own files, and show what happened."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.commands.arguments import add_input_arguments, add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.config import Recipe
from prox_spark.demo import PAGES
from prox_spark.fingerprint import fingerprint
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.inputs.find import find_inputs_at_once
from prox_spark.pipeline.refine import refine_lake
from prox_spark.report.summaries import describe_ingest, describe_refine
from prox_spark.report.terminal import print_before_after, print_rows
from prox_spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DESCRIPTION = """Ingest and refine a sample, or your own files, and show what happened: documents before and after, and queries over
the tables just made. A second run on the same lake finds nothing new."""

_N_EXAMPLES = 3

QUERIES = {
    "What became of the words of each source": """
        SELECT source, count(*) AS documents, sum(words_before) AS words_before, sum(words_after) AS words_after,
               round(try_divide(sum(words_after), sum(words_before)), 3) AS kept
        FROM refined GROUP BY source ORDER BY documents DESC""",
    "Which lines are removed most": """
        SELECT trim(get(split(d.text, '\\n'), line)) AS removed_line, count(*) AS times
        FROM refined r JOIN documents d USING (doc_id, content_sha256)
        LATERAL VIEW explode(r.removed) s AS span
        LATERAL VIEW explode(sequence(span.line_start, span.line_end)) l AS line
        WHERE trim(get(split(d.text, '\\n'), line)) != ''
        GROUP BY 1 ORDER BY times DESC, removed_line LIMIT 8""",
    "What could not be read, and why": """
        SELECT stage, reason, count(*) AS records, first(message) AS for_example
        FROM quarantine GROUP BY stage, reason ORDER BY records DESC, reason""",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark demo", description=_DESCRIPTION)
    add_input_arguments(parser)
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)
    return run_command(lambda: _demo(args), debug=args.debug)


def _demo(args: argparse.Namespace) -> int:
    recipe = fill_in_defaults(make_recipe(args))
    inputs = find_inputs_at_once(recipe.input)
    with spark_session(recipe) as spark:
        _print_heading(f"1. Ingest {' '.join(recipe.input.paths)} into {recipe.lake.root or recipe.lake.catalog}")
        print(describe_ingest(ingest(spark, recipe, inputs)))
        _print_heading(
            f"2. Refine with {recipe.refiners.doc}"
            + (f" and {recipe.refiners.chunk}" if recipe.refiners.chunk != recipe.refiners.doc else "")
        )
        print(describe_refine(refine_lake(spark, recipe)))
        lake = Lake(spark, recipe.lake)
        lake.create_views()
        _print_heading(
            "3. Before and after: - removed, ~ changed (the most edited of the documents that kept half of their words)"
        )
        _print_examples(lake)
        _print_heading("4. SQL over the tables just made")
        _print_queries(spark)
    print(f'\nMore: prox-spark sql {lake.option} "SELECT command, status, counts, engine_starts FROM runs"')
    return 0


def fill_in_defaults(recipe: Recipe) -> Recipe:
    """Return the recipe with the sample as its input and a lake for its input, where it names none."""
    paths = recipe.input.paths or [str(PAGES)]
    root = recipe.lake.root
    if not (root or recipe.lake.catalog):
        root = f"lake/{_name_folder(paths[0]) if recipe.input.paths else 'demo'}"
    return recipe.model_copy(
        update={
            "input": recipe.input.model_copy(update={"paths": paths}),
            "lake": recipe.lake.model_copy(update={"root": root}),
        }
    )


def _print_examples(lake: Lake) -> None:
    """Print the documents with the most removed spans, which show how the model works, but none that lost most of its text."""
    refined = lake.read("refined").where(
        (F.col("status") == "edited") & (F.col("words_after") > 0.5 * F.col("words_before"))
    )
    documents = lake.read("documents").select("doc_id", "content_sha256", F.col("text").alias("before"))
    chosen = (
        refined.join(documents, on=["doc_id", "content_sha256"], how="inner")
        .orderBy(F.size("removed").desc(), F.size("normalized").desc(), "doc_id")
        .limit(_N_EXAMPLES)
    )
    rows = chosen.select("doc_id", "url", "before", "text", "removed", "words_before", "words_after").collect()
    for row in rows:
        title = f"{row['doc_id']} {row['url'] or ''}: {row['words_before']:,} words, {row['words_after']:,} left"
        print_before_after(title, row["before"], row["text"], [span.asDict() for span in row["removed"]])
    if not rows:
        print("  no document was edited")


def _print_queries(spark: SparkSession) -> None:
    for title, query in QUERIES.items():
        print(f"\n{title}:\n{textwrap.dedent(query).strip()}")
        rows = spark.sql(query)
        print_rows(rows.columns, (tuple(row) for row in rows.collect()))


def _print_heading(text: str) -> None:
    print(f"\n{text}\n{'─' * min(len(text), 100)}", flush=True)


def _name_folder(path: str) -> str:
    """Return a folder's name for an input: its name in lower case, and a hash, because a/data.jsonl is not b/data.jsonl."""
    place = path if "://" in path else str(Path(path).absolute())
    name = re.sub(r"[^a-z0-9]+", "-", Path(place).name.lower()).strip("-") or "input"
    return f"{name}-{fingerprint(place.rstrip('/'))[:6]}"
