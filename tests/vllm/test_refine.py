"""The main job on real parts: Delta tables, the shipped refiner, vLLM on CPU. One engine serves the whole module."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
from pyspark.sql import functions as F
from pyspark.testing import assertDataFrameEqual

from prox_spark.commands import apply as apply_job
from prox_spark.commands import compare
from prox_spark.commands import evaluate as evaluate_job
from prox_spark.config import Recipe
from prox_spark.demo import PAGES
from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.resident import find_running_engines
from prox_spark.errors import SelfTestError
from prox_spark.labels import Label
from prox_spark.lake.lake import Lake
from prox_spark.pipeline import refine as refine_module
from prox_spark.pipeline.annotate import annotate_lake
from prox_spark.pipeline.apply import ApplySummary, apply_lake
from prox_spark.pipeline.compare import compare_settings
from prox_spark.pipeline.evaluate import evaluate_labels
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import RefineSummary, refine_lake
from prox_spark.programs import execute_reference
from prox_spark.quality import sample as self_test_sample
from prox_spark.refiners.registry import CARDS
from prox_spark.report.summaries import describe_apply
from prox_spark.schemas import TABLES

pytestmark = [pytest.mark.engine, pytest.mark.spark]

# Of the demo's pages: two that are kept and edited, one without words, two that are dropped; none is long.
CHOSEN = (0, 1, 2, 3, 5)
N_PAGES = len(CHOSEN)
# The sample lake's run tests its refiner; another of the same one need not.
TESTED = "self_test.enabled=false"


def recipe(root: str, *overrides: str) -> Recipe:
    return Recipe.load(None, [f"lake.root={root}", "engine.device=cpu", *overrides])


def write_lines(path: Path, lines: list[bytes]) -> str:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


def sample(path: Path, n: int) -> str:
    assert n <= N_PAGES
    pages = PAGES.read_bytes().splitlines()
    return write_lines(path, [pages[index] for index in CHOSEN[:n]])


def take_up(spark: Any, root: str, path: str, *overrides: str) -> RefineSummary:
    """Ingests a file into a lake and refines what is new."""
    ingest(spark, recipe(root, f"input.paths=[{path}]"))
    return refine_lake(spark, recipe(root, *overrides))


def answers(spark: Any, root: str, recipe_fingerprint: str | None) -> Any:
    """Of each kept document: its text, its refined text, and (chunk, output) of its chunks."""
    outputs = (
        table(spark, root, "programs")
        .where((F.col("recipe_fingerprint") == recipe_fingerprint) & (F.col("chunk_index") >= 0))
        .join(table(spark, root, "generations").select("generation_key", "output_text"), on="generation_key")
        .groupBy("doc_id")
        .agg(F.collect_list(F.struct("chunk_index", "output_text")).alias("outputs"))
    )
    refined = table(spark, root, "refined").select("doc_id", F.col("text").alias("refined"))
    documents = table(spark, root, "documents").select("doc_id", "text")
    return documents.join(refined, on="doc_id").join(outputs, on="doc_id")


def table(spark: Any, root: str, name: str) -> Any:
    return spark.read.format("delta").load(f"{root}/{name}")


@pytest.fixture(scope="module")
def sample_lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RefineSummary]:
    """Pages of the demo's sample, refined; to look at, not to change."""
    folder = tmp_path_factory.mktemp("sample")
    root = str(folder / "lake")
    return root, take_up(spark, root, sample(folder / "pages.jsonl", N_PAGES))


@pytest.fixture
def sample_copy(sample_lake: tuple[str, RefineSummary], lake_root: str) -> str:
    """The sample lake, to change."""
    shutil.copytree(sample_lake[0], lake_root)
    return lake_root


