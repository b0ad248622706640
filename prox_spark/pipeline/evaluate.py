"""Evaluation: refiners are asked about labelled texts, and their answers are compared with the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import ApplyConfig, LakeConfig, Recipe
from prox_spark.errors import RecipeError, RefinerError
from prox_spark.frames import persisted
from prox_spark.labels import Label
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.applying.execute import execute_programs, gather_chunks
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.asking.self_test import SelfTest
from prox_spark.pipeline.asking.stages import RefinerStages, settle_run
from prox_spark.pipeline.asking.stored_answers import parse_answers
from prox_spark.pipeline.asking.wave_prompts import WavePrompts, make_prompts
from prox_spark.quality.baselines import load_baselines
from prox_spark.quality.evaluation import Evaluation, Prediction, evaluate_predictions
from prox_spark.quality.programs import ProgramScores, score_programs
from prox_spark.refiners import find
from prox_spark.runs.run import Run, recorded
from prox_spark.spark_driver import can_ask, is_local
from prox_spark.udfs.parse import DOC_STAGE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TEXT = "doc_id string, text string, first_line int, is_judged boolean, is_lined boolean"


@dataclass(frozen=True)
class _Answers:
    """What the refiners answered about the labels, in their order, and about all their chunks."""

    predictions: list[Prediction]
    programs: ProgramScores
    n_unanswered_chunks: int


def with_refiner(recipe: Recipe, name: str | None) -> Recipe:
    """Return the recipe with a refiner for each stage that it serves, or as it is for None.

    Raises:
        RefinerError: no refiner has this name, or it serves no stage.
    """
    if name is None:
        return recipe
    tasks = find(name).card.tasks
    served = {stage: name for stage in ("doc", "chunk") if getattr(tasks, stage)}
    if not served:
        raise RefinerError(f"{name} serves no stage, so there is nothing to evaluate: its card has no tasks")
    return recipe.model_copy(update={"refiners": recipe.refiners.model_copy(update=served)})


def evaluate_labels(spark: SparkSession, recipe: Recipe, labels: Sequence[Label]) -> Evaluation:
    """Ask the recipe's refiners about labelled texts and score their answers.

    Each text is a document, or the part of a document that begins with the line its label says. The document stage is asked
    about texts whose label says keep or drop. The chunk stage is asked about texts whose label says which lines go, whatever
    the document stage answers. Only `generations` and `runs` of the lake are written.

    Args:
        spark: the session.
        recipe: its lake may be unset; then a temporary lake is used.
        labels: one or more.

    Raises:
        ConnectError: an answer is not stored, the session is one of Spark Connect, and the recipe names no remote engine.
        RecipeError: no lake, on a cluster.
        RefinerError, EngineError, SelfTestError: as `refine_lake`.
    """
    with _lake_of(spark, recipe) as lake:
        lake.ensure()
        with recorded(lake, "evaluate", recipe) as run:
            stages, settings = settle_run(run, recipe, asks=can_ask(spark, recipe.engine.endpoint))
            run.read_at({"generations": lake.version("generations")})
            run.count(generations=0, labels=len(labels))
            answers = _ask(lake, stages, settings.recipe, run, labels)
            return evaluate_predictions(
                labels,
                answers.predictions,
                answers.programs,
                load_baselines(),
                {"doc": stages.doc.refiner.card.name, "chunk": stages.chunk.refiner.card.name},
                settings.drop_threshold,
                answers.n_unanswered_chunks,
            )


def _ask(lake: Lake, stages: RefinerStages, recipe: Recipe, run: Run, labels: Sequence[Label]) -> _Answers:
    # Numbers instead of the labels' ids, which are unique within a set at best.
    rows = [(str(n), of.text, of.first_line, of.keep is not None, of.ops is not None) for n, of in enumerate(labels)]
    texts = lake.spark.createDataFrame(rows, _TEXT).withColumn("content_sha256", F.sha2("text", 256))
    generate = GenerateMissing(lake, run, SelfTest(lake, run, recipe.self_test))
    lined = texts.where("is_lined")
    doc_prompts = make_prompts(texts.where("is_judged"), stages.doc, with_token_ids=True)
    chunk_prompts = make_prompts(lined, stages.chunk, with_token_ids=True, first_line=F.col("first_line"))
    with ExitStack() as stack:
        doc, chunk = (stack.enter_context(persisted(prompts)) for prompts in (doc_prompts, chunk_prompts))
        with run.timed("doc"):
            verdicts = stack.enter_context(generate(doc, stages.doc, 0, "doc stage"))
        with run.timed("chunk"):
            programs = stack.enter_context(generate(chunk, stages.chunk, 0, "chunk stage"))
        with run.timed("apply"):
            generations, semantics = verdicts.unionByName(programs), recipe.apply.semantics
            answers = parse_answers(generations, stages, WavePrompts(doc, chunk), semantics)
            return _read(stack.enter_context(persisted(answers)), lined, recipe.apply, len(labels))


def _read(parsed: DataFrame, lined: DataFrame, config: ApplyConfig, n_labels: int) -> _Answers:
    is_doc, is_answered = F.col("chunk_index") == DOC_STAGE, F.col("error_code").isNull()
    verdicts = parsed.where(is_doc & is_answered).select("doc_id", "drop_probability").collect()
    drop_probability = {int(row["doc_id"]): row["drop_probability"] for row in verdicts}
    n_unanswered_chunks = parsed.where(~is_doc & ~is_answered).count()
    # Lines of a chunk without an answer stay, and so do lines outside of all chunks.
    chunks = gather_chunks(parsed.where(~is_doc & is_answered))
    removed: dict[int, frozenset[int]] = {}
    programs: list[tuple[int, list[str]]] = []
    # Programs count lines from the beginning of the document. `F.repeat` takes a column since Spark 4.
    lines_before = F.call_function("repeat", F.lit("\n"), F.col("first_line"))
    whole = lined.withColumn("text", F.concat(lines_before, "text"))
    for row in (
        execute_programs(whole, chunks, config).select("doc_id", "removed", "chunk_outcomes", "chunks").collect()
    ):
        number = int(row["doc_id"])
        spans = ((span["line_start"], span["line_end"]) for span in row["removed"])
        removed[number] = frozenset(n for start, end in spans for n in range(start, end + 1))
        n_operations = {chunk["chunk_index"]: len(chunk["ops"]) for chunk in row["chunks"] or ()}
        programs += [
            (n_operations[outcome["chunk_index"]], [finding["code"] for finding in outcome["diagnostics"]])
            for outcome in row["chunk_outcomes"]
        ]
    predictions = [Prediction(drop_probability.get(n), removed.get(n)) for n in range(n_labels)]
    return _Answers(predictions, score_programs(programs), n_unanswered_chunks)


@contextmanager
def _lake_of(spark: SparkSession, recipe: Recipe) -> Iterator[Lake]:
    """Yield the recipe's lake, or a temporary one."""
    if recipe.lake.root or recipe.lake.catalog:
        yield Lake(spark, recipe.lake)
        return
    if not is_local(spark):
        raise RecipeError("no lake: on a cluster give --lake ROOT, a place that driver and executors share")
    with TemporaryDirectory(prefix="prox-spark-", ignore_cleanup_errors=True) as folder:
        # A URI, because the default file system of a platform may be another.
        yield Lake(spark, LakeConfig(root=Path(folder).as_uri()))
