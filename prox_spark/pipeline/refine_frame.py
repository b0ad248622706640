"""Refining the rows of any frame, without tables of documents: what notebooks call."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import reduce
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.config import LakeConfig, Recipe
from prox_spark.errors import ConnectError, ConservationError, ReasonCode, RecipeError
from prox_spark.frames import persist_rows, persisted, planned_for
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.applying.outcomes import IS_ANSWERED, decide_outcomes
from prox_spark.pipeline.asking.answer_wave import answer_wave
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.asking.self_test import SelfTest
from prox_spark.pipeline.asking.stages import settle_run
from prox_spark.pipeline.asking.stored_answers import parse_answers
from prox_spark.pipeline.inputs.naming import fold, quote
from prox_spark.pipeline.waves import Wave, cut_frame
from prox_spark.programs import DocumentStatus
from prox_spark.runs.run import Run, recorded
from prox_spark.spark_driver import can_persist, is_local, refuse_local_engine

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ADDED = ("status", "drop_probability", "words_before", "words_after", "removed", "normalized", "failure")
# Columns beside those of the frame, which may have any name.
_OUTCOME = "outcome of prox_spark"
_KEY = "SHA-256 of the text"


def refine_frame(frame: DataFrame, recipe: Recipe) -> DataFrame:
    """Refine the rows of a frame; `prox_spark.refine` describes the result.

    Args:
        frame: with the column `input.text_column` of the recipe, a string.
        recipe: its lake stores the answers. Without one it is a temporary lake.

    Raises:
        ConnectError: over Spark Connect an engine would have to be started, or no frame can be kept.
        RecipeError: the frame can't be refined, or there is no lake on a cluster.
        RefinerError, EngineError, SelfTestError: as `refine_lake`.
        ConservationError: the table generations was changed during the run.
    """
    spark, name = frame.sparkSession, recipe.input.text_column
    refuse_local_engine(spark, recipe.engine.endpoint)
    if not can_persist(spark):  # Computed again, a frame may have other rows, and outcomes of none of them.
        raise ConnectError("this compute keeps no frames: bring the texts into a lake (ingest) and refine the lake")
    names = _name_columns(frame, name)
    lake = Lake(spark, recipe.lake) if recipe.lake.root or recipe.lake.catalog else _make_temporary_lake(spark)
    text = F.col(quote(name))
    fits = text.isNotNull() & (F.length(text) <= recipe.input.max_text_chars)
    # Kept as long as the session: computed again, a frame such as `limit(100)` may have other rows.
    rows = persist_rows(frame.withColumn(_KEY, F.when(fits, F.sha2(text, 256))))
    # Equal texts are one document. Its key is the hash of the text, so the frame needs no ids.
    key = F.col(quote(_KEY))
    texts = rows.where(key.isNotNull()).select(key.alias("doc_id"), key.alias("content_sha256"), text.alias("text"))
    with planned_for(spark, 0):
        lake.ensure()
    with recorded(lake, "refine_frame", recipe) as run:
        outcomes = _decide_in_waves(lake, run, recipe, texts.dropDuplicates(["doc_id"]))
    found = outcomes.select(F.col("doc_id").alias(_KEY), F.struct("text", *ADDED).alias(_OUTCOME))
    outcome = F.col(quote(_OUTCOME))
    added: dict[str, Column] = {column: outcome[column] for column in ADDED}
    added["status"] = F.coalesce(outcome["status"], F.lit(str(DocumentStatus.QUARANTINED)))
    added["failure"] = F.when(fits, outcome["failure"]).otherwise(_describe_failure(text, recipe.input.max_text_chars))
    carried = (
        (outcome["text"] if column == name else F.col(quote(column))).alias(names[column]) for column in frame.columns
    )
    joined = rows.join(found, on=_KEY, how="left")
    return joined.select(*carried, *(column.alias(name) for name, column in added.items()))


def _decide_in_waves(lake: Lake, run: Run, recipe: Recipe, documents: DataFrame) -> DataFrame:
    """Return the outcomes of documents, computed from committed answers and kept on disk as long as the session lasts."""
    with run.timed("plan"):
        stages, settings = settle_run(run, recipe)
        run.read_at({"generations": lake.version("generations")})
        waves, n_documents = cut_frame(documents, recipe.waves.documents)
    run.count(generations=0, documents=n_documents)
    generate = GenerateMissing(lake, run, SelfTest(lake, run, recipe.self_test))
    config, decided = settings.recipe.apply, []
    with ExitStack() as kept:
        for wave in waves or [Wave(0, 1, lambda _buckets: documents)]:
            with (
                planned_for(lake.spark, n_documents),
                answer_wave(wave, lambda _stage: nullcontext(), generate, stages, settings, run) as answered,
                run.timed("apply"),
            ):
                parsed = parse_answers(answered.generations, stages, answered.prompts, config.semantics)
                outcomes = decide_outcomes(answered.documents, parsed, config, settings.drop_threshold)
                decided.append(kept.enter_context(persisted(outcomes)))
                n_lost = decided[-1].where(f"NOT ({IS_ANSWERED})").count()  # Computes them while the wave is kept.
            if n_lost:
                raise ConservationError(
                    f"{n_lost:,} texts have prompts without a generation: the table generations was changed during the run; run again"
                )
        kept.pop_all()
    return reduce(lambda a, b: a.unionByName(b), decided)


def _describe_failure(text: Column, max_text_chars: int) -> Column:
    """Return the failure of a row whose text no model was asked about."""
    is_null = text.isNull()
    too_long = F.format_string(
        f"the text has %d characters, more than input.max_text_chars = {max_text_chars:,}", F.length(text)
    )
    return F.struct(
        F.lit("frame").alias("stage"),
        F.when(is_null, str(ReasonCode.NULL_TEXT)).otherwise(str(ReasonCode.TEXT_TOO_LONG)).alias("reason"),
        F.when(is_null, "the text is null").otherwise(too_long).alias("message"),
    )


def _name_columns(frame: DataFrame, text_column: str) -> dict[str, str]:
    """Return the names of the frame's columns in the result.

    Raises:
        RecipeError: the frame is a stream, has a name twice, or has no text column.
    """
    if frame.isStreaming:
        raise RecipeError("the frame is a stream: refine each batch of it by foreachBatch, with a lake")
    folded = [fold(column) for column in frame.columns]
    if doubled := sorted({column for column in frame.columns if folded.count(fold(column)) > 1}):
        raise RecipeError(f"the frame has several columns called {', '.join(doubled)}: rename them")
    if text_column not in frame.columns:
        alike = next((column for column in frame.columns if fold(column) == fold(text_column)), None)
        hint = f" Did you mean {alike!r}?" if alike else ""
        raise RecipeError(
            f"the frame has no column {text_column!r}; it has {', '.join(frame.columns)}.{hint} Set input.text_column in the recipe, "
            "or rename the column"
        )
    kind = frame.schema[text_column].dataType
    if not isinstance(kind, T.StringType):
        raise RecipeError(f"column {text_column!r} is {kind.simpleString()}, but a text must be string")
    return dict(zip(frame.columns, _rename(frame.columns), strict=True))


def _rename(columns: Sequence[str]) -> Iterator[str]:
    """Yield each column's name, with `input_` before it as often as a column of ours or of the frame has it."""
    taken = {*ADDED, *map(fold, columns)}
    for column in columns:
        name = column
        if fold(column) in ADDED:
            while fold(name) in taken:
                name = f"input_{name}"
            taken.add(fold(name))
        yield name


def _make_temporary_lake(spark: SparkSession) -> Lake:
    """Make a lake that lasts as long as the process, because frames that were returned may be computed again from it."""
    if not is_local(spark):
        raise RecipeError("no lake: on a cluster give lake=ROOT, a place that driver and executors share")
    folder = mkdtemp(prefix="prox-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # A URI, because the default file system of a platform may be another.
    return Lake(spark, LakeConfig(root=Path(folder).as_uri()))