@pytest.fixture(scope="module")
def odd_lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RefineSummary]:
    """Documents with something wrong beside an ordinary one. Refined in reference packing, where a long line is not cut."""
    folder = tmp_path_factory.mktemp("odd")
    page = json.loads(PAGES.read_bytes().splitlines()[0])
    lines = [
        json.dumps({"id": "empty", "text": ""}).encode(),
        json.dumps({"id": "null", "text": None}).encode(),
        json.dumps({"id": "huge", "text": "five megabytes " * 350_000}).encode(),
        b'{"id": "bytes", "text": "not \xff\xfe UTF-8"}',
        json.dumps({"id": "ordinary", "text": page["text"]}).encode(),
        json.dumps({"id": "long-line", "text": "word " * 4000}).encode(),
    ]
    path = write_lines(folder / "odd.jsonl", lines)
    overrides = ("generation.packing=reference", "apply.drop_threshold=1.0", TESTED)
    return str(folder / "lake"), take_up(spark, str(folder / "lake"), path, *overrides)


def versions(spark: Any, root: str) -> dict[str, int]:
    return {name: n for name, n in Lake(spark, recipe(root).lake).versions().items() if name != "runs"}


def engine_ids(spark: Any) -> set[str]:
    jvm = Owner.of(psutil.Process(int(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())))
    return {engine.engine_id for engine in find_running_engines(jvm)}


def test_pages_come_out_refined_and_lineage_tells_how(spark: Any, sample_lake: tuple[str, RefineSummary]) -> None:
    root, summary = sample_lake
    assert sum(summary.statuses.values()) == summary.n_pending == N_PAGES
    assert summary.statuses.get("edited") or summary.statuses.get("dropped_doc"), "the refiner acted on nothing"
    run = table(spark, root, "runs").where("command = 'refine'").first()
    assert run["status"] == "succeeded" and run["engine_starts"] == 1
    assert run["prompt_tokens"] > N_PAGES * 20 and run["counts"]["generations"] >= N_PAGES
    assert not table(spark, root, "programs").where("chunk_index > 0").isEmpty(), "no page has two chunks"
    # What is left of the raw text is the raw text without the removed lines.
    documents = table(spark, root, "documents").select("doc_id", "text")
    edited = table(spark, root, "refined").where("status = 'edited' and size(normalized) = 0")
    for row in edited.withColumnRenamed("text", "after").join(documents, on="doc_id", how="inner").collect():
        gone = {n for span in row["removed"] for n in range(span["line_start"], span["line_end"] + 1)}
        assert row["after"] == "\n".join(line for n, line in enumerate(row["text"].split("\n")) if n not in gone)


def test_second_run_changes_nothing_and_pays_nothing(spark: Any, sample_lake: tuple[str, RefineSummary]) -> None:
    root, summary = sample_lake
    before, engines = versions(spark, root), engine_ids(spark)
    assert table(spark, root, "generations").select("engine_id").distinct().count() == 1
    again = refine_lake(spark, recipe(root))
    assert again.n_pending == 0 and again.run.counts["generations"] == 0 and again.run.engine_total("starts") == 0
    assert again.statuses == summary.statuses
    assert versions(spark, root) == before and engine_ids(spark) == engines


def test_apply_derives_with_another_threshold_and_the_other_semantics_and_asks_no_engine(
    spark: Any, sample_lake: tuple[str, RefineSummary], sample_copy: str
) -> None:
    def apply(*overrides: str) -> ApplySummary:
        return apply_lake(spark, recipe(sample_copy, *overrides))

    generations, engines = versions(spark, sample_copy)["generations"], engine_ids(spark)
    strictest = apply("apply.drop_threshold=0.0")
    # A document that never saw the model has no probability: a text without words stays what it was.
    assert strictest.n_pending == N_PAGES and strictest.statuses.keys() <= {"dropped_doc", "blanked_short"}
    assert sum(move.n_documents for move in strictest.moves if move.after == "dropped_doc") >= N_PAGES // 2
    reference = apply("apply.semantics=reference")
    assert sum(reference.statuses.values()) == N_PAGES
    for row in answers(spark, sample_copy, reference.run.recipe_fingerprint).collect():
        outputs = [output.strip(" ") for _, output in sorted(row["outputs"])]
        assert row["refined"] == execute_reference(row["text"], "\n".join(outputs))
    before = versions(spark, sample_copy)
    assert apply("apply.semantics=reference").n_pending == 0 and versions(spark, sample_copy) == before
    # Back to where the lake was refined, to the letter.
    assert apply().statuses == sample_lake[1].statuses
    columns = ("doc_id", "text", "status", "removed", "normalized", "words_before", "words_after")
    was, is_now = (table(spark, root, "refined").select(*columns) for root in (sample_lake[0], sample_copy))
    assertDataFrameEqual(is_now, was)
    assert versions(spark, sample_copy)["generations"] == generations and engine_ids(spark) == engines


