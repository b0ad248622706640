"""What a refine run tells of its engines: a whole run in two waves on a FAKE engine that one document's prompt kills."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_vllm import use_fake_engine
from pyspark.sql import functions as F
from tiny_tokenizer import bytes_json
from tokenizers import Tokenizer
from waiting import wait_until
from weightless import write_weightless

from prox_spark.config import LakeConfig, Recipe, SelfTestConfig
from prox_spark.errors import SelfTestError
from prox_spark.labels import Label
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.applying.commit import ApplyAnswers
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.evaluate import evaluate_labels
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import RefineSummary, refine_lake
from prox_spark.report.summaries import describe_refine

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.spark

N_DOCUMENTS = 16
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 32, "drop_threshold": 0.99},
    "chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_tokens": 16},
}


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A refiner without weights."""
    folder = tmp_path_factory.mktemp("refiner")
    (folder / "tokenizer.json").write_text(bytes_json())
    return write_weightless(folder, context_tokens=256, tasks=TASKS)


@pytest.fixture(scope="module")
def refined(spark: Any, refiner: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RefineSummary]]:
    """A lake after the run."""
    folder = tmp_path_factory.mktemp("waves")
    texts = [f"Number {n} is an ordinary page of more than ten words, as most are" for n in range(N_DOCUMENTS)]
    texts[5] = "~" + texts[5]
    texts[13:] = [texts[13]] * 3  # in two waves: two of them in one
    pages = [json.dumps({"id": f"doc-{n}", "text": text}) for n, text in enumerate(texts)]
    (folder / "pages.jsonl").write_text("\n".join(pages))
    root = str(folder / "lake")
    recipe = Recipe.parse(
        {
            "input": {"paths": [str(folder / "pages.jsonl")]},
            "lake": {"root": root},
            "refiners": {"doc": refiner, "chunk": refiner},
            "engine": {"device": "cpu"},
            "waves": {"documents": N_DOCUMENTS // 2},
            "self_test": {"enabled": False},  # the FAKE's answers are no refiner's
        }
    )
    poison = Tokenizer.from_str(bytes_json()).token_to_id("~")
    ingest(spark, recipe)
    with use_fake_engine(spark, latency=0.05, poison=poison):
        yield root, refine_lake(spark, recipe)


def table(spark: Any, root: str, name: str) -> Any:
    return spark.read.format("delta").load(f"{root}/{name}")


def run_row(spark: Any, root: str) -> Any:
    (row,) = table(spark, root, "runs").where("command = 'refine'").collect()
    return row


def test_each_wave_and_stage_has_what_its_committed_answers_took(
    spark: Any, refined: tuple[str, RefineSummary]
) -> None:
    run = run_row(spark, refined[0])
    told = {(w["wave"], w["stage"]): w for w in run["engine_waves"]}
    assert list(told) == [(0, "doc"), (0, "chunk"), (1, "doc"), (1, "chunk")]
    rows = table(spark, refined[0], "generations").groupBy("wave", "stage")
    sums = rows.agg(F.count("*"), F.count("error_code"), F.sum("prompt_tokens"), F.sum("output_tokens"))
    names = ("prompts", "errors", "prompt_tokens", "output_tokens")
    assert {(row[0], row[1]): row[2:] for row in sums.collect()} == {
        key: tuple(w[name] for name in names) for key, w in told.items()
    }
    assert sum(w["prompts"] for w in told.values()) == run["counts"]["generations"]
    assert sum(w["prompt_tokens"] for w in told.values()) == run["prompt_tokens"]


def test_speed_window_queue_and_cache_are_told(spark: Any, refined: tuple[str, RefineSummary]) -> None:
    for wave in run_row(spark, refined[0])["engine_waves"]:
        assert wave["seconds"] > 0.05 and wave["tokens_per_second"] > 0
        assert 0 < wave["in_flight"] <= wave["prompts"] and 0 < wave["window_occupancy"] < 1
        assert wave["queue_seconds"] == 0.25  # as the FAKE engine says of every request
        assert 0.2 < wave["prefix_cache_hit_rate"] <= 0.25


def test_a_prompt_that_kills_three_engines_makes_three_restarts(spark: Any, refined: tuple[str, RefineSummary]) -> None:
    run = run_row(spark, refined[0])
    assert refined[1].statuses["quarantined"] == 1
    (row,) = table(spark, refined[0], "quarantine").collect()
    assert (row["doc_id"], row["stage"], row["reason"]) == ("doc-5", "doc", "engine_crash")
    assert "died 3 times with this prompt in flight" in row["message"]
    assert (run["engine_starts"], run["engine_restarts"]) == (4, 3)
    assert run["requests_resent"] >= 2
    (crashed,) = table(spark, refined[0], "generations").where("error_code = 'engine_crash'").collect()
    assert crashed["n_sends"] == 3 and crashed["answered_at"] is not None
    assert "4 engine start(s), 3 of them restart(s)" in describe_refine(refined[1])


def test_equal_texts_are_asked_about_once_and_each_document_has_the_answer(
    spark: Any, refined: tuple[str, RefineSummary]
) -> None:
    keys = [row["generation_key"] for row in table(spark, refined[0], "generations").collect()]
    assert len(keys) == len(set(keys))
    asked = table(spark, refined[0], "generations").where("stage = 'doc'").count()
    assert asked == N_DOCUMENTS - 2
    same = table(spark, refined[0], "refined").where("doc_id IN ('doc-13', 'doc-14', 'doc-15')").collect()
    assert len(same) == 3 and len({(row["status"], row["text"]) for row in same}) == 1


def test_every_answer_says_what_it_took(spark: Any, refined: tuple[str, RefineSummary]) -> None:
    rows = table(spark, refined[0], "generations")
    whole = "request_seconds >= 0.05 and queue_seconds = 0.25 and cached_tokens is not null and answered_at is not null"
    assert rows.where(f"error_code is null and not ({whole})").isEmpty()


def test_waves_that_overlap_as_on_a_cluster_end_with_the_same_tables(
    spark: Any, refined: tuple[str, RefineSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, one_by_one = str(tmp_path / "lake"), refined[1]
    recipe = one_by_one.run.recipe.model_copy(update={"lake": LakeConfig(root=root)})
    ingest(spark, recipe)
    apply = ApplyAnswers.__call__

    def applied_late(stage: ApplyAnswers, *frames: Any) -> int:
        later = "wave = 1 AND stage = 'doc'"
        wait_until(lambda: not table(spark, root, "generations").where(later).isEmpty(), "the next wave is asked", 120)
        return apply(stage, *frames)

    monkeypatch.setattr(ApplyAnswers, "__call__", applied_late)
    monkeypatch.setattr("prox_spark.pipeline.refine.is_local", lambda _context: False)
    overlapping = refine_lake(spark, recipe)
    assert overlapping.statuses == one_by_one.statuses
    columns = ("doc_id", "status", "text", "words_after")
    rows = [table(spark, lake, "refined").select(*columns).orderBy("doc_id").collect() for lake in (root, refined[0])]
    assert rows[0] == rows[1]
    run = overlapping.run
    assert sorted((wave.wave, wave.stage) for wave in run.engine_waves) == [
        (0, "chunk"), (0, "doc"), (1, "chunk"), (1, "doc"),
    ]  # fmt: skip
    assert (
        run.counts["generations"] == one_by_one.run.counts["generations"] == table(spark, root, "generations").count()
    )
    assert 0 < run.engine_seconds <= sum(wave.seconds for wave in run.engine_waves)


def test_every_query_of_the_docs_runs_and_finds_something(spark: Any, refined: tuple[str, RefineSummary]) -> None:
    root, summary = refined
    Lake(spark, summary.run.recipe.lake).create_views()
    (edited, *_) = table(spark, root, "refined").where("size(removed) > 0").collect()
    page = (ROOT / "docs" / "how-to" / "query-tables.md").read_text()
    blocks = re.findall(r"```sql\n(.*?);?\n```", page, re.DOTALL)
    queries = [query.replace("demo-003", edited["doc_id"]) for query in blocks]
    assert len(queries) == 6
    for query in queries:
        found = spark.sql(query).collect()
        assert found or "p.diagnostics" in query, query  # the FAKE writes no program that is wrong


def test_neither_refine_nor_evaluate_asks_a_refiner_about_anything_that_fails_the_self_test(
    spark: Any, refined: tuple[str, RefineSummary], tmp_path: Path
) -> None:
    recipe = with_pages(refined[1].run.recipe, tmp_path, 1)
    recipe = recipe.model_copy(update={"self_test": SelfTestConfig()})
    ingest(spark, recipe)
    before = table(spark, refined[0], "generations").where("wave >= 0").count()
    # The FAKE writes a program where a verdict is asked for.
    with pytest.raises(SelfTestError, match="self-test of the doc stage"):
        refine_lake(spark, recipe)
    with pytest.raises(SelfTestError, match="self-test of the doc stage"):
        evaluate_labels(spark, recipe, [Label("1", "mine", "A page that is labelled as one to keep.", keep=True)])
    assert table(spark, refined[0], "generations").where("wave >= 0").count() == before


def with_pages(recipe: Recipe, folder: Path, n: int, start: str = "", **engine: Any) -> Recipe:
    """The recipe with other pages, never seen before, and other settings of the engine."""
    texts = [f"{start}Page {n} of {folder.name} came later and has more than ten words in it" for n in range(n)]
    pages = [json.dumps({"id": text, "text": text}) for text in texts]
    (folder / "later.jsonl").write_text("\n".join(pages))
    new = {
        "input": recipe.input.model_copy(update={"paths": [str(folder / "later.jsonl")]}),
        "engine": recipe.engine.model_copy(update=engine),
    }
    return recipe.model_copy(update=new)


@pytest.mark.long
def test_engines_of_an_earlier_run_are_not_started_again_and_looked_for_once(
    spark: Any, refined: tuple[str, RefineSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_looks = 0
    look = GenerateMissing._earlier_engines

    def looked(stage: GenerateMissing) -> dict[str, int]:
        nonlocal n_looks
        n_looks += 1
        return look(stage)

    monkeypatch.setattr(GenerateMissing, "_earlier_engines", looked)
    recipe = with_pages(refined[1].run.recipe, tmp_path, 1)
    ingest(spark, recipe)
    second = refine_lake(spark, recipe)
    assert second.n_pending == 1 and len(second.run.engine_waves) == 2 and n_looks == 1
    assert (second.run.engine_total("starts"), second.run.engine_total("restarts")) == (0, 0)


@pytest.mark.parametrize(
    ("behaviour", "settings", "starts", "message"),
    [
        ({"poison": "~"}, {"max_num_seqs": 5, "max_crashing_prompts": 0}, 3, "have crashed the engine"),
        ({"start": "die"}, {"max_num_seqs": 3}, 1, "ValueError: fake engine was told to die at once"),
    ],
    ids=["engine that a prompt crashes", "engine that does not start"],
)
def test_a_run_that_fails_says_which_engines_it_had_started(
    behaviour: dict[str, str],
    settings: dict[str, int],
    starts: int,
    message: str,
    spark: Any,
    refined: tuple[str, RefineSummary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = with_pages(refined[1].run.recipe, tmp_path, 1, start="~", **settings)
    ingest(spark, recipe)
    if "poison" in behaviour:
        behaviour = {"poison": Tokenizer.from_str(bytes_json()).token_to_id(behaviour["poison"])}
    monkeypatch.setitem(spark.sparkContext.environment, "FAKE_ENGINE", json.dumps(behaviour))
    with pytest.raises(Exception, match=message):
        refine_lake(spark, recipe)
    runs = table(spark, refined[0], "runs").where("command = 'refine'").orderBy(F.desc("started_at"))
    failed = runs.first()
    assert (failed["status"], failed["engine_starts"], failed["engine_restarts"]) == ("failed", starts, starts - 1)
    (wave,) = failed["engine_waves"]
    assert (wave["wave"], wave["stage"], wave["prompts"], wave["engines"]) == (0, "doc", 0, 1)
