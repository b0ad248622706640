from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import deltalake
import pytest
from ingesting import Lake, write
from pyspark.errors import PythonException
from pyspark.sql import Row
from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.errors import InputError, LakeError, RecipeError
from prox_spark.lake.columns import RESERVED
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.inputs.find import find_inputs
from prox_spark.pipeline.inputs.naming import clean_names
from prox_spark.report.summaries import describe_ingest
from prox_spark.schemas import DOCUMENTS

pytestmark = pytest.mark.spark


# Formats


# Documents in each file of real data, and whether they are web captures.
CRAWL = {
    "ccnet_head-0091.jsonl.gz": (10, False),
    "documents_000.json.gz": (10, False),
    "whirlwind.warc.gz": (1, True),
    "whirlwind.warc.wet.gz": (1, True),
    "warc_sample-0000.warc.gz": (22, True),
}


@pytest.mark.shared
def test_real_files_of_every_format(lake: Lake, shared_dir: Path) -> None:
    summary = lake.ingest(*(shared_dir / "data/crawl" / name for name in CRAWL))
    # The page of whirlwind comes as WARC and as WET, under one id.
    assert (summary.n_read, summary.n_skipped) == (44, 30)
    documents = lake.table("documents")
    assert set(documents.columns[len(DOCUMENTS.columns) :]) == {"added", "created", "input_metadata"}
    bad = documents.where(
        F.col("doc_id").isNull()
        | (F.length("text") == 0)
        | (F.col("content_sha256") != F.sha2("text", 256))
        | F.col("provenance.file").isNull()
        | F.col("provenance.length").isNull()
        | F.col("source").isNull()
    )
    assert bad.isEmpty()
    is_capture = F.col("url").startswith("http") & (F.col("metadata")["WARC-Date"] != "")
    name = F.element_at(F.split("provenance.file", "/"), -1)
    rows = documents.groupBy(name).agg(F.count("*"), F.coalesce(F.every(is_capture), F.lit(False))).collect()
    assert {row[0]: (row[1], row[2]) for row in rows} == CRAWL
    # Nested metadata of JSON is typed.
    row = documents.where("doc_id like '%100kinvesting%'").first()
    assert row.input_metadata.nlines == 5 and row.input_metadata.perplexity == 304.6
    assert row.input_metadata.line_ids == [41, 42, 56, 57, 59]
    assert row.source == "common-crawl"


# Accounting


def test_what_was_mended_in_a_file_leaves_quarantine(lake: Lake, tmp_path: Path) -> None:
    mended, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(mended, {"id": 1, "text": None}, {"id": 2, "text": None}, {"id": 3, "text": "three"})
    lake.ingest(mended, write(other, {"id": 4, "text": None}, {"id": 5, "text": "five"}))
    write(mended, {"id": 1, "text": "one"}, {"id": 2, "text": None}, {"id": 3, "text": "three"})
    again = lake.ingest(mended)
    assert (again.n_new, again.quarantined) == (1, {"null_text": 1})
    assert lake.rows("quarantine", "doc_id") == [("2",), ("4",)]
    write(mended, {"id": 1, "text": "one"})
    assert lake.ingest(mended).quarantined == {}
    assert lake.rows("quarantine", "doc_id") == [("4",)]


def test_what_was_not_read_again_stays_in_quarantine(lake: Lake, tmp_path: Path) -> None:
    records = "".join(
        json.dumps({"id": n, "text": None if n == 4999 else f"{n * 7919 % 10007}"}) + "\n" for n in range(5000)
    )
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(records.encode()))
    lake.ingest(path)
    path.write_bytes(gzip.compress(records.encode())[:-2000])
    lake.ingest(path)
    assert lake.rows("quarantine", "reason") == [("null_text",), ("unreadable_file",)]


def test_every_record_is_a_document_or_in_quarantine(lake: Lake, tmp_path: Path) -> None:
    lines = [
        b'{"id": "empty", "text": ""}',
        b'{"id": "null", "text": null}',
        json.dumps({"id": "huge", "text": "five megabytes " * 350_000}).encode(),
        b'{"id": "bytes", "text": "caf\xe9"}',
        b'{"id": "ordinary", "text": "An ordinary document."}',
    ]
    (tmp_path / "mixed.jsonl").write_bytes(b"\n".join(lines))
    summary = lake.ingest(tmp_path / "mixed.jsonl")
    assert summary.quarantined == {"null_text": 1, "text_too_long": 1, "invalid_utf8": 1}
    assert (summary.n_read, summary.n_new) == (5, 2)
    assert lake.rows("documents", "doc_id", "text") == [("empty", ""), ("ordinary", "An ordinary document.")]
    assert lake.rows("quarantine", "provenance.offset", "doc_id", "reason", "stage") == [
        (2, "null", "null_text", "ingest"),
        (3, "huge", "text_too_long", "ingest"),
        (4, None, "invalid_utf8", "ingest"),
    ]
    # What waits in memory for a person is a snippet, not five megabytes.
    assert lake.table("quarantine").agg(F.max(F.length("snippet"))).first()[0] == 200
    assert "3 in quarantine: 1 invalid_utf8, 1 null_text, 1 text_too_long" in describe_ingest(summary)