def test_apply_leaves_what_was_never_asked_and_says_so(spark: Any, sample_copy: str) -> None:
    was = {row["doc_id"]: row["status"] for row in table(spark, sample_copy, "refined").collect()}
    loosest = apply_lake(spark, recipe(sample_copy, "apply.drop_threshold=1.0"))
    before = versions(spark, sample_copy)
    again = apply_lake(spark, recipe(sample_copy, "apply.drop_threshold=1.0"))
    assert again.n_pending == again.n_waiting == loosest.n_waiting and versions(spark, sample_copy) == before
    assert loosest.n_waiting == loosest.statuses["waiting"] >= 1
    assert sum(loosest.statuses.values()) == N_PAGES and "prox-spark refine" in describe_apply(loosest)
    now = {row["doc_id"]: row["status"] for row in table(spark, sample_copy, "refined").collect()}
    assert now.keys() == was.keys() and list(now.values()).count("dropped_doc") == loosest.n_waiting


def test_quarantined_document_is_nowhere_else_when_recipes_go_back_and_forth(
    spark: Any, odd_lake: tuple[str, RefineSummary], lake_root: str
) -> None:
    shutil.copytree(odd_lake[0], lake_root)
    dropped = apply_lake(spark, recipe(lake_root, "generation.packing=reference", "apply.drop_threshold=0.0"))
    assert "quarantined" not in dropped.statuses
    assert table(spark, lake_root, "refined").where("doc_id = 'long-line'").count() == 1
    back = apply_lake(spark, recipe(lake_root, "generation.packing=reference", "apply.drop_threshold=1.0"))
    assert back.statuses == odd_lake[1].statuses
    assert table(spark, lake_root, "refined").where("doc_id = 'long-line'").isEmpty()


