"""The Python API, for notebooks and for jobs of your own. The same names can be imported from `prox_spark`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, overload

from prox_spark.config import LakeConfig, Recipe
from prox_spark.errors import ProxSparkError, RecipeError
from prox_spark.lake.lake import Lake
from prox_spark.session import spark_session
from prox_spark.watching.log import progress_unless_logged

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from prox_spark.labels import Label
    from prox_spark.pipeline.apply import ApplySummary
    from prox_spark.pipeline.ingest import IngestSummary
    from prox_spark.pipeline.refine import RefineSummary
    from prox_spark.quality.evaluation import Evaluation

__all__ = ["apply", "evaluate", "ingest", "refine"]

# A lake, or the path or URI under which its tables lie.
AnyLake: TypeAlias = "Lake | str | Path"
# A recipe, or the path of its YAML file.
AnyRecipe: TypeAlias = "Recipe | str | Path"


@overload
def refine(what: Lake, recipe: AnyRecipe | None = None) -> RefineSummary: ...
@overload
def refine(what: DataFrame, recipe: AnyRecipe | None = None, *, lake: AnyLake | None = None) -> DataFrame: ...
def refine(
    what: DataFrame | Lake, recipe: AnyRecipe | None = None, *, lake: AnyLake | None = None
) -> DataFrame | RefineSummary:
    """Refine the rows of a frame, or the documents of a lake.

    The models are asked at once, not when the frame is first read. Their answers are stored in the table `generations` of the
    lake, so the same texts cost nothing the second time with the same lake. Equal texts are asked about once. The rows of a frame
    and their outcomes are kept on the executors' disks as long as the session lasts.

    Args:
        what: a frame with a column of texts, `input.text_column` of the recipe (`text`); or a lake that `ingest` has filled.
        recipe: refiners, thresholds and engine, or the path of its file; None takes the defaults, which run on a laptop.
        lake: for a frame, stores the answers. None takes a temporary lake, which lasts as long as the Python process.
            It works in local mode only.

    Returns:
        For a lake, what the run did. For a frame, all its rows and columns. The text column holds the refined texts: an
        empty text where a document was dropped or blanked, null where the text was null. These columns are added:

        - `status`: one of the statuses of documents, such as `edited` or `dropped_doc`;
        - `drop_probability`: of the document stage, 0 to 1; null if it was not asked;
        - `words_before`, `words_after`: numbers of words;
        - `removed`, `normalized`: removed line spans and replacements, as in the table `refined`;
        - `failure`: struct of stage, reason and message; null unless the status is `quarantined`.

        A column of the frame with one of these names is returned as `input_` and its name. A row whose text is null or longer
        than `input.max_text_chars` is `quarantined` with the stage `frame`.

    Raises:
        RecipeError: the frame has no such text column or is a stream, or there is no lake on a cluster.
        LakeError: the lake has no documents, or the session has no Delta.
        RefinerError, EngineError: a model can't be had or its engine failed.
        SelfTestError: a refiner's answers to the fixed sample are not those of a refiner.

    Example:
        >>> from prox_spark import refine
        >>> pages = spark.createDataFrame([("a", PAGE), ("b", None)], "page string, text string")
        >>> refine(pages).select("page", "status", "words_before").orderBy("page").show()
        +----+-----------+------------+
        |page|     status|words_before|
        +----+-----------+------------+
        |   a|     edited|         504|
        |   b|quarantined|        NULL|
        +----+-----------+------------+
        <BLANKLINE>
    """
    from prox_spark.pipeline.refine import refine_lake
    from prox_spark.pipeline.refine_frame import refine_frame

    recipe = _load(recipe)
    if isinstance(what, Lake):
        if lake is not None:
            raise ProxSparkError(
                "refine(LAKE) refines the documents of that lake: leave out lake=, which is for frames"
            )
        with progress_unless_logged():
            return refine_lake(what.spark, _with_lake(recipe, what))
    if not hasattr(what, "sparkSession"):
        raise ProxSparkError(
            f"refine takes a DataFrame or a Lake, not {what!r}: write refine(Lake(spark, ROOT)) for a lake"
        )
    with progress_unless_logged():
        return refine_frame(what, recipe if lake is None else _with_lake(recipe, lake))


def ingest(inputs: str | Path | Iterable[str | Path], lake: AnyLake, recipe: AnyRecipe | None = None) -> IngestSummary:
    """Bring files or tables into a lake. Repeatable: the same input again commits nothing.

    Args:
        inputs: files, folders or globs, as paths or URIs; with the format `delta` also names in a catalog. They are added to those of
            the recipe.
        lake: gets the documents.
        recipe: formats and names of columns; None takes the defaults.

    Returns:
        What was read, and what became of it.

    Raises:
        RecipeError: a path holds nothing, or a format or column can't be found.
        InputError: not one file can be read, or the documents of a file would replace those of another.
        LakeError: a column of the input does not fit the lake's, or another ingest wrote meanwhile.

    Example:
        >>> from prox_spark import Lake, ingest
        >>> lake = Lake(spark, FOLDER + "/lake")
        >>> ingest(FOLDER + "/pages.jsonl", lake).n_new
        2
    """
    from prox_spark.pipeline.ingest import ingest as ingest_inputs

    recipe = _with_lake(_load(recipe), lake)
    given = [inputs] if isinstance(inputs, (str, Path)) else inputs
    paths = [*recipe.input.paths, *map(str, given)]
    recipe = recipe.model_copy(update={"input": recipe.input.model_copy(update={"paths": paths})})
    with progress_unless_logged(), spark_session(recipe) as spark:
        return ingest_inputs(spark, recipe)


def apply(lake: AnyLake, recipe: AnyRecipe | None = None) -> ApplySummary:
    """Derive the tables of a lake again from stored answers, with other thresholds or semantics. No engine is started.

    Args:
        lake: with answers of the recipe's refiners.
        recipe: thresholds and semantics; None takes the defaults.

    Returns:
        What moved between statuses, and how many documents wait for `refine`.

    Raises:
        LakeError: there are no documents.
        RefinerError: a refiner's tokenizer can't be had.

    Example:
        >>> from prox_spark import Recipe, apply, refine
        >>> summary = refine(lake)
        >>> apply(lake, Recipe.parse({"apply": {"drop_threshold": 0.0}})).statuses
        {'dropped_doc': 2}
    """
    from prox_spark.pipeline.apply import apply_lake

    recipe = _with_lake(_load(recipe), lake)
    with progress_unless_logged(), spark_session(recipe) as spark:
        return apply_lake(spark, recipe)


def evaluate(
    labels: str | Path | Sequence[str | Path] | Sequence[Label],
    recipe: AnyRecipe | None = None,
    *,
    lake: AnyLake | None = None,
    refiner: str | None = None,
) -> Evaluation:
    """Score refiners against labels, beside baselines.

    Args:
        labels: JSON Lines files (.gz), Delta tables or names of tables in a catalog; or labels.
        recipe: refiners, thresholds and engine; None takes the defaults.
        lake: stores the answers, so that a second evaluation pays only for what is missing; None forgets them.
        refiner: name of a refiner, for each stage that it serves; None takes those of the recipe.

    Returns:
        All figures.

    Raises:
        LabelError: there are no labels, or one can't be read.
        RecipeError: there is no lake on a cluster.
        RefinerError, EngineError, SelfTestError: as in `refine`.

    Example:
        >>> from prox_spark import evaluate
        >>> from prox_spark.labels import Label
        >>> evaluate([Label("1", "mine", PAGE, keep=True)], lake=lake).n_labels
        1
    """
    from prox_spark.labels import Label
    from prox_spark.pipeline.evaluate import evaluate_labels, with_refiner
    from prox_spark.pipeline.labels import find_labels

    recipe = with_refiner(_load(recipe), refiner)
    recipe = recipe if lake is None else _with_lake(recipe, lake)
    given = [labels] if isinstance(labels, (str, Path)) else list(labels)
    made = [label for label in given if isinstance(label, Label)]
    places = [str(label) for label in given if not isinstance(label, Label)]
    with progress_unless_logged(), spark_session(recipe) as spark:
        found = find_labels(spark, places) if places or not made else []
        return evaluate_labels(spark, recipe, [*made, *found])


def _load(recipe: AnyRecipe | None) -> Recipe:
    if recipe is None:
        return Recipe()
    return recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)


def _with_lake(recipe: Recipe, lake: AnyLake) -> Recipe:
    if not str(lake):
        raise RecipeError("lake= is empty: give the path or URI of a lake")
    config = lake.config if isinstance(lake, Lake) else LakeConfig(root=str(lake))
    # How the lake is partitioned is a setting of the recipe if the lake itself says nothing of it.
    kept = {} if config.partition_by else {"partition_by": recipe.lake.partition_by}
    return recipe.model_copy(update={"lake": config.model_copy(update=kept)})