def test_second_ingest_commits_nothing(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "n": 1}, {"id": 2, "text": None}, {"text": "no id"})
    first, second = lake.ingest(path), lake.ingest(path)
    assert first.versions_out == second.versions_out == {"documents": 1, "quarantine": 1}
    assert (second.n_new, second.n_unchanged, second.quarantined) == (0, 2, {"null_text": 1})
    assert lake.table("runs").count() == 2


def test_changed_text_is_one_update_in_the_change_feed(lake: Lake, spark: Any, tmp_path: Path) -> None:
    lake.ingest(write(tmp_path / "a.jsonl", {"id": 1, "text": "a"}, {"id": 2, "text": "b"}))
    summary = lake.ingest(write(tmp_path / "a.jsonl", {"id": 1, "text": "a"}, {"id": 2, "text": "c"}))
    assert (summary.n_changed, summary.n_unchanged, summary.versions_out["documents"]) == (1, 1, 2)
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 2)
    changes = feed.load(f"{lake.root}/documents").select("_change_type", "doc_id", "text")
    assert {tuple(row) for row in changes.collect()} == {("update_preimage", "2", "b"), ("update_postimage", "2", "c")}


def test_changed_column_is_a_change_and_is_not_written_twice(lake: Lake, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"id": 1, "text": "a", "m": {"n": 1, "o": [2]}, "tag": "x"},
        {"id": 2, "text": "b", "tag": "x"},
        {"id": 3, "text": "c", "tag": "x"},
        {"id": 4, "text": "d", "tag": "x"},
    )
    lake.ingest(path)
    write(
        path,
        {"id": 1, "text": "a", "m": {"a": 0, "n": 1, "o": [2]}, "tag": "x"},
        {"id": 2, "text": "b", "tag": "x", "url": "u"},
        {"id": 3, "text": "c", "tag": "x", "late": True, "nil": None},
        {"id": 4, "text": "d", "tag": "x"},
        {"id": 5, "text": "e"},
    )
    summary = lake.ingest(path)
    assert (summary.n_new, summary.n_changed, summary.n_unchanged) == (1, 3, 1)
    assert lake.rows("documents", "doc_id", "url", "m.a", "m.n", "m.o", "late", "tag") == [
        ("1", None, 0, 1, [2], None, "x"),
        ("2", "u", None, None, None, None, "x"),
        ("3", None, None, None, None, True, "x"),
        ("4", None, None, None, None, None, "x"),
        ("5", None, None, None, None, None, None),
    ]
    again = lake.ingest(path)
    assert again.n_unchanged == 5 and again.versions_out == summary.versions_out


def test_column_that_the_input_lacks_stays(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "tag": "x"})
    lake.ingest(path)
    assert lake.ingest(write(path, {"id": 1, "text": "a"})).n_unchanged == 1
    assert lake.ingest(write(path, {"id": 1, "text": "b"})).n_changed == 1
    assert lake.rows("documents", "text", "tag") == [("b", "x")]


def test_first_of_two_texts_under_one_id_is_kept(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "1.jsonl", {"id": "x", "text": "first"}, {"id": "x", "text": "first"})
    write(tmp_path / "2.jsonl", {"id": "x", "text": "second"}, {"id": "x", "text": "second"})
    summary = lake.ingest(tmp_path / "*.jsonl")
    assert (summary.n_new, summary.n_duplicates, summary.quarantined) == (1, 2, {"duplicate_id": 1})
    assert lake.rows("documents", "text") == [("first",)]
    assert lake.rows("quarantine", "reason", "snippet") == [("duplicate_id", "second")]
    assert lake.ingest(tmp_path / "*.jsonl").versions_out == summary.versions_out


