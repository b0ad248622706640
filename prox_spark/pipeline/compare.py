"""Two settings over the same stored generations, side by side: where they agree and where they don't. Writes nothing."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import ApplyConfig, Recipe
from prox_spark.errors import RecipeError
from prox_spark.frames import persisted
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.apply import stored_prompts
from prox_spark.pipeline.applying.outcomes import IS_ANSWERED, decide_outcomes
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.stored_answers import parse_answers
from prox_spark.programs import DocumentStatus
from prox_spark.schemas import DOCUMENT_KEY

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

_SAME_TEXT = "text_a = text_b"
_GONE = [
    str(status)
    for status in (
        DocumentStatus.DROPPED_DOC,
        DocumentStatus.BLANKED_RATIO,
        DocumentStatus.BLANKED_SHORT,
        DocumentStatus.QUARANTINED,
    )
]


@dataclass(frozen=True)
class Disagreement:
    """A document of which the two settings make different texts.

    Attributes:
        doc_id: of the document.
        status_a: under the one setting.
        status_b: under the other.
        lines: a few `(side, line)`: lines of the raw text that only this side removes.
    """

    doc_id: str
    status_a: str
    status_b: str
    lines: list[tuple[str, str]]


@dataclass(frozen=True)
class Comparison:
    """How far two settings agree over the documents that both can decide.

    Attributes:
        config_a: the one setting, with its thresholds filled in.
        config_b: the other.
        n_documents: compared.
        n_waiting: left out because one setting needs a generation that is not stored.
        same_status: documents with the same status.
        same_text: documents with the same refined text.
        n_lines: lines of all raw texts.
        same_lines: lines that both keep or both remove.
        words_a: words left under the one setting.
        words_b: under the other.
        statuses: (status under a, status under b, documents).
        examples: documents that differ, those with most differing lines first.
    """

    config_a: ApplyConfig
    config_b: ApplyConfig
    n_documents: int
    n_waiting: int
    same_status: int
    same_text: int
    n_lines: int
    same_lines: int
    words_a: int
    words_b: int
    statuses: list[tuple[str, str, int]]
    examples: list[Disagreement]


def compare_settings(spark: SparkSession, a: Recipe, b: Recipe, n_examples: int = 3, n_lines: int = 8) -> Comparison:
    """Compare what two recipes make of the documents of a lake, from stored generations.

    Args:
        spark: a session with Delta.
        a: one recipe, with a lake.
        b: another over the same lake.
        n_examples: documents to show.
        n_lines: lines to show of each.

    Raises:
        RecipeError: the recipes name different lakes.
    """
    if (a.lake.root, a.lake.catalog) != (b.lake.root, b.lake.catalog):
        raise RecipeError("both recipes must name the same lake")
    lake = Lake(spark, a.lake)
    lake.read("documents")
    documents = lake.read("documents", lake.version("documents"))
    n_documents = documents.count()
    with ExitStack() as frames:
        raw = documents.select(*DOCUMENT_KEY, F.col("text").alias("raw"))
        side_a, config_a = _decide_side(lake, a, documents, "a", frames)
        side_b, config_b = _decide_side(lake, b, documents, "b", frames)
        rows = raw.join(side_a, on=DOCUMENT_KEY, how="inner").join(side_b, on=DOCUMENT_KEY, how="inner")
        rows = frames.enter_context(persisted(rows.transform(_add_lines)))
        total = rows.agg(
            F.count("*").alias("n_documents"),
            F.count_if(F.col("status_a") == F.col("status_b")).alias("same_status"),
            F.count_if(F.expr(_SAME_TEXT)).alias("same_text"),
            F.coalesce(F.sum("n"), F.lit(0)).alias("n_lines"),
            F.coalesce(F.sum(F.col("n") - F.col("n_differing")), F.lit(0)).alias("same_lines"),
            F.coalesce(F.sum("words_a"), F.lit(0)).alias("words_a"),
            F.coalesce(F.sum("words_b"), F.lit(0)).alias("words_b"),
        ).first()
        statuses = rows.groupBy("status_a", "status_b").count().orderBy(F.desc("count")).collect()
        differing = rows.where(f"NOT ({_SAME_TEXT})").orderBy(F.desc("n_differing"), "doc_id").limit(n_examples)
        examples = [_make_example(row, n_lines) for row in differing.collect()]
    moved = [(row["status_a"], row["status_b"], row["count"]) for row in statuses]
    n_waiting = n_documents - total["n_documents"]
    return Comparison(config_a, config_b, **total.asDict(), n_waiting=n_waiting, statuses=moved, examples=examples)


def _decide_side(
    lake: Lake, recipe: Recipe, documents: DataFrame, side: str, frames: ExitStack
) -> tuple[DataFrame, ApplyConfig]:
    """Return what one recipe makes of the documents that have their generations, and its settings with the thresholds filled in."""
    stages = RefinerStages.of(recipe, asks=False)
    settings = stages.settle(recipe)
    config, threshold = settings.recipe.apply, settings.drop_threshold
    prompts = frames.enter_context(stored_prompts(lake, stages, documents, threshold))
    parsed = parse_answers(lake.read("generations"), stages, prompts, config.semantics)
    decided = decide_outcomes(documents, parsed, config, threshold).where(IS_ANSWERED)
    columns = {"text": "text", "status": "status", "words": "words_after", "removed": "removed"}
    renamed = (F.col(column).alias(f"{name}_{side}") for name, column in columns.items())
    return decided.select(*DOCUMENT_KEY, *renamed), config


def _add_lines(rows: DataFrame) -> DataFrame:
    """Add the number of lines, and the numbers of the lines that only one side removes."""
    n_raw = F.size(F.split("raw", "\n"))
    lines = {"n": n_raw, "lines_a": _find_removed("a", n_raw), "lines_b": _find_removed("b", n_raw)}
    only = {"only_a": F.array_except("lines_a", "lines_b"), "only_b": F.array_except("lines_b", "lines_a")}
    rows = rows.withColumns(lines).withColumns(only)
    return rows.withColumn("n_differing", F.size("only_a") + F.size("only_b"))


def _find_removed(side: str, n_lines: Column) -> Column:
    """Return the numbers of the lines of the raw text that a side removes: all of them if nothing is left."""
    spans = F.transform(f"removed_{side}", lambda s: F.sequence(s["line_start"], s["line_end"]))
    every = F.sequence(F.lit(0).cast("long"), n_lines.cast("long") - 1)
    return F.when(F.col(f"status_{side}").isin(_GONE), every).otherwise(F.flatten(spans))


def _make_example(row: Row, n_lines: int) -> Disagreement:
    lines = row["raw"].split("\n")
    marks = sorted([(n, "A") for n in row["only_a"]] + [(n, "B") for n in row["only_b"]])
    shown = [(side, lines[n]) for n, side in marks if lines[n].strip()][:n_lines]
    return Disagreement(row["doc_id"], row["status_a"], row["status_b"], shown)