def test_commands_apply_and_compare(sample_copy: str, spark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--lake", sample_copy, "--set", "engine.device=cpu"]
    assert compare.main([*place, "--with", "apply.drop_threshold=0.0", "--examples", "1"]) == 0
    sides = r"  A: apply\.drop_threshold=0\.65\n  B: apply\.drop_threshold=0\.0\n"
    assert re.search(rf"compare: {N_PAGES} documents\n{sides}  same status +\d+ of {N_PAGES}", capsys.readouterr().out)
    assert apply_job.main([*place, "--set", "apply.drop_threshold=0.0"]) == 0
    assert re.search(rf"apply: {N_PAGES} of {N_PAGES} documents .* no engine", capsys.readouterr().out)
    assert compare.main([*place, "--with", "apply.drop_treshold=0.0"]) == 2
    assert "drop_treshold" in capsys.readouterr().err


def test_two_settings_are_compared_without_writing(spark: Any, sample_lake: tuple[str, RefineSummary]) -> None:
    root = sample_lake[0]
    before = versions(spark, root)
    same = compare_settings(spark, recipe(root), recipe(root))
    assert (
        same.same_text == same.same_status == same.n_documents == N_PAGES and same.same_lines == same.n_lines > N_PAGES
    )
    other = compare_settings(spark, recipe(root), recipe(root, "apply.drop_threshold=0.0"))
    n_dropped = sum(n for a, b, n in other.statuses if a != "dropped_doc" and b == "dropped_doc")
    assert n_dropped >= 1 and other.same_status == N_PAGES - n_dropped
    assert other.words_b < other.words_a and other.same_lines < other.n_lines
    assert other.examples and other.examples[0].lines and other.examples[0].lines[0][0] == "B"
    assert versions(spark, root) == before


def test_run_that_failed_after_generating_pays_nothing_when_started_again(
    spark: Any, lake_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, *_: object) -> None: ...

        def __call__(self, *_: object) -> None:
            raise RuntimeError("the driver was lost here")

    with monkeypatch.context() as patched:
        patched.setattr(refine_module, "ApplyAnswers", Broken)
        with pytest.raises(RuntimeError, match="lost here"):
            take_up(spark, lake_root, sample(tmp_path / "pages.jsonl", 2), TESTED)
    resumed = refine_lake(spark, recipe(lake_root, TESTED))
    assert resumed.n_pending == 2 and resumed.run.counts["generations"] == 0
    assert sum(resumed.statuses.values()) == 2
    runs = table(spark, lake_root, "runs").where("command = 'refine'")
    assert {row["status"] for row in runs.collect()} == {"failed", "succeeded"}


def test_waves_change_nothing_but_the_number_of_commits(
    spark: Any, sample_lake: tuple[str, RefineSummary], lake_root: str, tmp_path: Path
) -> None:
    from delta.tables import DeltaTable

    take_up(spark, lake_root, sample(tmp_path / "pages.jsonl", 4), "waves.documents=2", TESTED)
    commits = DeltaTable.forPath(spark, f"{lake_root}/generations").history().where("operation = 'WRITE'").count()
    assert commits > 2, "there was one wave"  # which has two, one for each stage
    whole = {r["doc_id"]: (r["text"], r["status"]) for r in table(spark, sample_lake[0], "refined").collect()}
    rows = {r["doc_id"]: (r["text"], r["status"]) for r in table(spark, lake_root, "refined").collect()}
    assert len(rows) == 4 and rows == {doc_id: whole[doc_id] for doc_id in rows}


def test_bad_documents_are_accounted_for_and_the_ordinary_one_is_refined(
    spark: Any, odd_lake: tuple[str, RefineSummary]
) -> None:
    root, summary = odd_lake
    assert sum(summary.statuses.values()) == 3
    statuses = {row["doc_id"]: row["status"] for row in table(spark, root, "refined").collect()}
    assert statuses["empty"] == "blanked_short" and statuses["ordinary"] in ("edited", "kept_unchanged")
    reasons = {row["reason"] for row in table(spark, root, "quarantine").where("stage = 'ingest'").collect()}
    assert reasons == {"null_text", "text_too_long", "invalid_utf8"}


def test_prompt_over_the_context_is_quarantined_and_nowhere_else(
    spark: Any, odd_lake: tuple[str, RefineSummary]
) -> None:
    # In reference packing a line over the budget is a chunk of its own, here far over the context.
    root, summary = odd_lake
    assert summary.statuses["quarantined"] == 1
    [row] = table(spark, root, "quarantine").where("stage = 'chunk'").collect()
    assert (row["doc_id"], row["reason"]) == ("long-line", "prompt_too_long")
    assert table(spark, root, "refined").where("doc_id = 'long-line'").isEmpty()


def test_document_whose_request_timed_out_is_asked_again_by_the_next_run(
    spark: Any, sample_lake: tuple[str, RefineSummary], sample_copy: str
) -> None:
    tables = f"delta.`{sample_copy}"
    # As a run leaves it whose engine did not answer one document in time.
    [victim] = spark.sql(f"select * from {tables}/programs` where chunk_index = -1 limit 1").collect()
    key, document = victim["generation_key"], victim["doc_id"]
    spark.sql(
        f"update {tables}/generations` set error_code = 'request_timeout', error_message = 'no answer', output_text = null, "
        f"drop_probability = null where generation_key = '{key}'"
    )
    spark.sql(f"delete from {tables}/refined` where doc_id = '{document}'")
    spark.sql(
        f"insert into {tables}/quarantine` (quarantine_id, doc_id, content_sha256, stage, reason, recipe_fingerprint) values "
        f"('q', '{document}', '{victim['content_sha256']}', 'doc', 'request_timeout', '{victim['recipe_fingerprint']}')"
    )
    again = refine_lake(spark, recipe(sample_copy))
    assert again.n_pending == 1 and again.run.counts["generations"] == 1
    assert again.statuses == sample_lake[1].statuses
    assert table(spark, sample_copy, "quarantine").where(f"doc_id = '{document}'").isEmpty()


def test_wrong_prompt_fails_the_run_before_documents_are_asked_about(
    spark: Any, sample_lake: tuple[str, RefineSummary], lake_root: str, tmp_path: Path
) -> None:
    engines = engine_ids(spark)
    # The shipped weights, asked in another format than they were trained with: the same engine serves them.
    refiner = Path(shutil.copytree(CARDS / "web-135m", tmp_path / "refiner"))
    card = (refiner / "refiner.yaml").read_text()
    (refiner / "refiner.yaml").write_text(card.replace("template: plain", "template: llama2-chat"))
    wrong = (f"refiners.doc={refiner}", f"refiners.chunk={refiner}")
    path = sample(tmp_path / "pages.jsonl", 1)
    with pytest.raises(SelfTestError, match=r"doc stage.*missed.*was answered by.*tasks\.doc\.template"):
        take_up(spark, lake_root, path, *wrong)
    assert engine_ids(spark) == engines
    asked = table(spark, lake_root, "generations")
    assert asked.where("wave >= 0").isEmpty() and asked.count() == len(self_test_sample.PAGES)
    assert table(spark, lake_root, "programs").isEmpty() and table(spark, lake_root, "refined").isEmpty()
    assert table(spark, lake_root, "runs").where("command = 'refine'").first()["error"].startswith("SelfTestError")


def from_line(row: Any, first: int) -> dict[str, Any]:
    """What the run said of a document, as a label for the part that begins with a line: numbers are those of the whole."""
    spans = [(max(span["line_start"], first), span["line_end"]) for span in row["removed"] if span["line_end"] >= first]
    ops = [{"op": "remove_lines", "line_start": start, "line_end": end} for start, end in spans]
    return {"text": "\n".join(row["raw"].split("\n")[first:]), "first_line": first, "ops": ops}


def test_labels_taken_from_a_run_are_agreed_with_and_cost_nothing(spark: Any, sample_copy: str, tmp_path: Path) -> None:
    refined = table(spark, sample_copy, "refined").where("drop_probability is not null")
    raw = table(spark, sample_copy, "documents").select("doc_id", F.col("text").alias("raw"))
    chunks = table(spark, sample_copy, "programs").where("chunk_index >= 0").groupBy("doc_id")
    starts = chunks.agg(F.sort_array(F.collect_list("line_start")).alias("starts"))
    labels = []
    for row in refined.join(raw, on="doc_id").join(starts, on="doc_id", how="left").collect():
        # All of a document, and what follows its first chunk.
        whole, *rest = [from_line(row, first) for first in (row["starts"] or [])[:2]] or [{"text": row["raw"]}]
        labels += [whole | {"keep": row["status"] != "dropped_doc"}, *rest]
    assert any(label.get("first_line") for label in labels)
    lines = [json.dumps({"label_id": str(number), **label}).encode() for number, label in enumerate(labels)]
    path, place = write_lines(tmp_path / "labels.jsonl", lines), ["--lake", sample_copy]
    before = versions(spark, sample_copy)
    arguments = [path, *place, "--set", "engine.device=cpu", "--output", str(tmp_path / "report")]
    assert evaluate_job.main(arguments) == 0
    found = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    refiner, keep, remove = found["methods"][:3]
    assert refiner["documents"]["keep"]["f1"] == refiner["documents"]["auc"] == 1.0
    assert refiner["lines"]["removed"]["micro"]["f1"] == refiner["lines"]["kept"]["macro_f1"] == 1.0
    assert refiner["lines"]["n_to_remove"] > 0 and found["programs"]["n_programs"] >= refiner["lines"]["n_texts"]
    assert keep["lines"]["removed"]["micro"]["recall"] == 0 < remove["lines"]["removed"]["micro"]["precision"] < 1
    assert versions(spark, sample_copy) == before
    run = table(spark, sample_copy, "runs").where("command = 'evaluate'").first()
    assert (run["status"], run["counts"]["generations"], run["counts"]["labels"]) == ("succeeded", 0, len(labels))


@pytest.mark.long
def test_lines_are_asked_about_whatever_the_document_stage_says_and_without_a_lake(
    spark: Any, sample_lake: tuple[str, RefineSummary]
) -> None:
    engines = engine_ids(spark)
    pages = self_test_sample.PAGES  # their programs are those of the self-test
    labels = [Label(str(n), "sample", page, keep=n < 3, ops=()) for n, page in enumerate(pages)]
    found = evaluate_labels(spark, Recipe.load(None, ["engine.device=cpu", "apply.drop_threshold=0.0"]), labels)
    documents, lines = found.methods[0].documents, found.methods[0].lines
    assert documents and documents.words_kept == 0.0 and documents.auc and documents.auc > 0.5
    assert lines and lines.n_texts == len(pages) and lines.words_kept < 1.0 and found.n_unanswered_chunks == 0
    assert found.programs and found.programs.n_programs == len(pages)
    assert engine_ids(spark) == engines


def test_delta_rs_reads_every_table(
    spark: Any, odd_lake: tuple[str, RefineSummary], lake_root: str, tmp_path: Path
) -> None:
    from deltalake import DeltaTable, QueryBuilder

    shutil.copytree(odd_lake[0], lake_root)
    # A second text for the same id, so that tables with deletion vectors have some.
    changed = json.dumps({"id": "ordinary", "text": "Another text altogether.\n" * 12})
    path = write_lines(tmp_path / "changed.jsonl", [changed.encode()])
    ingest(spark, recipe(lake_root, f"input.paths=[{path}]", "input.id_scope=lake"))
    labels = write_lines(tmp_path / "labels.jsonl", [b'{"text": "A page", "keep": true}'])
    annotate_lake(spark, recipe(lake_root), [labels])
    for of in TABLES:
        mine = table(spark, lake_root, of.name).count()
        query = "select count(*) as n from t"
        theirs = QueryBuilder().register("t", DeltaTable(f"{lake_root}/{of.name}")).execute(query).read_all()
        assert theirs["n"][0].as_py() == mine > 0, of.name


@pytest.mark.shared
def test_real_pages_end_to_end(spark: Any, lake_root: str, tmp_path: Path, shared_dir: Path) -> None:
    with gzip.open(shared_dir / "data" / "web_text" / "documents.jsonl.gz") as pages:
        path = write_lines(tmp_path / "web.jsonl", [next(pages).strip() for _ in range(8)])
    summary = take_up(spark, lake_root, path, TESTED)
    assert sum(summary.statuses.values()) == 8
    assert summary.statuses["edited"] >= 1 and summary.statuses["dropped_doc"] >= 1
    rows = table(spark, lake_root, "refined")
    assert {"topic_id", "format_id", "url"} <= set(rows.columns), "carried columns were lost"
    assert rows.where("topic_id is null").count() == 0
    programs = table(spark, lake_root, "programs").where("chunk_index >= 0")
    broken = programs.where(
        "exists(diagnostics, d -> d.code in ('stray_text', 'unknown_operation', 'malformed_arguments'))"
    )
    assert broken.count() <= 0.1 * programs.count()


@pytest.mark.shared
@pytest.mark.long
def test_programs_for_pages_that_nobody_annotated_are_as_good_as_all_without_findings(
    spark: Any, lake_root: str, tmp_path: Path, shared_dir: Path
) -> None:
    data = shared_dir / "data"
    learnt = set()
    for path in (data / "seed_annotations").glob("*.gz"):
        with gzip.open(path) as labels:
            learnt |= {json.loads(label)["id"] for label in labels}
    with gzip.open(data / "web_text" / "documents.jsonl.gz") as pages:
        unseen = [page.strip() for page in pages if json.loads(page)["id"] not in learnt]
    path = write_lines(tmp_path / "web.jsonl", Random(0).sample(unseen, 300))
    summary = take_up(spark, lake_root, path)
    assert sum(summary.statuses.values()) == 300
    programs = table(spark, lake_root, "programs").where("chunk_index >= 0")
    n_programs, n_clean = programs.count(), programs.where("size(diagnostics) = 0").count()
    assert n_programs > 200 and n_clean >= 0.995 * n_programs, f"{n_clean} of {n_programs}"