def test_id_without_one_is_hash_of_url_and_text(lake: Lake, spark: Any, tmp_path: Path) -> None:
    lake.ingest(write(tmp_path / "a.jsonl", {"text": "ä", "url": "u"}, {"text": "ä"}))
    hashes = spark.sql("SELECT sha2('u\nä', 256), sha2('\nä', 256)").first()
    assert {row[0] for row in lake.rows("documents", "doc_id")} == set(hashes)


def test_truncated_gzip_is_read_as_far_as_it_goes(lake: Lake, tmp_path: Path) -> None:
    records = "".join(json.dumps({"id": n, "text": f"document {n * 7919 % 10007}"}) + "\n" for n in range(5000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(records.encode())[:-2000])
    summary = lake.ingest(tmp_path / "a.jsonl.gz")
    assert 1000 < summary.n_new < 5000 and summary.quarantined == {"unreadable_file": 1}


# Columns


def test_all_json_columns_are_carried_with_their_types(lake: Lake, tmp_path: Path) -> None:
    lake.ingest(
        write(
            tmp_path / "a.jsonl",
            {"text": "a", "n": 1, "Title": "T", "title": 2, "tags": ["x"], "m": {"a b": 1, "A B": 2.5}, "nil": None},
            {"text": "b", "n": 2.5, "late": True, "metadata": "mine", "a b": "x", "a_b": "y", "reason": "r"},
        )
    )
    types = dict(lake.table("documents").drop("provenance", "metadata").dtypes[len(DOCUMENTS.columns) - 2 :])
    assert types == {
        "Title": "string",
        "a_b": "string",
        "a_b_2": "string",
        "input_metadata": "string",
        "late": "boolean",
        "m": "struct<A_B:double,a_b_2:bigint>",
        "n": "double",
        "nil": "string",
        "reason": "string",
        "tags": "array<string>",
        "title_2": "bigint",
    }
    row = lake.table("documents").where("text = 'a'").first()
    assert (row.Title, row.title_2, row.tags, row.m) == ("T", 2, ["x"], Row(A_B=2.5, a_b_2=1))


def test_reserved_name_is_carried_as_input_whatever_its_case() -> None:
    assert clean_names(["Status", "status", "TEXT", "title"], RESERVED) == [
        "input_Status",
        "input_status_2",
        "input_TEXT",
        "title",
    ]


@pytest.mark.parametrize("kind", ["files", "table"])
def test_names_of_the_refined_table_are_not_carried(lake: Lake, spark: Any, tmp_path: Path, kind: str) -> None:
    names = ["Status", "run_id", "removed", "normalized", "words_before", "drop_probability", "documents_version"]
    path = tmp_path / "a.jsonl"
    if kind == "files":
        write(path, {"id": 1, "text": "a"} | dict.fromkeys(names, "x"))
    else:
        spark.createDataFrame([("a", *"x" * len(names))], ["text", *names]).write.parquet(str(path))
    lake.ingest(path)
    assert set(lake.table("documents").columns[len(DOCUMENTS.columns) :]) == {f"input_{name}" for name in names}


def test_new_columns_are_taken_up_and_types_fitted(lake: Lake, tmp_path: Path) -> None:
    lake.ingest(write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "score": 1.5, "tag": "x", "m": {"n": 1}}))
    lake.ingest(
        write(tmp_path / "b.jsonl", {"id": 2, "text": "b", "score": 2, "tag": {"k": 1}, "m": {"o": "y"}, "new": 1})
    )
    rows = lake.table("documents").select("score", "tag", "new", "m.n", "m.o").orderBy("doc_id").collect()
    assert [tuple(row) for row in rows] == [(1.5, "x", None, 1, None), (2.0, '{"k":1}', 1, None, "y")]


@pytest.mark.parametrize("value", ["no number", 1.5, {"a": 1}, [1]])
def test_type_that_does_not_fit_is_one_clear_error(lake: Lake, tmp_path: Path, value: object) -> None:
    lake.ingest(write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "Score": 1}))
    with pytest.raises(LakeError, match=r"column Score .* bigint"):
        lake.ingest(write(tmp_path / "b.jsonl", {"id": 2, "text": "b", "Score": value}))
    assert lake.table("documents").count() == 1


def test_source_is_recipe_then_own_then_name(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "web.jsonl", {"id": 1, "text": "a", "source": "own"}, {"id": 2, "text": "b"})
    lake.ingest(path)
    assert lake.rows("documents", "doc_id", "source") == [("1", "own"), ("2", "web")]
    other = Lake(lake.spark, f"{lake.root}-2")
    other.ingest(path, source="named")
    assert other.rows("documents", "doc_id", "source", "input_source")[0] == ("1", "named", "own")


