"""Asking refiners about labelled texts, by the stages of the main job, and holding their answers against the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import LakeConfig, Recipe
from prox_spark.errors import RecipeError, RefinerError
from prox_spark.frames import persisted
from prox_spark.labels import Label
from prox_spark.lake.tables import Lake
from prox_spark.pipeline.applying.execute import chunks_of, executed
from prox_spark.pipeline.asking.generate import GenerateStage
from prox_spark.pipeline.asking.self_test import SelfTest
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.stored_answers import parsed_answers
from prox_spark.pipeline.asking.wave_prompts import WavePrompts, prompts_of
from prox_spark.quality.baselines import load_baselines
from prox_spark.quality.evaluation import Evaluation, Prediction, evaluate_predictions
from prox_spark.quality.programs import ProgramScores, score_programs
from prox_spark.refiners import find
from prox_spark.runs.run import Run, recorded
from prox_spark.udfs.parse import DOC_STAGE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TEXT = "doc_id string, text string, first_line int, is_judged boolean, is_lined boolean"


@dataclass(frozen=True)
class _Answers:
    """Of the labels in their order, and of all their chunks."""

    predictions: list[Prediction]
    programs: ProgramScores
    n_unanswered_chunks: int


def with_refiner(recipe: Recipe, name: str | None) -> Recipe:
    """The recipe with a refiner for each stage that it serves; as it is for None.

    Raises:
        RefinerError: there is none of this name, or it serves no stage.
    """
    if name is None:
        return recipe
    tasks = find(name).card.tasks
    served = {stage: name for stage in ("doc", "chunk") if getattr(tasks, stage)}
    if not served:
        raise RefinerError(f"{name} serves no stage, so there is nothing to evaluate: its card has no tasks")
    return recipe.model_copy(update={"refiners": recipe.refiners.model_copy(update=served)})


def evaluate_labels(spark: SparkSession, recipe: Recipe, labels: Sequence[Label]) -> Evaluation:
    """Asks the recipe's refiners about labelled texts and scores what they say.

    Each text is a document of its own, or the part of one that begins with the line its label says. The document stage is
    asked about those whose label says keep or drop, the chunk stage about those whose label says which lines go, whatever the
    document stage makes of them. Only `generations` and `runs` of the lake are written.

    Args:
        spark: the session.
        recipe: its lake may be unset: then a temporary one is used.
        labels: one or more.

    Raises:
        RecipeError: no lake, on a cluster.
        RefinerError, EngineError, SelfTestError: as `refine_lake`.
    """
    with _lake(spark, recipe) as lake:
        lake.ensure()
        with recorded(lake, Run("evaluate", recipe)) as run:
            stages = RefinerStages.of(recipe)
            run.recipe = stages.completed(recipe)
            run.recipe_fingerprint = stages.fingerprint(run.recipe)
            run.versions_in = {"generations": lake.version("generations")}
            run.counts |= {"generations": 0, "labels": len(labels)}
            answers = _answers(lake, stages, run, labels)
            return evaluate_predictions(
                labels,
                answers.predictions,
                answers.programs,
                load_baselines(),
                {"doc": stages.doc.refiner.card.name, "chunk": stages.chunk.refiner.card.name},
                run.recipe.drop_threshold,
                answers.n_unanswered_chunks,
            )


def _answers(lake: Lake, stages: RefinerStages, run: Run, labels: Sequence[Label]) -> _Answers:
    # Not the labels' ids, which name a label within its set at best.
    rows = [(str(n), of.text, of.first_line, of.keep is not None, of.ops is not None) for n, of in enumerate(labels)]
    texts = lake.spark.createDataFrame(rows, _TEXT).withColumn("content_sha256", F.sha2("text", 256))
    generate = GenerateStage(lake, run, SelfTest(lake, run))
    lined = texts.where("is_lined")
    doc_prompts = prompts_of(texts.where("is_judged"), stages.doc, with_token_ids=True)
    chunk_prompts = prompts_of(lined, stages.chunk, with_token_ids=True, first_line=F.col("first_line"))
    with ExitStack() as stack:
        doc, chunk = (stack.enter_context(persisted(prompts)) for prompts in (doc_prompts, chunk_prompts))
        with run.stage("doc"):
            verdicts = stack.enter_context(generate(doc, stages.doc, 0, "doc stage"))
        with run.stage("chunk"):
            programs = stack.enter_context(generate(chunk, stages.chunk, 0, "chunk stage"))
        with run.stage("apply"):
            answers = parsed_answers(verdicts.unionByName(programs), stages, WavePrompts(doc, chunk), run.recipe)
            return _read(stack.enter_context(persisted(answers)), lined, run.recipe, len(labels))


def _read(parsed: DataFrame, lined: DataFrame, recipe: Recipe, n_labels: int) -> _Answers:
    is_doc, is_answered = F.col("chunk_index") == DOC_STAGE, F.col("error_code").isNull()
    verdicts = parsed.where(is_doc & is_answered).select("doc_id", "drop_probability").collect()
    drop_probability = {int(row["doc_id"]): row["drop_probability"] for row in verdicts}
    n_unanswered_chunks = parsed.where(~is_doc & ~is_answered).count()
    # Lines of a chunk without an answer stay, as lines of no chunk do.
    chunks = chunks_of(parsed.where(~is_doc & is_answered))
    removed: dict[int, frozenset[int]] = {}
    programs: list[tuple[int, list[str]]] = []
    # Programs count the lines from the beginning of a document. `F.repeat` takes a column since Spark 4.
    lines_before = F.call_function("repeat", F.lit("\n"), F.col("first_line"))
    whole = lined.withColumn("text", F.concat(lines_before, "text"))
    for row in executed(whole, chunks, recipe.apply).select("doc_id", "removed", "verdicts", "chunks").collect():
        number = int(row["doc_id"])
        spans = ((span["line_start"], span["line_end"]) for span in row["removed"])
        removed[number] = frozenset(n for start, end in spans for n in range(start, end + 1))
        n_operations = {chunk["chunk_index"]: len(chunk["ops"]) for chunk in row["chunks"] or ()}
        programs += [
            (n_operations[verdict["chunk_index"]], [finding["code"] for finding in verdict["diagnostics"]])
            for verdict in row["verdicts"]
        ]
    predictions = [Prediction(drop_probability.get(n), removed.get(n)) for n in range(n_labels)]
    return _Answers(predictions, score_programs(programs), n_unanswered_chunks)


@contextmanager
def _lake(spark: SparkSession, recipe: Recipe) -> Iterator[Lake]:
    """The recipe's lake, or a temporary one."""
    if recipe.lake.root or recipe.lake.catalog:
        yield Lake(spark, recipe.lake)
        return
    if not spark.sparkContext.master.startswith("local"):
        raise RecipeError("no lake: on a cluster give --lake ROOT, a place that driver and executors share")
    with TemporaryDirectory(prefix="prox-spark-", ignore_cleanup_errors=True) as folder:
        yield Lake(spark, LakeConfig(root=folder))
