"""Labels from a teacher, which answers questions about a sample of documents, or from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.annotation import QUESTIONS, Question
from prox_spark.annotation.question_prompts import build_question_prompts
from prox_spark.config import AnnotationConfig, Recipe
from prox_spark.errors import RecipeError, RefinerError
from prox_spark.fingerprint import fingerprint
from prox_spark.frames import persisted
from prox_spark.labels import write_labels
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.asking.stages import RefinerStage, prepare_engine
from prox_spark.pipeline.asking.stored_answers import choose_answers
from prox_spark.pipeline.asking.wave_prompts import make_prompts
from prox_spark.pipeline.labels import import_files, read_rows, store_labels
from prox_spark.pipeline.plan import open_lake
from prox_spark.pipeline.waves import cut_frame
from prox_spark.places import is_uri
from prox_spark.refiners import find
from prox_spark.refiners.build import tokenizer_json
from prox_spark.runs.run import Run, recorded
from prox_spark.schemas import DOCUMENT_KEY
from prox_spark.spark_driver import refuse_local_engine
from prox_spark.spark_versions import with_arrow_column
from prox_spark.udfs.annotate import ANSWER, DRAFTS, DraftLabels
from prox_spark.udfs.generate import Generate
from prox_spark.udfs.words import count_words_or_null

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class AnnotateSummary:
    """What an annotate run did.

    Attributes:
        run: its row in `runs`.
        n_documents: documents that the teacher was asked about; None after an import.
        n_labels: by label set, labels that this run made or imported, including those that were stored before.
        rejected: by reason, answers that are no label.
        exported: file and number of labels in it; None without --export.
    """

    run: Run
    n_documents: int | None
    n_labels: dict[str, int]
    rejected: dict[str, int] = field(default_factory=dict)
    exported: tuple[str, int] | None = None


def annotate_lake(
    spark: SparkSession, recipe: Recipe, files: Sequence[str] = (), export: str | None = None
) -> AnnotateSummary:
    """Make labels by a teacher, or import them if files are given.

    Args:
        spark: a session with Delta.
        recipe: lake, annotation and engine.
        files: paths or URIs of labels to import, see `labels.read_labels`. With any, no teacher is asked.
        export: JSON Lines file for the labels of the sets that were written.

    Raises:
        ConnectError: a teacher is to be asked, the session is one of Spark Connect, and the recipe names no remote engine.
        LakeError: a teacher is to be asked and there are no documents.
        RefinerError, EngineError: the teacher can't be had or its engine failed.
        LabelError: a file can't be read.
        RecipeError: the export is no local file.
    """
    if export:
        if is_uri(export):
            raise RecipeError(
                f"--export writes a file on the driver's own disk, and {export} is a URI: give a path, or read the lake's table `labels`"
            )
        Path(export).absolute().parent.mkdir(parents=True, exist_ok=True)  # Before the teacher is paid.
    if files:
        lake = Lake(spark, recipe.lake)
        lake.ensure()
    else:
        refuse_local_engine(spark, recipe.engine.endpoint)
        lake = open_lake(spark, recipe)
    with recorded(lake, "annotate", recipe) as run:
        summary = _import(lake, run, recipe.annotation, files) if files else _ask_teacher(lake, run, recipe)
        run.count(labels=sum(summary.n_labels.values()), **summary.rejected)
    if export is None:
        return summary
    rows = lake.read("labels").where(F.col("label_set").isin(*summary.n_labels))
    n_exported = write_labels(Path(export), read_rows(rows))
    return replace(summary, exported=(export, n_exported))


def _import(lake: Lake, run: Run, config: AnnotationConfig, files: Sequence[str]) -> AnnotateSummary:
    run.read_at({"labels": lake.version("labels")})
    with run.timed("import"):
        counts = import_files(lake, files, config.label_set, run.run_id)
    return AnnotateSummary(run, None, dict(counts))


def _ask_teacher(lake: Lake, run: Run, recipe: Recipe) -> AnnotateSummary:
    with run.timed("plan"):
        stages = teacher_stages(recipe)
        label_set = recipe.annotation.label_set or next(iter(stages.values())).refiner.card.name
        config = recipe.annotation.model_copy(update={"label_set": label_set})
        run.settle(recipe.model_copy(update={"annotation": config}), _fingerprint(config, stages))
        versions = {name: lake.version(name) for name in ("documents", "labels")}
        run.read_at(versions)
        run.count(generations=0)
        documents = lake.read("documents", versions["documents"]).transform(draw_sample(config))
    generate = GenerateMissing(lake, run)
    with persisted(documents) as sample:
        waves, n_documents = cut_frame(sample, recipe.waves.documents)
        for wave in waves:
            with ExitStack() as stack:
                prompts = stack.enter_context(persisted(_make_prompts(wave.documents, stages, config)))
                answers = []
                for question, stage in stages.items():
                    with run.timed(question.name):
                        mine = prompts.where(F.col("question") == question.name)
                        answers.append(
                            stack.enter_context(generate(mine, stage, wave.number, f"{question.name}{wave}"))
                        )
                with run.timed("labels"):
                    generations = reduce(lambda a, b: a.unionByName(b), answers)
                    _store(lake, run.run_id, config, label_set, wave.documents, prompts, generations)
        labels = lake.read("labels").where(F.col("label_set") == label_set)
        mine = labels.join(sample.select(*DOCUMENT_KEY), on=DOCUMENT_KEY, how="left_semi")
        counts = {row["reason"]: row["count"] for row in mine.groupBy("reason").count().orderBy("reason").collect()}
    run.count(documents=n_documents)
    n_labels = {label_set: counts.pop(None, 0)}
    return AnnotateSummary(run, n_documents, n_labels, counts)


def teacher_stages(recipe: Recipe) -> dict[Question, RefinerStage]:
    """Return the stage of each question that the teacher is asked.

    Raises:
        RefinerError: the teacher can't be had, or does not follow instructions.
        RecipeError: the questions are too long for it.
    """
    config = recipe.annotation
    refiner = find(config.teacher)
    if not refiner.card.teaches:
        raise RefinerError(
            f"{config.teacher} is no teacher: its card does not say `teaches: true`. Set annotation.teacher to a model that follows instructions"
        )
    if recipe.engine.endpoint and isinstance(recipe.engine.endpoint_model, dict):
        raise RecipeError(
            "engine.endpoint_model names a model for each stage of refining, and a teacher is one: set it to the teacher's name at the endpoint"
        )
    spec = prepare_engine(refiner, recipe.engine)
    tokenizer, stages = tokenizer_json(spec.served).parent, {}
    for question in QUESTIONS:
        builder = build_question_prompts(question, refiner.card, refiner.model_fingerprint, tokenizer, config)
        stages[question] = RefinerStage(refiner, builder, Generate(spec, builder.sampling, stage=builder.stage))
    return stages


def draw_sample(config: AnnotationConfig) -> Callable[[DataFrame], DataFrame]:
    """Draw documents in turns from every stratum of source and length, at random within it.

    The id and the seed decide the place of a document, so a larger sample holds the smaller one.

    Returns:
        A transformation of `documents`: `DOCUMENT_KEY` and text of at most `config.documents` that have words.
    """
    n_words = F.coalesce("n_words", "n_counted")
    length = reduce(lambda n, bound: n + (n_words >= bound).cast("int"), config.length_bounds, F.lit(0))
    draw = F.xxhash64(F.lit(config.seed), "doc_id")

    def draw_from(documents: DataFrame) -> DataFrame:
        uncounted = F.when(F.col("n_words").isNull(), F.col("text"))
        known = documents.select(*DOCUMENT_KEY, "source", "n_words", uncounted.alias("uncounted"))
        counted = with_arrow_column(known, "n_counted", count_words_or_null, T.LongType(), F.col("uncounted"))
        places = counted.where(n_words > 0).select(*DOCUMENT_KEY, "source", length.alias("length"), draw.alias("draw"))
        turn = F.row_number().over(Window.partitionBy("source", "length").orderBy("draw", "doc_id"))
        chosen = places.withColumn("turn", turn).orderBy("turn", "draw", "doc_id").limit(config.documents)
        return documents.select(*DOCUMENT_KEY, "text").join(
            chosen.select(*DOCUMENT_KEY), on=DOCUMENT_KEY, how="left_semi"
        )

    return draw_from


def _make_prompts(documents: DataFrame, stages: dict[Question, RefinerStage], config: AnnotationConfig) -> DataFrame:
    """Make all prompts about documents, with at most `config.chunks` chunks of each: columns of `prox_spark.udfs.prompts.PROMPTS` and question."""
    draw = F.xxhash64(F.lit(config.seed), "doc_id", "chunk_index")
    place = F.row_number().over(Window.partitionBy(*DOCUMENT_KEY, "question").orderBy(draw, "chunk_index"))
    prompts = (
        make_prompts(documents, stage, with_token_ids=True).withColumn("question", F.lit(question.name))
        for question, stage in stages.items()
    )
    every = reduce(lambda a, b: a.unionByName(b), prompts)
    return every.withColumn("place", place).where(F.col("place") <= config.chunks).drop("place")


def _store(
    lake: Lake,
    run_id: str,
    config: AnnotationConfig,
    label_set: str,
    documents: DataFrame,
    prompts: DataFrame,
    generations: DataFrame,
) -> None:
    """Derive the labels of a wave from committed answers, and remove labels of its documents that other prompts once made."""
    answers = (
        prompts.join(choose_answers(generations, "output_text", "finish_reason"), on="generation_key", how="left")
        .withColumns({name: F.col(f"generation.{name}") for name in ("output_text", "finish_reason")})
        .withColumn("error_message", F.coalesce("generation.error_message", "skip_reason"))
        .groupBy(*DOCUMENT_KEY)
        .agg(F.collect_list(F.struct(*ANSWER.names)).alias("answers"))
    )
    drafts = documents.join(answers, on=DOCUMENT_KEY, how="inner").select(*DOCUMENT_KEY, "text", "answers")
    own = {"label_set": label_set, "origin": config.teacher, "run_id": run_id}
    labels = (
        drafts.mapInArrow(DraftLabels(config.max_removed_share), DRAFTS)
        .withColumns({name: F.lit(value) for name, value in own.items()})
        .select(*schemas.LABELS.columns)
    )
    with persisted(labels) as rows:
        old = lake.read("labels").where(F.col("label_set") == own["label_set"])
        stale = (
            old.join(documents.select("doc_id"), on="doc_id", how="left_semi")
            .join(rows.select("label_id"), on="label_id", how="left_anti")
            .select(*schemas.LABELS.key)
        )
        if not stale.isEmpty():
            lake.remove(schemas.LABELS, stale, schemas.LABELS.key, run_id)
        store_labels(lake, rows, run_id)


def _fingerprint(config: AnnotationConfig, stages: dict[Question, RefinerStage]) -> str:
    prints = [(s.builder.model_fingerprint, s.builder.prompt_fingerprint, s.builder.sampling) for s in stages.values()]
    return fingerprint(prints, config.model_dump())
