"""Corpora taken up into a lake by their recipes; tests/unit/config/test_corpora.py has the rest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from prox_spark.config import Recipe, load_corpus
from prox_spark.pipeline.ingest import IngestSummary, ingest
from prox_spark.report.summaries import describe_ingest

pytestmark = pytest.mark.spark

DATA = Path(__file__).parents[1] / "data" / "corpora"


def urn(n: int) -> str:
    return f"<urn:uuid:00000000-0000-4000-8000-{n:012}>"


def birds(n: int) -> str:
    return f"https://birds.example/{n}"


def take_in(spark: Any, name: str, root: str) -> IngestSummary:
    overrides = [f"input.paths=['{DATA / name}']", f"lake.root='{root}'"]
    return ingest(spark, Recipe.load(beneath=load_corpus(name), overrides=overrides))


def documents(spark: Any, root: str) -> list[dict[str, Any]]:
    rows = spark.read.format("delta").load(f"{root}/documents").orderBy("doc_id").collect()
    return [row.asDict(recursive=True) for row in rows]


@pytest.mark.parametrize(
    ("name", "ids", "carried"),
    [
        ("fineweb", [1, 2, 3], {"dump": ["CC-MAIN-2013-20"] * 2 + ["CC-MAIN-2024-10"], "token_count": [24] * 3}),
        ("fineweb-2", [1], {"language_script": ["Latn"], "minhash_cluster_size": [3]}),
        ("fineweb-edu", [1, 2], {"int_score": [3, 3], "date": [None, "2013-05-18T10:42:00Z"]}),
    ],
)
def test_parquet_of_the_fineweb_family_has_its_ids_and_columns(
    name: str, ids: list[int], carried: dict[str, list[Any]], spark: Any, lake_root: str
) -> None:
    summary = take_in(spark, name, lake_root)
    assert (summary.n_new, summary.quarantined) == (len(ids), {})
    rows = documents(spark, lake_root)
    assert [(row["doc_id"], row["url"], row["source"]) for row in rows] == [(urn(n), birds(n), name) for n in ids]
    assert {column: [row[column] for row in rows] for column in carried} == carried


def test_openwebmath_has_ids_of_url_and_text_and_its_metadata(spark: Any, lake_root: str) -> None:
    take_in(spark, "openwebmath", lake_root)
    rows = documents(spark, lake_root)
    derived = {hashlib.sha256(f"{row['url']}\n{row['text']}".encode()).hexdigest() for row in rows}
    assert {row["doc_id"] for row in rows} == derived
    assert {row["url"] for row in rows} == {"https://sums.example/1", "https://sums.example/2"}
    assert all(json.loads(row["input_metadata"])["extraction_info"]["found_math"] for row in rows)


def test_redpajama_v2_comes_in_with_its_signals_and_duplicates_and_again_unchanged(spark: Any, lake_root: str) -> None:
    summary = take_in(spark, "redpajama-v2", lake_root)
    assert (summary.n_read, summary.n_new, summary.quarantined) == (5, 5, {"missing_beside": 1})
    assert "4 files passed over: de_middle.duplicates.parquet" in describe_ingest(summary)
    rows = {row["doc_id"].removeprefix("2023-06/0000/"): row for row in documents(spark, lake_root)}
    head = [rows[f"en_head.json.gz/{n}"] for n in range(3)]
    assert [row["is_duplicate"] for row in head] == [False, True, False]
    assert [json.loads(row["quality_signals"])["rps_lines_num_words"][1][2] for row in head] == [11, 12, 13]
    assert rows["de_middle.json.gz/0"]["quality_signals"] is None
    assert {row["source"] for row in rows.values()} == {"redpajama-v2"}
    (note,) = spark.read.format("delta").load(f"{lake_root}/quarantine").collect()
    assert note["provenance"]["file"].endswith("/documents/2023-06/0000/de_middle.json.gz")
    again = take_in(spark, "redpajama-v2", lake_root)
    assert (again.n_unchanged, again.n_new, again.n_changed) == (5, 0, 0)
    assert again.versions_in == again.versions_out


def test_dolma_comes_in_with_its_attributes_and_texts_that_share_an_id(spark: Any, lake_root: str) -> None:
    summary = take_in(spark, "dolma", lake_root)
    assert (summary.n_new, summary.n_duplicates, summary.quarantined) == (5, 0, {})
    rows = {row["doc_id"]: row for row in documents(spark, lake_root)}
    assert {row["id"] for key, row in rows.items() if key.startswith("starcoder")} == {"8fddd353"}
    assert {key.split("/")[0]: row["source"] for key, row in rows.items()} == {
        "2019-09": "wiki",
        "c4-filtered": "c4",
        "starcoder": "starcoder",
    }
    attributes = json.loads(rows["2019-09/0933_en_all.jsonl.gz/0"]["attributes"])
    spans = [[0, 49, 0.9]]
    assert attributes == {"bff_duplicate_paragraph_spans": spans, "exp__jigsaw__toxic": spans}
    assert json.loads(rows["starcoder/starcoder-0000.json.gz/0"]["input_metadata"])["ext"] == "py"


def test_a_corpus_of_which_nothing_has_a_url_is_noted_not_refused(spark: Any, lake_root: str) -> None:
    folder = DATA / "dolma" / "dolma-v1_7" / "starcoder"
    overrides = [f"input.paths=['{folder}']", f"lake.root='{lake_root}'"]
    summary = ingest(spark, Recipe.load(beneath=load_corpus("dolma"), overrides=overrides))
    assert summary.n_new == 2
    assert "not one record of the input has a URL in 'metadata.url' (input.url_column)" in describe_ingest(summary)
