"""The main job on real parts: Delta tables, the shipped refiner, vLLM on CPU. One engine serves the whole module."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from prox_spark.config import Recipe
from prox_spark.demo import PAGES
from prox_spark.engine.executor import Owner
from prox_spark.engine.resident import running
from prox_spark.pipeline import refine as refine_module
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import RefineSummary, refine_lake
from prox_spark.schemas import TABLES
from prox_spark.tables import Lake

pytestmark = [pytest.mark.engine, pytest.mark.spark]


def recipe(root: str, *overrides: str) -> Recipe:
    return Recipe.load(None, [f"lake.root={root}", "engine.device=cpu", *overrides])


def write_lines(path: Path, lines: list[bytes]) -> str:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


def sample(path: Path, n: int) -> str:
    return write_lines(path, PAGES.read_bytes().splitlines()[:n])


@pytest.fixture
def refined(spark: Any, lake_root: str, tmp_path: Path) -> Callable[..., RefineSummary]:
    """Ingests files into the lake and refines it."""

    def run(path: str | None, *overrides: str) -> RefineSummary:
        if path:
            ingest(spark, recipe(lake_root, f"input.paths=[{path}]"))
        return refine_lake(spark, recipe(lake_root, *overrides))

    return run


def versions(spark: Any, root: str) -> dict[str, int]:
    return {name: n for name, n in Lake(spark, recipe(root).lake).versions().items() if name != "runs"}


def engine_ids(spark: Any) -> set[str]:
    jvm = Owner.of(psutil.Process(int(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())))
    return {engine.engine_id for engine in running(jvm)}


def test_pages_come_out_refined_with_one_engine_and_a_second_run_pays_nothing(
    spark: Any, lake_root: str, tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    summary = refined(sample(tmp_path / "pages.jsonl", 14))
    assert sum(summary.statuses.values()) == summary.n_pending == 14
    assert summary.statuses.get("edited") or summary.statuses.get("dropped_doc"), "the refiner acted on nothing"
    assert len(engine_ids(spark)) == 1
    run = spark.read.format("delta").load(f"{lake_root}/runs").where("command = 'refine'").first()
    assert run["status"] == "succeeded" and run["engine_starts"] == 1
    assert run["prompt_tokens"] > 14 * 20 and run["counts"]["generations"] >= 14

    # Lineage holds: what is left of the raw text is the raw text without the removed lines.
    documents = spark.read.format("delta").load(f"{lake_root}/documents").select("doc_id", "text")
    edited = spark.read.format("delta").load(f"{lake_root}/refined").where("status = 'edited' and size(normalized) = 0")
    for row in edited.withColumnRenamed("text", "after").join(documents, on="doc_id", how="inner").collect():
        gone = {n for span in row["removed"] for n in range(span["line_start"], span["line_end"] + 1)}
        assert row["after"] == "\n".join(line for n, line in enumerate(row["text"].split("\n")) if n not in gone)

    before, engines = versions(spark, lake_root), engine_ids(spark)
    again = refined(None)
    assert again.n_pending == 0 and again.run.counts["generations"] == 0 and again.run.engine_starts == 0
    assert again.statuses == summary.statuses
    assert versions(spark, lake_root) == before and engine_ids(spark) == engines


def test_another_threshold_is_applied_without_asking_the_engine(
    tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    first = refined(sample(tmp_path / "pages.jsonl", 6), "generation.chunk_below=1.0")
    strictest = refined(None, "generation.chunk_below=1.0", "apply.drop_threshold=0.0")
    assert first.run.counts["generations"] > 0 and strictest.run.counts["generations"] == 0
    # A document that never saw the model has no probability: a text without words stays what it was.
    assert strictest.statuses.keys() <= {"dropped_doc", "blanked_short"} and strictest.statuses["dropped_doc"] >= 4


def test_run_that_failed_after_generating_pays_nothing_when_started_again(
    spark: Any, tmp_path: Path, refined: Callable[..., RefineSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, *_: object) -> None: ...

        def __call__(self, *_: object) -> None:
            raise RuntimeError("the driver was lost here")

    with monkeypatch.context() as patched:
        patched.setattr(refine_module, "ApplyStage", Broken)
        with pytest.raises(RuntimeError, match="lost here"):
            refined(sample(tmp_path / "pages.jsonl", 5))
    resumed = refined(None)
    assert resumed.n_pending == 5 and resumed.run.counts["generations"] == 0
    assert sum(resumed.statuses.values()) == 5
    runs = spark.read.format("delta").load(f"{tmp_path}/lake/runs").where("command = 'refine'")
    assert {row["status"] for row in runs.collect()} == {"failed", "succeeded"}


def test_waves_change_nothing_but_the_number_of_commits(
    spark: Any, lake_root: str, tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    from delta.tables import DeltaTable

    refined(sample(tmp_path / "pages.jsonl", 6))
    table = f"{lake_root}/refined"
    whole = {row["doc_id"]: (row["text"], row["status"]) for row in spark.read.format("delta").load(table).collect()}
    other = str(tmp_path / "in-waves")
    ingest(spark, recipe(other, f"input.paths=[{tmp_path / 'pages.jsonl'}]"))
    refine_lake(spark, recipe(other, "waves.documents=2"))
    commits = DeltaTable.forPath(spark, f"{other}/generations").history().where("operation = 'WRITE'").count()
    assert commits > 2, "there was one wave"
    rows = spark.read.format("delta").load(f"{other}/refined").collect()
    assert {row["doc_id"]: (row["text"], row["status"]) for row in rows} == whole


def test_bad_documents_are_accounted_for_and_the_ordinary_one_is_refined(
    spark: Any, lake_root: str, tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    ordinary = json.loads(PAGES.read_bytes().splitlines()[0])["text"]
    lines = [
        json.dumps({"id": "empty", "text": ""}).encode(),
        json.dumps({"id": "null", "text": None}).encode(),
        json.dumps({"id": "huge", "text": "five megabytes " * 350_000}).encode(),
        b'{"id": "bytes", "text": "not \xff\xfe UTF-8"}',
        json.dumps({"id": "ordinary", "text": ordinary}).encode(),
    ]
    summary = refined(write_lines(tmp_path / "five.jsonl", lines))
    assert sum(summary.statuses.values()) == 2
    statuses = {
        row["doc_id"]: row["status"] for row in spark.read.format("delta").load(f"{lake_root}/refined").collect()
    }
    assert statuses["empty"] == "blanked_short" and statuses["ordinary"] in ("edited", "kept_unchanged", "dropped_doc")
    reasons = {row["reason"] for row in spark.read.format("delta").load(f"{lake_root}/quarantine").collect()}
    assert reasons == {"null_text", "text_too_long", "invalid_utf8"}


def test_prompt_over_the_context_is_quarantined_and_nowhere_else(
    spark: Any, lake_root: str, tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    lines = [json.dumps({"id": "long-line", "text": "word " * 4000}).encode(), PAGES.read_bytes().splitlines()[1]]
    before = refined(write_lines(tmp_path / "long.jsonl", lines), "apply.drop_threshold=1.0")
    assert "quarantined" not in before.statuses
    # In reference packing a line over the budget is a chunk of its own, here far over the context.
    summary = refined(None, "generation.packing=reference", "apply.drop_threshold=1.0")
    assert summary.statuses["quarantined"] == 1 and sum(summary.statuses.values()) == 2
    [row] = spark.read.format("delta").load(f"{lake_root}/quarantine").collect()
    assert (row["doc_id"], row["stage"], row["reason"]) == ("long-line", "chunk", "prompt_too_long")
    assert spark.read.format("delta").load(f"{lake_root}/refined").where("doc_id = 'long-line'").isEmpty()


def test_document_whose_request_timed_out_is_asked_again_by_the_next_run(
    spark: Any, lake_root: str, tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    first = refined(sample(tmp_path / "pages.jsonl", 4))
    table = f"delta.`{lake_root}"
    # As a run leaves it whose engine did not answer one document in time.
    [victim] = spark.sql(f"select * from {table}/programs` where chunk_index = -1 limit 1").collect()
    key, document = victim["generation_key"], victim["doc_id"]
    spark.sql(
        f"update {table}/generations` set error_code = 'request_timeout', error_message = 'no answer', output_text = null, "
        f"drop_probability = null where generation_key = '{key}'"
    )
    spark.sql(f"delete from {table}/refined` where doc_id = '{document}'")
    spark.sql(
        f"insert into {table}/quarantine` (quarantine_id, doc_id, content_sha256, stage, reason, recipe_fingerprint) values "
        f"('q', '{document}', '{victim['content_sha256']}', 'doc', 'request_timeout', '{victim['recipe_fingerprint']}')"
    )
    again = refined(None)
    assert again.n_pending == 1 and again.run.counts["generations"] == 1
    assert again.statuses == first.statuses
    assert spark.read.format("delta").load(f"{lake_root}/quarantine").where(f"doc_id = '{document}'").isEmpty()


def test_delta_rs_reads_every_table(
    spark: Any, lake_root: str, tmp_path: Path, refined: Callable[..., RefineSummary]
) -> None:
    from deltalake import DeltaTable, QueryBuilder

    refined(sample(tmp_path / "pages.jsonl", 20), "apply.drop_threshold=0.9")
    # A second text for the same id, so that tables with deletion vectors have some.
    changed = json.loads(PAGES.read_bytes().splitlines()[0]) | {"text": "Another text altogether.\n" * 12}
    refined(write_lines(tmp_path / "changed.jsonl", [json.dumps(changed).encode()]), "apply.drop_threshold=0.9")
    for table in TABLES:
        mine = spark.read.format("delta").load(f"{lake_root}/{table.name}").count()
        theirs = (
            QueryBuilder().register("t", DeltaTable(f"{lake_root}/{table.name}")).execute("select count(*) as n from t")
        )
        assert theirs.read_all()["n"][0].as_py() == mine > 0, table.name


@pytest.mark.shared
def test_sixty_real_pages_end_to_end(
    spark: Any, lake_root: str, tmp_path: Path, shared_dir: Path, refined: Callable[..., RefineSummary]
) -> None:
    with gzip.open(shared_dir / "data" / "web_text" / "documents.jsonl.gz") as pages:
        path = write_lines(tmp_path / "web.jsonl", [next(pages).strip() for _ in range(60)])
    summary = refined(path)
    assert sum(summary.statuses.values()) == 60
    assert summary.statuses["edited"] >= 3 and summary.statuses["dropped_doc"] >= 3
    rows = spark.read.format("delta").load(f"{lake_root}/refined")
    assert {"topic_id", "format_id", "url"} <= set(rows.columns), "carried columns were lost"
    assert rows.where("topic_id is null").count() == 0
    programs = spark.read.format("delta").load(f"{lake_root}/programs").where("chunk_index >= 0")
    broken = programs.where(
        "exists(diagnostics, d -> d.code in ('stray_text', 'unknown_operation', 'malformed_arguments'))"
    )
    assert broken.count() <= 0.1 * programs.count()
