"""Labels: drawn and asked for on a FAKE engine, imported, and read back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_vllm import use_fake_engine
from pyspark.sql import Row
from tiny_tokenizer import bytes_json

from prox_spark.annotation import QUESTIONS
from prox_spark.config import AnnotationConfig, EngineConfig, Recipe
from prox_spark.errors import LabelError, RecipeError, RefinerError
from prox_spark.labels import Label, read_labels, write_labels
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.annotate import AnnotateSummary, annotate_lake, draw_sample, teacher_stages
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.labels import find_labels
from prox_spark.programs import Operation, OpName, execute
from prox_spark.report.summaries import describe_annotate
from prox_spark.runs.run import Run

pytestmark = pytest.mark.spark

CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}<|im_start|>assistant{{ '\\n' }}"
N_DOCUMENTS, N_ASKED = 12, 8


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A teacher without weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny-instruct"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 8192}))
    (folder / "tokenizer.json").write_text(bytes_json())
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHAT}))
    return str(folder)


def recipe(root: str, **annotation: object) -> Recipe:
    return Recipe.parse({"lake": {"root": root}, "engine": {"device": "cpu"}, "annotation": annotation})


@pytest.fixture(scope="module")
def asked(
    spark: Any, teacher: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Recipe, AnnotateSummary]]:
    """A lake after a teacher was asked about two thirds of its documents; engines that start later are FAKE too."""
    folder = tmp_path_factory.mktemp("annotate")
    pages = [f"Menu {n}\n" + "\n".join(f"Line {m} of page {n}" for m in range(n + 2)) for n in range(N_DOCUMENTS)]
    rows = [{"id": f"page-{n}", "text": page, "source": "ab"[n % 2]} for n, page in enumerate(pages)]
    (folder / "pages.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"id": "empty", "text": " "}])))
    made = recipe(
        str(folder / "lake"), teacher=teacher, documents=N_ASKED, max_chunk_tokens=100, chunks=2, label_set="fake"
    )
    ingest(
        spark,
        made.model_copy(update={"input": Recipe.parse({"input": {"paths": [str(folder / "pages.jsonl")]}}).input}),
    )
    with use_fake_engine(spark):
        yield made, annotate_lake(spark, made, export=str(folder / "export.jsonl"))


def rows_of(spark: Any, recipe: Recipe, table: str) -> list[Row]:
    return Lake(spark, recipe.lake).read(table).collect()


def test_each_document_is_scored_once_and_each_chunk_has_a_program_of_each_kind(
    spark: Any, asked: tuple[Recipe, AnnotateSummary]
) -> None:
    made, summary = asked
    generations = rows_of(spark, made, "generations")
    n_by_stage = Counter(row["stage"] for row in generations)
    assert n_by_stage.keys() == {question.stage for question in QUESTIONS}
    assert n_by_stage["annotate_edu"] == n_by_stage["annotate_format"] == N_ASKED
    assert all(row["output_text"] is not None and row["prompt_tokens"] > 100 for row in generations)
    labels = rows_of(spark, made, "labels")
    chunks = [row for row in labels if ":" in row["label_id"]]
    assert len(labels) == N_ASKED + len(chunks)
    assert n_by_stage["annotate_litter"] == len({row["text"] + str(row["first_line"]) for row in chunks})
    assert {len(row["generation_keys"]) for row in chunks} == {3}
    assert max(Counter(row["doc_id"] for row in chunks).values()) == made.annotation.chunks
    assert summary.n_documents == N_ASKED and summary.run.counts["generations"] == len(generations)


def test_a_label_says_what_follows_from_the_answers_or_why_it_is_none(
    spark: Any, asked: tuple[Recipe, AnnotateSummary]
) -> None:
    made, summary = asked
    documents = {row["doc_id"]: row for row in rows_of(spark, made, "documents")}
    answers = {row["generation_key"]: row for row in rows_of(spark, made, "generations")}
    labels = rows_of(spark, made, "labels")
    for row in labels:
        said = {answers[key]["stage"]: answers[key]["output_text"] for key in row["generation_keys"]}
        if ":" not in row["label_id"]:
            edu, form = int(said["annotate_edu"]), int(said["annotate_format"])
            assert (row["edu"], row["format"], row["ops"], row["reason"]) == (edu, form, None, None)
            assert row["keep"] == (edu >= 3 or (edu == 2 and form >= 4))
            assert row["text"] == documents[row["doc_id"]]["text"]
        elif row["first_line"] and any(text.startswith("remove") for text in said.values()):
            # The FAKE engine removes line 0 of every chunk.
            assert (row["reason"], row["ops"], row["keep"]) == ("bad_program", None, None)
            assert "range_outside" in row["message"]
        else:
            removes = any(text.startswith("remove") for text in said.values())
            assert [tuple(op) for op in row["ops"]] == [("remove_lines", 0, 0, None, None)] * removes
    assert summary.rejected == {"bad_program": sum(row["reason"] is not None for row in labels)}
    assert summary.rejected["bad_program"] > 0 and summary.n_labels == {
        "fake": len(labels) - summary.rejected["bad_program"]
    }


def test_a_run_says_what_it_cost(spark: Any, asked: tuple[Recipe, AnnotateSummary]) -> None:
    made, summary = asked
    (row,) = [row for row in rows_of(spark, made, "runs") if row["command"] == "annotate" and not row["error"]][:1]
    generations = rows_of(spark, made, "generations")
    assert row["prompt_tokens"] >= sum(g["prompt_tokens"] for g in generations if g["run_id"] == row["run_id"]) > 0
    assert {w["stage"] for w in row["engine_waves"]} == {question.stage for question in QUESTIONS}
    text = describe_annotate(summary)
    assert f"{N_ASKED} documents" in text and "tokens/s" in text and "rejected, bad_program" in text


def test_an_export_is_read_as_the_labels_of_the_lake(spark: Any, asked: tuple[Recipe, AnnotateSummary]) -> None:
    made, summary = asked
    assert summary.exported is not None
    exported = list(read_labels(Path(summary.exported[0])))
    assert exported == find_labels(spark, [f"{made.lake.root}/labels#fake"]) and len(exported) == summary.exported[1]
    for label in exported:
        if label.ops and not label.first_line:
            assert execute(label.text, "\n".join(map(str, label.ops))).removed


@pytest.mark.long
def test_a_second_run_pays_only_for_what_is_missing(spark: Any, asked: tuple[Recipe, AnnotateSummary]) -> None:
    made, first = asked
    before = {row["label_id"]: row for row in rows_of(spark, made, "labels")}
    # Programs are for other chunks now, scores are as they were.
    other = made.model_copy(update={"annotation": made.annotation.model_copy(update={"max_chunk_tokens": 60})})
    changed = annotate_lake(spark, other)
    asked_now = {wave.stage for wave in changed.run.engine_waves}
    assert asked_now == {question.stage for question in QUESTIONS if not question.asks_for_score}
    assert changed.run.engine_total("starts") == 0
    after = {row["label_id"]: row for row in rows_of(spark, made, "labels")}
    documents = {label_id for label_id in before if ":" not in label_id}
    assert {label_id: after[label_id] for label_id in documents} == {i: before[i] for i in documents}
    assert {row["run_id"] for row in after.values()} == {first.run.run_id, changed.run.run_id}
    assert sum(changed.n_labels.values()) + sum(changed.rejected.values()) == len(after), (
        "labels of old chunks are left"
    )


def test_a_refiner_is_no_teacher() -> None:
    with pytest.raises(RefinerError, match="web-135m is no teacher"):
        teacher_stages(recipe("lake", teacher="web-135m"))


def test_a_teacher_at_an_endpoint_has_one_name(tmp_path: Path) -> None:
    two = {"endpoint": "https://llm.example.org/v1", "endpoint_model": {"doc": "one", "chunk": "two"}}
    (tmp_path / "config.json").write_text("{}")
    asking = recipe("lake", teacher=str(tmp_path)).model_copy(update={"engine": EngineConfig.model_validate(two)})
    with pytest.raises(RecipeError, match=r"engine\.endpoint_model .* set it to the teacher's name"):
        teacher_stages(asking)


def test_an_export_to_a_store_is_refused_before_anything_is_paid_for(spark: Any, lake_root: str) -> None:
    with pytest.raises(RecipeError, match=r"--export .* s3://a/b is a URI"):
        annotate_lake(spark, recipe(lake_root), export="s3://a/b")


def test_a_run_that_paid_for_nothing_says_so() -> None:
    run = Run("annotate", Recipe())
    run.count(generations=0)
    text = describe_annotate(AnnotateSummary(run, 8, {"mine": 20}, {"bad_program": 3}))
    assert "8 documents, 20 labels in the set mine" in text and "no engine was started" in text
    assert "rejected, bad_program" in text and "tokens" not in text


def test_documents_are_drawn_in_turns_from_each_source_and_length(spark: Any) -> None:
    words = {"a": [5] * 40 + [150] * 3, "b": [5] * 10}
    rows = [
        (f"{source}{n}", "x", "w " * n_words, n_words, source)
        for source, lengths in words.items()
        for n, n_words in enumerate(lengths)
    ]
    columns = "doc_id string, content_sha256 string, text string, n_words long, source string"
    documents = spark.createDataFrame([*rows, ("none", "x", "", 0, "a")], columns)

    def drawn(n_documents: int, seed: int = 0) -> set[str]:
        config = AnnotationConfig(documents=n_documents, seed=seed)
        return {row["doc_id"] for row in documents.transform(draw_sample(config)).collect()}

    small, large, everything = drawn(9), drawn(20), drawn(1000)
    assert small < large < everything == {row[0] for row in rows}
    of = {row[0]: (row[4], row[3]) for row in rows}
    assert Counter(of[doc_id] for doc_id in small) == {("a", 5): 3, ("a", 150): 3, ("b", 5): 3}
    assert Counter(of[doc_id] for doc_id in large)[("a", 150)] == 3
    assert drawn(9) == small != drawn(9, seed=1)


def test_labels_are_imported_once_and_read_back(spark: Any, lake_root: str, tmp_path: Path) -> None:
    labels = [
        Label("a", "gold", "A page", keep=True, edu=3, format=4),
        Label("b:7-8", "gold", "Menu\nA page", first_line=7, ops=(Operation(OpName.REMOVE_LINES, 7, 7),)),
        Label("c", "gold", "A page", ops=()),
    ]
    write_labels(tmp_path / "gold.jsonl", labels)
    (tmp_path / "lines.jsonl").write_text(json.dumps({"id": "p", "lines": ["Menu", "Text"], "keep": [0, 1]}))
    files = [str(tmp_path / "gold.jsonl"), str(tmp_path / "lines.jsonl")]
    summary = annotate_lake(spark, recipe(lake_root), files)
    assert summary.n_labels == {"gold": 3, "lines": 1}
    lake = Lake(spark, recipe(lake_root).lake)
    assert find_labels(spark, [f"{lake_root}/labels#gold"]) == labels
    assert find_labels(spark, [f"{lake_root}/labels#lines"]) == [
        Label("p", "lines", "Menu\nText", ops=(Operation(OpName.REMOVE_LINES, 0, 0),))
    ]
    # One label says something else now; the others keep the run that brought them.
    write_labels(tmp_path / "gold.jsonl", [*labels[:2], Label("c", "gold", "A page", keep=False)])
    second = annotate_lake(spark, recipe(lake_root), files[:1])
    runs = {row["label_id"]: row["run_id"] for row in lake.read("labels").collect()}
    assert runs == dict.fromkeys(["a", "b:7-8", "p"], summary.run.run_id) | {"c": second.run.run_id}
    with pytest.raises(LabelError, match=r"no labels in .*/labels#silver"):
        find_labels(spark, [f"{lake_root}/labels#silver"])


def test_an_id_that_is_twice_in_a_file_is_an_error_that_names_it(
    spark: Any, asked: tuple[Recipe, AnnotateSummary], tmp_path: Path
) -> None:
    write_labels(tmp_path / "twice.jsonl", [Label("a", "x", "A page", keep=True)] * 2)
    with pytest.raises(LabelError, match=r"twice\.jsonl: the id 'a' is there twice in the set 'one'"):
        annotate_lake(spark, recipe(asked[0].lake.root or "", label_set="one"), [str(tmp_path / "twice.jsonl")])
