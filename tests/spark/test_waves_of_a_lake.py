"""Waves as ranges of buckets, over real tables: with a FAKE engine, an older lake, and another run beside."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_vllm import use_fake_engine
from pyspark.sql import functions as F
from tiny_tokenizer import bytes_json
from weightless import write_weightless

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import LakeError
from prox_spark.lake.buckets import EVERY, Buckets, bucket_of
from prox_spark.lake.lake import Lake
from prox_spark.lake.tables import TOLD_APART
from prox_spark.pipeline import refine as refine_module
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake

pytestmark = pytest.mark.spark

N_DOCUMENTS = 12
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 32, "drop_threshold": 0.8},
    "chunk": {"template": "plain", "max_chunk_tokens": 128, "max_answer_tokens": 16},
}
COLUMNS = ("doc_id", "text", "status", "words_before", "words_after")


@pytest.fixture(scope="module", autouse=True)
def fake_engine(spark: Any) -> Iterator[None]:
    with use_fake_engine(spark):
        yield


@pytest.fixture(scope="module")
def lakes(spark: Any, fake_engine: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recipe]:
    """One lake with documents and one that is refined, for copies."""
    folder = tmp_path_factory.mktemp("lakes")
    texts = [
        "\n".join(f"Line {line} of page {n}, which is as ordinary as most pages are" for line in range(4))
        for n in range(N_DOCUMENTS)
    ]
    pages = [json.dumps({"id": f"doc-{n}", "text": text}) for n, text in enumerate(texts)]
    (folder / "pages.jsonl").write_text("\n".join(pages))
    refiner = folder / "refiner"
    refiner.mkdir()
    (refiner / "tokenizer.json").write_text(bytes_json())
    name = write_weightless(refiner, context_tokens=512, tasks=TASKS)
    recipe = Recipe.parse(
        {
            "input": {"paths": [str(folder / "pages.jsonl")]},
            "lake": {"root": str(folder / "ingested")},
            "refiners": {"doc": name, "chunk": name},
            "engine": {"device": "cpu"},
            "waves": {"documents": 6},
            "self_test": {"enabled": False},  # the FAKE's answers are no refiner's
        }
    )
    ingest(spark, recipe)
    shutil.copytree(folder / "ingested", folder / "refined")
    refined = at(recipe, folder / "refined")
    refine_lake(spark, refined)
    return {"ingested": recipe, "refined": refined}


def at(recipe: Recipe, root: Path | str) -> Recipe:
    """The recipe for another lake."""
    return recipe.model_copy(update={"lake": recipe.lake.model_copy(update={"root": str(root)})})


@pytest.fixture
def ingested(lakes: dict[str, Recipe], lake_root: str) -> Recipe:
    return at(lakes["ingested"], shutil.copytree(str(lakes["ingested"].lake.root), lake_root))


@pytest.fixture
def refined(lakes: dict[str, Recipe], lake_root: str) -> Recipe:
    return at(lakes["refined"], shutil.copytree(str(lakes["refined"].lake.root), lake_root))


def rows(lake: Lake, table: str, *columns: str) -> list[Any]:
    return sorted(map(tuple, lake.read(table).select(*columns).collect()))


def operations(spark: Any, lake: Lake, table: str) -> list[str]:
    return [row["operation"] for row in spark.sql(f"DESCRIBE HISTORY {lake.identifier(table)}").collect()]


def test_ranges_hold_every_row_once_with_buckets_without_and_where_the_column_lacks(spark: Any) -> None:
    ids = spark.range(1000).select(F.col("id").cast("string").alias("doc_id"))
    half = F.when(F.col("doc_id") % 2 == 0, bucket_of(F.col("doc_id")))
    parts = [Buckets(0, 9_999), Buckets(10_000, 10_000), Buckets(10_001, schemas.N_BUCKETS - 1)]
    for table in (ids, ids.withColumn("doc_bucket", half), ids.withColumn("doc_bucket", F.lit(None).cast("int"))):
        found = Counter(row["doc_id"] for part in parts for row in part.of(table).collect())
        assert found == Counter(str(n) for n in range(1000))
        assert EVERY.of(table).count() == 1000


def test_rows_of_all_tables_have_their_bucket_and_a_wave_s_files_hold_its_range(spark: Any, refined: Recipe) -> None:
    lake = Lake(spark, refined.lake)
    for table in ("documents", "programs", "refined"):
        frame = lake.read(table)
        assert frame.where(~F.col("doc_bucket").eqNullSafe(bucket_of(F.col("doc_id")))).isEmpty()
    bounds = (
        lake.read("refined")
        .groupBy(F.col("_metadata.file_path"))
        .agg(F.min("doc_bucket"), F.max("doc_bucket"), F.countDistinct("run_id"))
    )
    # Files of different waves do not overlap.
    ranges = sorted({(row[1], row[2]) for row in bounds.collect()})
    assert len(ranges) > 1
    assert operations(spark, lake, "refined").count("MERGE") == 0
    assert operations(spark, lake, "programs").count("MERGE") == 0


def test_a_lake_whose_tables_lack_the_column_is_refined_as_one_that_has_it(spark: Any, refined: Recipe) -> None:
    older = at(refined, f"{refined.lake.root}-older")
    new, old = Lake(spark, refined.lake), Lake(spark, older.lake)
    new.read("documents").drop("doc_bucket").write.format("delta").save(old.location("documents"))
    assert sum(refine_lake(spark, older).statuses.values()) == N_DOCUMENTS
    assert rows(old, "refined", *COLUMNS) == rows(new, "refined", *COLUMNS)
    assert old.read("documents").where("doc_bucket IS NOT NULL").isEmpty()
    # What comes now has buckets, and lies beside what has none.
    more = Path(older.lake.root or "").with_suffix(".jsonl")
    # Its keys are names that the plan might take for its own.
    page = {
        "id": "doc-new",
        "text": "One more page, which is as ordinary as most pages are",
        "replaced": 1,
        "stays": True,
    }
    more.write_text(json.dumps(page))
    ingest(spark, older.model_copy(update={"input": older.input.model_copy(update={"paths": [str(more)]})}))
    assert refine_lake(spark, older).n_pending == 1
    assert len(rows(old, "refined", "doc_id")) == N_DOCUMENTS + 1


def test_a_column_of_the_input_by_the_name_of_ours_is_named_and_nothing_written(spark: Any, ingested: Recipe) -> None:
    older = at(ingested, f"{ingested.lake.root}-older")
    documents = Lake(spark, ingested.lake).read("documents").withColumn("doc_bucket", F.col("doc_id"))
    documents.write.format("delta").save(Lake(spark, older.lake).location("documents"))
    for run in (ingest, refine_lake):
        with pytest.raises(LakeError, match="column doc_bucket that is not ours, of type string: rename it"):
            run(spark, older)
    assert operations(spark, Lake(spark, older.lake), "documents") == ["WRITE"]


def test_a_run_beside_which_another_refined_the_same_leaves_every_row_once(
    spark: Any, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = refine_module._refine_in_waves

    def after_another(*arguments: Any) -> None:
        monkeypatch.setattr(refine_module, "_refine_in_waves", real)
        refine_lake(spark, ingested)
        real(*arguments)

    monkeypatch.setattr(refine_module, "_refine_in_waves", after_another)
    done = refine_lake(spark, ingested)
    lake = Lake(spark, ingested.lake)
    assert done.run.counts["generations"] == 0
    assert len(rows(lake, "refined", "doc_id")) == N_DOCUMENTS
    assert doubled(lake) == []


def another_appends(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    """Commit the same rows as another run, in front of the first commit to each of `TOLD_APART`."""
    real, waiting = Lake.append, set(TOLD_APART)

    def append(self: Lake, name: str, rows: Any, *arguments: Any, **options: Any) -> None:
        if name in waiting:
            waiting.remove(name)
            other = rows.withColumn("run_id", F.lit("another"))
            real(Lake(lake.spark, lake.config), name, other, "another", new_columns=True)
        real(self, name, rows, *arguments, **options)

    monkeypatch.setattr(Lake, "append", append)


def doubled(lake: Lake) -> list[str]:
    """Tables with a key that more than one row has."""
    keys = {table.name: rows(lake, table.name, *table.key) for table in schemas.TABLES if table.name in TOLD_APART}
    return [name for name, found in keys.items() if len(found) > len(set(found))]


def test_a_commit_of_another_run_at_the_same_moment_doubles_no_row(
    spark: Any, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(spark, ingested.lake)
    another_appends(monkeypatch, lake)
    assert sum(refine_lake(spark, ingested).statuses.values()) == N_DOCUMENTS
    assert doubled(lake) == []
    for table in TOLD_APART:
        # One took out the doubled rows; the second wave took no more chances.
        assert operations(spark, lake, table)[:4] == ["MERGE", "MERGE", "WRITE", "WRITE"]
    assert (refine_lake(spark, ingested).n_pending, doubled(lake)) == (0, [])
    later = Lake(spark, ingested.lake)
    later.versions()
    assert not later.beside_others  # the commit that took them out says so


def test_what_a_killed_run_has_doubled_is_mended_by_the_next_also_when_commits_came_after(
    spark: Any, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(spark, ingested.lake)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    another_appends(monkeypatch, lake)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Lake, "take_out_doubles", killed)
        refine_lake(spark, ingested)
    assert doubled(lake) == ["programs"]
    one_more = lake.read("programs").limit(1).withColumns({"doc_id": F.lit("of it"), "run_id": F.lit("a third")})
    lake.compact("programs", "a user")
    lake.append("programs", one_more, "a third")
    assert sum(refine_lake(spark, ingested).statuses.values()) == N_DOCUMENTS
    assert doubled(lake) == []


def test_documents_that_are_in_refined_twice_are_mended_without_a_sign(spark: Any, refined: Recipe) -> None:
    lake = Lake(spark, refined.lake)
    before = rows(lake, "refined", *COLUMNS)
    twice = lake.read("refined").orderBy("doc_id").limit(3)
    # One of them of the run that brought it.
    renamed = F.when(F.col("doc_id") > "doc-0", "another").otherwise(F.col("run_id"))
    lake.append("refined", twice.withColumn("run_id", renamed), "another")
    assert doubled(lake) == ["refined"]
    done = refine_lake(spark, refined)
    assert (done.n_pending, sum(done.statuses.values())) == (0, N_DOCUMENTS)
    assert rows(lake, "refined", *COLUMNS) == before


def test_what_a_killed_run_has_doubled_is_mended_by_one_that_ran_beside_it(
    spark: Any, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(spark, ingested.lake)
    real = refine_module._refine_in_waves

    def then_another_appends(*arguments: Any) -> None:
        real(*arguments)
        row = lake.read("programs").limit(1).withColumn("run_id", F.lit("killed"))
        Lake(spark, ingested.lake).append("programs", row, "killed")

    monkeypatch.setattr(refine_module, "_refine_in_waves", then_another_appends)
    refine_lake(spark, ingested)
    assert doubled(lake) == []


def test_what_another_run_has_asked_meanwhile_is_not_asked_again(
    spark: Any, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, n_waves = GenerateMissing.__call__, 0

    def beside_another(self: Any, prompts: Any, stage: Any, wave: int, label: str) -> Any:
        nonlocal n_waves
        n_waves += 1
        if n_waves == 2:  # the first wave has asked its documents
            monkeypatch.setattr(GenerateMissing, "__call__", real)
            refine_lake(spark, ingested)
        return real(self, prompts, stage, wave, label)

    monkeypatch.setattr(GenerateMissing, "__call__", beside_another)
    refine_lake(spark, ingested)
    lake = Lake(spark, ingested.lake)
    keys = rows(lake, "generations", "generation_key")
    assert len(keys) == len(set(keys))


@pytest.fixture(params=["by path", "in a catalog"])
def anywhere(request: pytest.FixtureRequest, spark: Any, ingested: Recipe) -> Iterator[Recipe]:
    """A lake with documents; Spark forgets what it has persisted of tables in a catalog by their names."""
    if request.param == "by path":
        yield ingested
        return
    documents = Lake(spark, ingested.lake).location("documents")
    spark.sql(f"CREATE SCHEMA prox_waves LOCATION '{ingested.lake.root}-catalog'")
    spark.sql(f"CREATE TABLE prox_waves.documents USING delta LOCATION '{documents}'")
    lake = ingested.lake.model_copy(update={"root": None, "catalog": "spark_catalog.prox_waves"})
    yield ingested.model_copy(update={"lake": lake})
    spark.sql("DROP SCHEMA prox_waves CASCADE")


def test_a_run_after_one_that_was_killed_asks_for_what_lacks(
    spark: Any, anywhere: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested = anywhere

    real, n_stages = GenerateMissing.__call__, 0

    def killed(self: Any, prompts: Any, stage: Any, *arguments: Any) -> Any:
        nonlocal n_stages
        n_stages += 1
        if n_stages == 2:  # documents were asked, chunks were not
            raise KeyboardInterrupt
        # Some of the prompts: then the next run has a frame of those that lack.
        return real(self, prompts.limit(2), stage, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(GenerateMissing, "__call__", killed)
        refine_lake(spark, ingested)
    lake = Lake(spark, ingested.lake)
    n_kept = len(rows(lake, "generations", "generation_key"))
    assert n_kept
    read, real_book = list[Any](), GenerateMissing._book

    def book(self: Any, answers: Any, *arguments: Any) -> None:
        real_book(self, answers, *arguments)
        read.extend(answers.select("generation_key", "answered_at").collect())

    monkeypatch.setattr(GenerateMissing, "_book", book)
    done = refine_lake(spark, ingested)
    # What is applied are the answers that were committed, not others to the same prompts.
    assert set(map(tuple, read)) <= set(rows(lake, "generations", "generation_key", "answered_at"))
    n_all = len(rows(lake, "generations", "generation_key"))
    assert (done.run.counts["generations"], sum(done.statuses.values())) == (n_all - n_kept, N_DOCUMENTS)
    assert doubled(lake) == []


def test_another_recipe_replaces_the_rows_of_the_one_before(spark: Any, refined: Recipe) -> None:
    stricter = refined.model_copy(update={"apply": refined.apply.model_copy(update={"min_words": 1_000})})
    done = refine_lake(spark, stricter)
    assert (done.n_pending, done.run.counts["generations"]) == (N_DOCUMENTS, 0)
    assert set(done.statuses) <= {"blanked_short", "dropped_doc"}
    assert len(rows(Lake(spark, refined.lake), "refined", "doc_id")) == N_DOCUMENTS


def test_small_files_are_joined_now_and_then_and_waves_are_still_appended(
    spark: Any, ingested: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prox_spark.pipeline.applying.commit._COMPACT_EVERY", 2)
    refine_lake(spark, ingested)
    lake = Lake(spark, ingested.lake)
    for table in ("generations", "programs", "refined"):
        done = operations(spark, lake, table)
        assert "OPTIMIZE" in done and "MERGE" not in done
        n_written = sum(operation == "WRITE" for operation in done)
        assert spark.sql(f"DESCRIBE DETAIL {lake.identifier(table)}").first()["numFiles"] <= n_written
    assert len(rows(lake, "refined", "doc_id")) == N_DOCUMENTS
    assert refine_lake(spark, ingested).n_pending == 0


def test_a_document_that_two_runs_left_in_both_tables_is_mended_by_the_next(spark: Any, refined: Recipe) -> None:
    lake = Lake(spark, refined.lake)
    row = lake.read("refined").orderBy("doc_id").limit(1)
    timed_out = row.select("doc_id", "content_sha256", "recipe_fingerprint").withColumns(
        {
            name: F.lit(value)
            for name, value in {"quarantine_id": "q", "stage": "doc", "reason": "request_timeout"}.items()
        }
    )
    lake.append("quarantine", timed_out, "another")
    done = refine_lake(spark, refined)
    assert (done.n_pending, sum(done.statuses.values())) == (1, N_DOCUMENTS)
    assert lake.read("quarantine").isEmpty()