# Mistakes


def test_input_that_is_not_there_is_named_and_makes_no_lake(spark: Any, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "none"))
    with pytest.raises(RecipeError, match=r"nowhere\.jsonl"):
        lake.ingest(tmp_path / "nowhere.jsonl")
    with pytest.raises(RecipeError, match="no input"):
        lake.ingest()
    assert not Path(lake.root).exists()
    with pytest.raises(RecipeError, match="nowhere"):
        lake.ingest(tmp_path / "nowhere", format="parquet")


def test_a_file_that_changes_meanwhile_costs_no_other(lake: Lake, spark: Any, tmp_path: Path) -> None:
    names = ("whole", "grows", "goes")
    files = {name: write(tmp_path / f"{name}.jsonl", {"id": name, "text": f"The text of {name}."}) for name in names}
    recipe = Recipe.parse({"input": {"paths": [str(file) for file in files.values()]}, "lake": {"root": lake.root}})
    listed = find_inputs(recipe.input)
    with files["grows"].open("a") as file:
        file.write(json.dumps({"id": "late", "text": "A line that came late."}) + "\n")
    files["goes"].unlink()

    first = ingest(spark, recipe, listed)
    assert lake.rows("documents", "doc_id") == [("grows",), ("late",), ("whole",)]
    assert lake.rows("quarantine", "reason", "provenance.file") == [("unreadable_file", str(files["goes"]))]
    assert first.n_new == 3

    # Known files are read twice, and the rows of both readings must be the same.
    with pytest.raises(
        PythonException, match=r"InputError: .*(grows|goes)\.jsonl was changed while it was read. Start again"
    ):
        ingest(spark, recipe, listed)
    assert len(lake.rows("documents", "doc_id")) == 3


def test_text_column_that_no_record_has_is_a_mistake_of_the_recipe(lake: Lake, spark: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"content": "a"}, {"content": "b"})
    with pytest.raises(RecipeError, match=r"'text'.*'content'"):
        lake.ingest(path)
    assert lake.table("quarantine").isEmpty()
    spark.createDataFrame([("a",)], "content string").write.parquet(str(tmp_path / "p"))
    with pytest.raises(RecipeError, match=r"'text'.*content"):
        lake.ingest(tmp_path / "p")
    with pytest.raises(RecipeError, match=r"'key'"):
        lake.ingest(tmp_path / "p", text_column="content", id_column="key")


def test_url_column_that_no_record_has_is_a_mistake_of_the_recipe(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a", "link": "http://a"}, {"text": "b"})
    with pytest.raises(RecipeError, match=r"no.* record .* URL in 'lnk' \(input\.url_column\)"):
        lake.ingest(path, url_column="lnk")
    assert lake.table("documents").isEmpty()
    assert lake.ingest(path, url_column="link").n_new == 2


def test_input_of_which_not_one_file_can_be_read_is_an_error(lake: Lake, tmp_path: Path) -> None:
    broken = tmp_path / "a.jsonl.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"not one of 1 files .*a\.jsonl\.gz: the file can't be read"):
        lake.ingest(broken)
    assert lake.table("quarantine").isEmpty() and lake.rows("runs", "status") == [("failed",)]
    assert lake.ingest(broken, write(tmp_path / "b.jsonl", {"text": "b"})).quarantined == {"unreadable_file": 1}


def test_tables_and_files_are_not_mixed(lake: Lake, spark: Any, tmp_path: Path) -> None:
    spark.createDataFrame([("a",)], "text string").write.parquet(str(tmp_path / "p"))
    with pytest.raises(RecipeError, match="once for each"):
        lake.ingest(tmp_path / "p", write(tmp_path / "a.jsonl", {"text": "a"}))


# Other readers


def test_delta_rs_reads_what_was_written(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "m": {"n": [1]}}, {"id": 2, "text": "b"}, {"text": None})
    lake.ingest(path)
    lake.ingest(write(path, {"id": 1, "text": "a"}, {"id": 2, "text": "changed"}, {"text": None}))
    documents = deltalake.QueryBuilder().register("d", deltalake.DeltaTable(f"{lake.root}/documents"))
    found = documents.execute("SELECT doc_id, text FROM d ORDER BY doc_id").read_all()
    assert [column.to_pylist() for column in found.columns] == [["1", "2"], ["a", "changed"]]
    quarantine = deltalake.DeltaTable(f"{lake.root}/quarantine").to_pyarrow_table()
    assert quarantine["reason"].to_pylist() == ["null_text"]
