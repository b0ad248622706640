"""Refining the rows of any frame, without tables of documents: what notebooks call."""

from __future__ import annotations

import atexit
import shutil
from contextlib import nullcontext
from functools import reduce
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.storagelevel import StorageLevel

from prox_spark.config import LakeConfig, Recipe
from prox_spark.engine.driver import is_local
from prox_spark.errors import ReasonCode, RecipeError
from prox_spark.frames import persisted_rows, planned_for
from prox_spark.lake.buckets import bucket_of
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.applying.outcomes import decide_outcomes
from prox_spark.pipeline.asking.answer_wave import answer_wave
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.asking.self_test import SelfTest
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.stored_answers import parse_answers
from prox_spark.pipeline.inputs.naming import quote
from prox_spark.pipeline.waves import Wave, cut_waves
from prox_spark.programs import DocumentStatus
from prox_spark.runs.run import Run, recorded

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ADDED = ("status", "drop_probability", "words_before", "words_after", "removed", "normalized", "failure")
# A column beside those of the frame.
_OUTCOME = "outcome of prox_spark"
_KEY = "SHA-256 of the text"


def refine_frame(frame: DataFrame, recipe: Recipe) -> DataFrame:
    """Refine the rows of a frame; `prox_spark.refine` describes the result.

    Args:
        frame: with the column `input.text_column` of the recipe, a string.
        recipe: its lake stores the answers. Without one it is a temporary lake.

    Raises:
        RecipeError: there is no such column, or no lake on a cluster.
        RefinerError, EngineError, SelfTestError: as `refine_lake`.
    """
    spark, name = frame.sparkSession, recipe.input.text_column
    _check_text_column(frame, name)
    lake = Lake(spark, recipe.lake) if recipe.lake.root or recipe.lake.catalog else _make_temporary_lake(spark)
    text = F.col(quote(name))
    key = F.sha2(text, 256)
    fits = text.isNotNull() & (F.length(text) <= recipe.input.max_text_chars)
    # Equal texts are one document. Its key is the hash of the text, so the frame needs no ids.
    texts = frame.where(fits).select(key.alias("doc_id"), key.alias("content_sha256"), text.alias("text"))
    with planned_for(spark, 0):
        lake.ensure()
    with recorded(lake, "refine_frame", recipe) as run, persisted_rows(texts.dropDuplicates(["doc_id"])) as documents:
        outcomes = _decide_in_waves(lake, run, recipe, documents)
    failure = F.struct(
        F.lit("frame").alias("stage"),
        F.when(text.isNull(), str(ReasonCode.NULL_TEXT)).otherwise(str(ReasonCode.TEXT_TOO_LONG)).alias("reason"),
        F.when(text.isNull(), "the text is null")
        .otherwise(F.lit(f"the text is longer than input.max_text_chars = {recipe.input.max_text_chars:,}"))
        .alias("message"),
    )
    found = outcomes.select(
        F.col("doc_id").alias(_KEY), F.struct(F.col("text"), *(F.col(name) for name in ADDED)).alias(_OUTCOME)
    )
    outcome = F.col(quote(_OUTCOME))
    added: dict[str, Column] = {name: outcome[name] for name in ADDED}
    added["status"] = F.coalesce(outcome["status"], F.lit(str(DocumentStatus.QUARANTINED)))
    added["failure"] = F.when(fits, outcome["failure"]).otherwise(failure)
    carried = (
        outcome["text"].alias(column) if column == name else F.col(quote(column)).alias(_rename(column))
        for column in frame.columns
    )
    joined = frame.withColumn(_KEY, F.when(fits, key)).join(found, on=_KEY, how="left")
    return joined.select(*carried, *(column.alias(name) for name, column in added.items()))


def _decide_in_waves(lake: Lake, run: Run, recipe: Recipe, documents: DataFrame) -> DataFrame:
    """Return the outcomes of documents, computed from committed answers and kept on disk as long as the session lasts."""
    with run.timed("plan"):
        stages = RefinerStages.of(recipe)
        settings = stages.settle(recipe)
        run.settle(settings.recipe, settings.fingerprint)
        run.read_at({"generations": lake.version("generations")})
        bucket = bucket_of(F.col("doc_id")).alias("bucket")
        per_bucket = {row["bucket"]: (row["count"], True) for row in documents.groupBy(bucket).count().collect()}
    n_documents = sum(n for n, _ in per_bucket.values())
    run.count(generations=0, documents=n_documents)
    generate = GenerateMissing(lake, run, SelfTest(lake, run, recipe.self_test))
    config, decided = settings.recipe.apply, []
    waves = cut_waves(per_bucket, recipe.waves.documents, lambda buckets: buckets.of(documents))
    for wave in waves or [Wave(0, 1, lambda _buckets: documents)]:
        with (
            planned_for(lake.spark, n_documents),
            answer_wave(wave, lambda _stage: nullcontext(), generate, stages, settings, run) as answered,
            run.timed("apply"),
        ):
            parsed = parse_answers(answered.generations, stages, answered.prompts, config.semantics)
            outcomes = decide_outcomes(answered.documents, parsed, config, settings.drop_threshold)
            kept = outcomes.persist(StorageLevel.DISK_ONLY)
            kept.count()  # While the frames of the wave are kept.
            decided.append(kept)
    return reduce(lambda a, b: a.unionByName(b), decided)


def _check_text_column(frame: DataFrame, name: str) -> None:
    if name not in frame.columns:
        raise RecipeError(
            f"the frame has no column {name!r}; it has {', '.join(frame.columns)}. Set input.text_column in the recipe, or rename "
            "the column"
        )
    kind = frame.schema[name].dataType
    if not isinstance(kind, T.StringType):
        raise RecipeError(f"column {name!r} is {kind.simpleString()}, but a text must be string")


def _make_temporary_lake(spark: SparkSession) -> Lake:
    """Make a lake that lasts as long as the process, because frames that were returned may be computed again from it."""
    if not is_local(spark.sparkContext):
        raise RecipeError("no lake: on a cluster give lake=ROOT, a place that driver and executors share")
    folder = mkdtemp(prefix="prox-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Lake(spark, LakeConfig(root=folder))


def _rename(column: str) -> str:
    return f"input_{column}" if column in ADDED else column
