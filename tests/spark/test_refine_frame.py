"""Refining any frame, over real tables and with a FAKE engine: columns, odd texts, stored answers, odd frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_vllm import use_fake_engine
from pyspark.sql import functions as F
from tiny_tokenizer import bytes_json
from weightless import write_weightless

from prox_spark import Lake, Recipe, apply, ingest, refine
from prox_spark.errors import ConservationError, ProxSparkError, RecipeError
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.refine_frame import ADDED

TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 32, "drop_threshold": 0.8},
    "chunk": {"template": "plain", "max_chunk_tokens": 128, "max_answer_tokens": 16},
}
PAGES = ["\n".join(f"Line {line} of page {n}, as ordinary as most" for line in range(4)) for n in range(3)]

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module", autouse=True)
def fake_engine(spark: Any) -> Iterator[None]:
    with use_fake_engine(spark):
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("refiner")
    (folder / "tokenizer.json").write_text(bytes_json())
    name = write_weightless(folder, context_tokens=512, tasks=TASKS)
    return Recipe.parse(
        {
            "refiners": {"doc": name, "chunk": name},
            "engine": {"device": "cpu"},
            "input": {"max_text_chars": 300},
            "self_test": {"enabled": False},  # the FAKE's answers are no refiner's
        }
    )


def rows_of(frame: Any, key: str = "page") -> dict[str, dict[str, Any]]:
    return {row[key]: row.asDict(recursive=True) for row in frame.collect()}


def test_every_row_and_column_comes_back_and_equal_texts_are_asked_once(
    spark: Any, recipe: Recipe, lake_root: str
) -> None:
    pages = [("a", PAGES[0], 1), ("b", PAGES[1], 2), ("again", PAGES[0], 3), ("none", None, 4), ("long", "x" * 301, 5)]
    frame = spark.createDataFrame(pages, "page string, text string, `a.b` int")
    refined = refine(frame, recipe, lake=lake_root)
    assert refined.columns == ["page", "text", "a.b", *ADDED]
    found = rows_of(refined)
    assert {page: row["a.b"] for page, row in found.items()} == {page: n for page, _, n in pages}
    assert found["a"]["text"] == found["again"]["text"] and found["a"]["words_before"] == 36
    assert {page: row["status"] == "quarantined" for page, row in found.items()} == {
        "a": False, "b": False, "again": False, "none": True, "long": True
    }  # fmt: skip
    assert found["none"]["failure"] == {"stage": "frame", "reason": "null_text", "message": "the text is null"}
    assert found["long"]["failure"]["message"] == "the text has 301 characters, more than input.max_text_chars = 300"
    assert found["a"]["failure"] is None and found["none"]["text"] is None
    lake = Lake(spark, lake_root)
    assert lake.read("generations").where("stage = 'doc'").count() == 2
    again = refine(frame, recipe, lake=lake)
    assert rows_of(again) == found
    runs = [row.asDict() for row in lake.read("runs").orderBy("started_at").collect()]
    assert [run["command"] for run in runs] == ["refine_frame"] * 2
    assert runs[0]["counts"]["generations"] > 0 == runs[1]["counts"]["generations"]


def test_columns_called_like_ours_are_kept_under_other_names(spark: Any, recipe: Recipe) -> None:
    frame = spark.createDataFrame(
        [("a", PAGES[0], "mine", 1)], "page string, text string, Status string, input_status int"
    )
    refined = refine(frame, recipe)
    assert refined.columns[:4] == ["page", "text", "input_input_Status", "input_status"]
    row = refined.first()
    assert (row["input_input_Status"], row["input_status"]) == ("mine", 1)
    twice = refine(refined, recipe)
    assert len({name.lower() for name in twice.columns}) == len(twice.columns)


def test_a_frame_that_is_another_each_time_it_is_computed_is_refined_as_it_was(spark: Any, recipe: Recipe) -> None:
    words = F.concat(F.lit("A page of ten words and a number beside them: "), F.rand().cast("string"))
    refined = refine(spark.range(4).withColumn("text", words), recipe)
    assert [row["failure"] for row in refined.collect()] == [None] * 4
    assert refined.where("status = 'quarantined'").isEmpty()


def test_a_frame_without_rows_is_refined(spark: Any, recipe: Recipe) -> None:
    assert refine(spark.createDataFrame([], "text string"), recipe).collect() == []


def test_waves_of_a_frame_come_out_together(spark: Any, recipe: Recipe) -> None:
    small = recipe.model_copy(update={"waves": recipe.waves.model_copy(update={"documents": 1})})
    frame = spark.createDataFrame([(text,) for text in PAGES], "text string")
    assert sorted(row["words_before"] for row in refine(frame, small).collect()) == [36, 36, 36]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lambda spark: spark.createDataFrame([("a",)], "body string"), "no column 'text'; it has body"),
        (lambda spark: spark.createDataFrame([(1,)], "text int"), "column 'text' is int"),
        (
            lambda spark: spark.createDataFrame([("a", "b")], "text string, TEXT string"),
            "several columns called TEXT, text",
        ),
        (lambda spark: spark.readStream.format("rate").load(), "is a stream"),
    ],
    ids=["no text", "no string", "doubled", "stream"],
)
def test_a_frame_that_cannot_be_refined_is_refused_before_anything_is_asked(
    spark: Any, recipe: Recipe, frame: Any, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        refine(frame(spark), recipe)


def test_what_is_neither_a_frame_nor_a_lake_is_refused(spark: Any, lake_root: str) -> None:
    with pytest.raises(ProxSparkError, match="takes a DataFrame or a Lake, not '/data/lake'"):
        refine("/data/lake")  # type: ignore[call-overload]
    with pytest.raises(ProxSparkError, match="leave out lake="):
        refine(Lake(spark, lake_root), lake=lake_root)
    with pytest.raises(RecipeError, match="lake= is empty"):
        refine(spark.createDataFrame([("a",)], "text string"), lake="")


def test_answers_that_are_lost_fail_the_run(spark: Any, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    real = GenerateMissing.__call__

    @contextmanager
    def lose(generate: GenerateMissing, *arguments: Any) -> Iterator[Any]:
        with real(generate, *arguments) as generations:
            yield generations.limit(0)

    monkeypatch.setattr(GenerateMissing, "__call__", lose)
    with pytest.raises(ConservationError, match="1 texts have prompts without a generation"):
        refine(spark.createDataFrame([(PAGES[0],)], "text string"), recipe)


def test_a_lake_is_ingested_refined_and_applied_by_its_path(spark: Any, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text(
        '{"id": "a", "text": "A page of exactly ten words, which is enough here, really"}\n'
    )
    root = str(tmp_path / "lake")
    assert ingest(tmp_path / "pages.jsonl", root, recipe).n_new == 1
    assert sum(refine(Lake(spark, root), recipe).statuses.values()) == 1
    stricter = recipe.model_copy(update={"apply": recipe.apply.model_copy(update={"drop_threshold": 0.0})})
    assert apply(root, stricter).statuses == {"dropped_doc": 1}
