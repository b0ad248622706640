"""Inputs after public bug reports of people who do this job: what comes of keys, ids and sources. See docs/inputs.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from ingesting import Lake, write
from pyspark.sql import functions as F

from prox_spark.errors import InputError, LakeError
from prox_spark.lake.lake import Lake as Tables

pytestmark = pytest.mark.spark

CASES = Path(__file__).parents[1] / "data/cases"


def row(lake: Lake, doc_id: str) -> dict[str, Any]:
    found = lake.table("documents").where(F.col("doc_id") == doc_id).first()
    return found.asDict(recursive=True)


# Keys


def test_keys_that_differ_by_case_or_unfit_characters_keep_their_column_from_file_to_file(lake: Lake) -> None:
    data = CASES / "keys-differ-by-case"
    files = ["1-both.jsonl", "2-small.jsonl", "3-upper.jsonl", "4-under.jsonl"]
    for name in files:
        assert lake.ingest(data / name).n_new == 1
    c1, c2, c3, c4 = (row(lake, f"c{n}") for n in (1, 2, 3, 4))
    small = next(name for name, value in c1.items() if value == "small t of c1")
    assert c2[small] == "small t of c2"
    assert next(name for name, value in c3.items() if value == "upper of c3") not in (small, "Title")
    blank = next(name for name, value in c3.items() if value == "blank of c3")
    under = next(name for name, value in c4.items() if value == "under of c4")
    assert blank != under
    assert c4["text"].startswith("Egret notes") and c4["url"] == "https://birds.example/c4"
    assert {"other text of c4", "https://other.example/c4"} <= set(map(str, c4.values()))
    assert lake.ingest(*(data / name for name in files)).n_unchanged == 4


@pytest.mark.parametrize("first", [{"Title": "T"}, {"title": "t"}])
def test_the_order_of_ingests_does_not_decide_what_a_column_means(lake: Lake, tmp_path: Path, first: dict) -> None:
    lake.ingest(write(tmp_path / "0.jsonl", {"id": 0, "text": "zero", **first}))
    nested = {"deep": [{"a b": 1, "a_b": 2}], "Title": "T", "title": "t"}
    lake.ingest(write(tmp_path / "1.jsonl", {"id": 1, "text": "one", "m": {"a_b": 3}, **nested}))
    lake.ingest(write(tmp_path / "2.jsonl", {"id": 2, "text": "two", "m": {"a b": 4, "A_b": 5}, "deep": [{"a_b": 6}]}))
    documents = [row(lake, str(n)) for n in range(3)]
    columns = {field.metadata.get("prox_spark.key"): field.name for field in lake.table("documents").schema}
    assert [documents[1][columns[key]] for key in ("Title", "title")] == ["T", "t"]
    ((key, value),) = first.items()
    assert documents[0][columns[key]] == value and columns[key] == key
    assert documents[1]["deep"][0]["a_b_2"] == documents[2]["deep"][0]["a_b_2"] - 4
    assert documents[2]["m"] == {"a_b": None, "A_b_2": 5, "a_b_3": 4}


def test_columns_called_like_ours_are_carried(lake: Lake) -> None:
    data = CASES / "names-of-our-own"
    assert lake.ingest(data / "names.jsonl").n_new == 2
    for doc_id in ("r0", "r1"):
        values = [value for value in row(lake, doc_id).values() if str(value).endswith(f" of {doc_id}")]
        assert len(values) == 46
    assert lake.ingest(data / "names.jsonl").n_unchanged == 2


def test_keys_that_are_words_of_spark_are_carried(lake: Lake, tmp_path: Path) -> None:
    odd = [
        "*",
        "_row_id",
        "_corrupt_record",
        "a.b",
        "a`b",
        "input_json",
        "x" * 300,
        "new line\n",
        "\x00",
        "date",
        "ROW_ID",
    ]
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "t", **{key: f"value of {key}" for key in odd}})
    lake.ingest(path)
    assert {f"value of {key}" for key in odd} <= set(map(str, row(lake, "1").values()))
    assert lake.ingest(path).n_unchanged == 1
    lake.ingest(write(path, {"id": 1, "text": "t", **{key: f"other {key}" for key in odd}}))
    assert {f"other {key}" for key in odd} <= set(map(str, row(lake, "1").values()))


def test_metadata_of_many_types_is_carried_as_text(lake: Lake) -> None:
    summary = lake.ingest(CASES / "metadata-type-drift/*")
    assert (summary.n_new, summary.quarantined) == (8, {})
    assert any(note.startswith("meta is ") and "carried as text" in note for note in summary.notes)
    rows = dict(lake.table("documents").select("doc_id", "meta").collect())
    assert json.loads(rows["m1"])["url"] == "https://birds.example/1"
    assert rows["m6"] == '["a",1,null]' and rows["m7"] == "{}" and rows["m3"] is None and rows["m4"] is None
    assert '"' not in rows["m2"] and "0.5" in rows["m5"]


@pytest.mark.parametrize("order", ["abcdef", "fedcba"])
def test_metadata_of_another_type_in_a_later_file_is_an_error_that_names_the_way_in(lake: Lake, order: str) -> None:
    data = CASES / "metadata-type-drift"
    refused = []
    for name in order:
        before = lake.table("documents").count()
        try:
            lake.ingest(data / f"{name}.jsonl")
        except LakeError as error:
            assert "column meta " in str(error) and "input.as_json=[meta]" in str(error)
            assert lake.table("documents").count() == before
            refused.append(name)
    for name in refused:
        lake.ingest(data / f"{name}.jsonl", as_json=["meta"])
    documents = lake.table("documents")
    assert documents.count() == 8
    text = F.coalesce(
        *(F.col(name).cast("string") for name in documents.columns if name.startswith("meta_")), F.lit("")
    )
    assert documents.where(
        text.contains("https://birds.example") | F.col("meta").cast("string").contains("https")
    ).count()


def test_keys_that_are_data_are_carried_as_json_text_with_their_names(lake: Lake, tmp_path: Path) -> None:
    links = [{f"https://a.example/{n}/{m}?q=1": m for m in range(20)} for n in range(3)]
    summary = lake.ingest(
        write(tmp_path / "a.jsonl", *({"id": n, "text": f"t{n}", "links": links[n], "n": n} for n in range(3))),
        max_keys=50,
    )
    assert any(note.startswith("links has more than 50 different keys") for note in summary.notes)
    documents = lake.table("documents").orderBy("doc_id").select("links", "n").collect()
    assert [(json.loads(found.links), found.n) for found in documents] == [(links[n], n) for n in range(3)]
    whole = [{"id": 9 + n, "text": f"w{n}", **{f"k {n} {m}": m for m in range(30)}} for n in range(2)]
    lake.ingest(write(tmp_path / "b.jsonl", *whole), max_keys=50)
    assert json.loads(row(lake, "9")["input_json"]) == {f"k 0 {m}": m for m in range(30)}


def test_numbers_are_carried_exactly_or_as_text(lake: Lake, tmp_path: Path) -> None:
    values = [
        {"big": 18446744073709551616, "mixed": 9007199254740993, "half": 1, "deep": {"n": [2**70]}},
        {"big": 1, "mixed": 0.5, "half": 0.5, "deep": {"n": []}},
    ]
    lake.ingest(write(tmp_path / "a.jsonl", *({"id": 2**70 + n, "text": f"t{n}", **values[n]} for n in range(2))))
    found = lake.table("documents").orderBy("doc_id").select("doc_id", "big", "mixed", "half", "deep.n").collect()
    assert [tuple(one) for one in found] == [
        (str(2**70), "18446744073709551616", "9007199254740993", 1.0, [str(2**70)]),
        (str(2**70 + 1), "1", "0.5", 0.5, []),
    ]


def test_what_the_column_of_the_lake_can_hold_is_taken_as_it_is(lake: Lake, tmp_path: Path) -> None:
    lake.ingest(write(tmp_path / "a.jsonl", {"id": 1, "text": "a", "m": {"u": 1, "v": [{"w": 2}]}, "t": None}))
    later = {"id": 2, "text": "b", "m": {}, "t": {"a b": 1, "c": None, "d.e": 1e20}}
    lake.ingest(write(tmp_path / "b.jsonl", later))
    assert row(lake, "2")["m"] == {"u": None, "v": None}
    assert json.loads(row(lake, "2")["t"]) == later["t"]
    lake.ingest(write(tmp_path / "c.jsonl", {"id": 3, "text": "c", "m": {"v": [{}]}}))
    assert row(lake, "3")["m"] == {"u": None, "v": [{"w": None}]}


def test_keys_that_java_takes_for_the_same_are_columns_of_their_own(lake: Lake, tmp_path: Path) -> None:
    odd = {"\u03c2": 1, "\u03c3": 2, "\xb5s": 3, "\u03bcs": 4, "m": {"\u0131": 5, "i": 6, "\u0130": 7}}
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "a", **odd})
    lake.ingest(path)
    found = row(lake, "1")
    assert {1, 2, 3, 4} <= {value for value in found.values() if isinstance(value, int)}
    assert sorted(found["m"].values()) == [5, 6, 7]
    assert lake.ingest(path).n_unchanged == 1


def test_new_changed_and_differing_documents_with_new_columns_in_one_ingest(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lake.ingest(write(path, *({"id": n, "text": f"t{n}", "k": n} for n in range(3))))
    records = [
        {"id": 0, "text": "t0", "k": 0},
        {"id": 1, "text": "other", "k": 1, "late": "x"},
        {"id": 2, "text": "t2", "k": 9, "late": "y"},
        {"id": 3, "text": "t3", "later": {"a": 1}},
    ]
    summary = lake.ingest(write(path, *records))
    assert (summary.n_new, summary.n_changed, summary.n_unchanged) == (1, 2, 1)
    assert lake.rows("documents", "doc_id", "text", "k", "late", "later.a") == [
        ("0", "t0", 0, None, None),
        ("1", "other", 1, "x", None),
        ("2", "t2", 9, "y", None),
        ("3", "t3", None, None, 1),
    ]
    assert lake.ingest(path).n_unchanged == 4


def test_an_ingest_that_another_one_overtook_writes_nothing(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "b.jsonl", {"id": 9, "text": "of the other"})
    append = Tables.append

    def overtaken(tables: Tables, table: str, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(Tables, "append", append)
        if table == "documents":
            lake.ingest(other)
        append(tables, table, *args, **options)

    monkeypatch.setattr(Tables, "append", overtaken)
    with pytest.raises(LakeError, match="another run wrote"):
        lake.ingest(write(tmp_path / "a.jsonl", {"id": 9, "text": "mine"}))
    assert lake.rows("documents", "doc_id", "text") == [("9", "of the other")]


# Identity


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_second_texts_under_an_id_are_in_quarantine_with_what_to_do(lake: Lake, order: tuple[int, int]) -> None:
    summary = lake.ingest(*(CASES / f"ids-not-unique/shard-{n}.jsonl" for n in order))
    assert (summary.n_new, summary.quarantined) == (5, {"duplicate_id": 5})
    assert {name for (name,) in lake.rows("documents", "provenance.file")} == {
        str(CASES / "ids-not-unique/shard-0.jsonl")
    }
    (message,) = {message for (message,) in lake.rows("quarantine", "message")}
    assert "input.id_scope=file" in message and "--id-column" in message


def test_file_that_would_replace_another_ones_documents_ends_the_run_before_it_writes(lake: Lake) -> None:
    first, second = (CASES / f"ids-not-unique/shard-{n}.jsonl" for n in range(2))
    lake.ingest(first)
    before = lake.table("documents").collect()
    with pytest.raises(InputError, match=r"5 of 5 documents of .*shard-1.*input\.id_scope=file.*input\.id_scope=lake"):
        lake.ingest(second)
    assert lake.table("documents").collect() == before
    summary = lake.ingest(second, id_scope="lake")
    assert (summary.n_new, summary.n_changed) == (0, 5)


def test_ids_of_a_file_keep_both_files_and_the_id_as_a_column(lake: Lake) -> None:
    data = CASES / "ids-not-unique"
    lake.ingest(data / "shard-0.jsonl", id_scope="file")
    assert lake.ingest(data, id_scope="file").n_new == 5
    rows = lake.rows("documents", "doc_id", "id")
    assert (
        rows[0] == (f"{data / 'shard-0.jsonl'}#0", 0)
        and len({text for (text,) in lake.rows("documents", "text")}) == 10
    )
    assert lake.ingest(data, id_scope="file").n_unchanged == 10


def test_a_column_may_be_the_id_and_the_url(lake: Lake) -> None:
    assert lake.ingest(CASES / "ids-not-unique", id_column="url").n_new == 10
    assert all(doc_id == url for doc_id, url in lake.rows("documents", "doc_id", "url"))


def test_columns_may_lie_in_objects(lake: Lake, tmp_path: Path) -> None:
    record = {"doc": {"body": "text", "id": 7}, "meta": {"url": "u", "from": {"crawl": "cc"}}}
    names = {
        "text_column": "doc.body",
        "id_column": "doc.id",
        "url_column": "meta.url",
        "source_column": "meta.from.crawl",
    }
    lake.ingest(write(tmp_path / "a.jsonl", record), **names)
    assert lake.rows("documents", "doc_id", "text", "url", "source", "meta.url") == [("7", "text", "u", "cc", "u")]


# Sources


def test_source_is_what_the_input_says_whatever_it_is(lake: Lake, spark: Any) -> None:
    data = CASES / "source-values/sources.jsonl"
    assert lake.ingest(data).n_new == 22
    documents = {found.doc_id: found for found in lake.table("documents").collect()}
    for line in data.read_text().splitlines():
        record = json.loads(line)
        given = json.loads(record["given"])
        source = documents[record["id"]].source
        if isinstance(given, str):
            assert source == (given or "sources")
            assert (
                lake.table("documents")
                .where(F.col("source") == F.lit(source))
                .where(F.col("doc_id") == record["id"])
                .count()
            )
        else:
            assert source == (
                "sources" if given is None or isinstance(given, (dict, list, bool, float)) else str(given)
            )
    reader = deltalake.DeltaTable(f"{lake.root}/documents")
    query = deltalake.QueryBuilder().register("d", reader).execute("SELECT doc_id, source FROM d")
    read = pa.table(query.read_all())
    sources = dict(zip(read["doc_id"].to_pylist(), read["source"].to_pylist(), strict=True))
    assert sources == {doc_id: found.source for doc_id, found in documents.items()}
    assert lake.ingest(data).n_unchanged == 22


def test_partitions_may_have_any_source_too(spark: Any, lake_root: str) -> None:
    data = CASES / "source-values/sources.jsonl"
    lake = Lake(spark, lake_root, partition_by=["source"])
    summary = lake.ingest(data)
    assert (summary.n_new, summary.quarantined) == (21, {"invalid_record": 1})
    given = {record["id"]: record["source"] for record in map(json.loads, data.read_text().splitlines())}
    for doc_id, source in lake.rows("documents", "doc_id", "source"):
        assert not isinstance(given[doc_id], str) or source == (given[doc_id] or "sources")
    assert lake.rows("quarantine", "snippet")[0][0]
