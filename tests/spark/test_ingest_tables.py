"""Parquet and Delta as input, those of public bug reports among them. See docs/inputs.md."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingesting import Lake, write
from pyspark.sql import Row
from pyspark.sql import functions as F

from prox_spark.commands.sql import main as sql
from prox_spark.config import Recipe
from prox_spark.errors import InputError, LakeError, RecipeError
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.inputs.find import Inputs, InputTable
from prox_spark.readers import InputFormat
from prox_spark.report.summaries import describe_ingest
from prox_spark.spark_versions import VERSION

pytestmark = pytest.mark.spark

CASES = Path(__file__).parents[1] / "data/cases"


def documents(lake: Lake, *columns: str) -> dict[str, Any]:
    """Columns of each document by its id; where it is one, its value."""
    rows = lake.table("documents").select("doc_id", *columns).collect()
    return {row[0]: row[1] if len(columns) == 1 else tuple(row[1:]) for row in rows}


def utc(moment: datetime) -> datetime:
    """What pyspark gives, in the host's zone, as UTC's."""
    return moment.astimezone(UTC)


@pytest.fixture
def new_york(spark: Any) -> Iterator[None]:
    """A session whose clocks have hours that they pass over."""
    key = "spark.sql.session.timeZone"
    before = spark.conf.get(key)
    spark.conf.set(key, "America/New_York")
    yield
    spark.conf.set(key, before)


# Bug reports


def test_text_without_the_mark_of_text_is_read(lake: Lake) -> None:
    summary = lake.ingest(CASES / "parquet-binary-text/data")
    assert summary.quarantined == {"invalid_utf8": 1}
    found = documents(lake, "text", "url")
    assert found["b1"] == ("Grüße vom Teich, wo der Reiher steht und wartet", None)
    assert found["b0"][0].startswith("Heron notes, number 0\n") and found["b0"][1] == "https://birds.example/0"
    assert lake.rows("quarantine", "doc_id", "provenance.offset") == [("b2", 2)]


@pytest.mark.parametrize("path", ["data", "data/*.parquet"])
def test_columns_and_fields_that_only_some_files_have_are_taken_up(lake: Lake, path: str) -> None:
    lake.ingest(CASES / "parquet-extra-columns" / path)
    found = documents(lake, "language", "quality", "meta.a", "meta.b")
    assert found == {
        "e0": (None, None, None, None),
        "e1": (None, None, None, None),
        "e2": ("en", 0.5, 1, None),
        "e3": ("de", 0.75, 2, None),
        "e4": ("fr", None, 3, "x"),
    }
    assert documents(lake, "url")["e4"] is None


def test_nanoseconds_are_instants_in_microseconds(lake: Lake, new_york: None) -> None:
    summary = lake.ingest(CASES / "parquet-nanoseconds/data/nanos.parquet")
    at = datetime(2024, 3, 5, 10, 20, 30, 123456, UTC)
    found = documents(lake, "crawled", "fetched", "nested.at")
    assert [utc(moment) for moment in found["ns0"]] == [at] * 3
    assert "column crawled: nanoseconds, carried as microseconds" in describe_ingest(summary)
    assert dict(lake.table("documents").dtypes)["fetched"] == "timestamp"


def test_far_dates_do_not_move_and_are_printed(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.ingest(CASES / "parquet-nanoseconds/data/far-dates.parquet")
    days = {row[0]: row[1] for row in lake.table("documents").selectExpr("doc_id", "string(day)").collect()}
    assert days == {"us0": "0001-01-01", "us1": "9999-12-31", "us2": "1582-10-10"}
    query = "SELECT day, crawled, array(crawled), day FROM documents ORDER BY doc_id"
    assert sql(["--lake", lake.root, "--output", "csv", query]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        '0001-01-01,0001-01-01 00:00:00,"[""0001-01-01 00:00:00""]",0001-01-01',
        '9999-12-31,9999-12-31 23:59:59,"[""9999-12-31 23:59:59""]",9999-12-31',
        '1582-10-10,1582-10-10 00:00:00,"[""1582-10-10 00:00:00""]",1582-10-10',
    ]
    for output in ("table", "json"):
        assert sql(["--lake", lake.root, "--output", output, "SELECT day, crawled FROM documents"]) == 0
        assert {"0001-01-01", "9999-12-31"} <= set(capsys.readouterr().out.replace('"', " ").replace("T", " ").split())


def test_column_without_values_takes_the_type_of_a_later_file(lake: Lake, tmp_path: Path) -> None:
    data = CASES / "parquet-null-columns/data"
    summary = lake.ingest(data)
    assert (summary.n_new, summary.quarantined) == (2, {})
    assert documents(lake, "author", "tags", "meta.b") == {"n0": (None, [], 1), "n1": (None, [None], None)}
    pq.write_table(pa.table({"id": ["n2"], "text": ["t"], "author": ["x"]}), tmp_path / "later.parquet")
    lake.ingest(tmp_path / "later.parquet")
    assert documents(lake, "author")["n2"] == "x"


def test_file_without_rows_is_no_error_and_is_said(lake: Lake) -> None:
    summary = lake.ingest(CASES / "parquet-null-columns/data/no-rows.parquet")
    assert summary.n_read == 0 and lake.table("documents").isEmpty()
    assert "1 of 1 Parquet files have no rows" in describe_ingest(summary)


def test_types_that_spark_has_not_are_carried_exactly(lake: Lake) -> None:
    summary = lake.ingest(CASES / "parquet-odd-types/data/odd.parquet")
    assert summary.n_new == 2
    table = lake.table("documents")
    keys = {field.metadata.get("prox_spark.key"): field.name for field in table.schema}
    first, second = (row.asDict(recursive=True) for row in table.orderBy("doc_id").collect())
    assert {key: first[name] for key, name in keys.items() if key} | {"f16": second["f16"], "u64": second["u64"]} == {
        "u8": 1,
        "u16": 1,
        "u32": 1,
        "u64": Decimal(18446744073709551615),
        "f16": -1.25,
        "time": "10:20:30",
        "ms": "01:02:03",
        "day": date(2024, 3, 5),
        "wait": "PT5S",
        "money": Decimal("1234567890123456789012345678.0123456789"),
        "uuid": bytearray(range(16)),
        "embedding": pytest.approx([0.1, 0.2, 0.3, 0.4]),
        "spans": [[0, 4], [5, 9]],
        "counts": {"en": 1, "de": 2},
        "warc.meta data": {"Content-Length": 5, "a_b": "x", "A_B_2": "y"},
        "x;y=z": True,
        "cat": "p",
        "raw": bytearray(b"\x00\xff"),
    }
    assert (second["u32"], second["u8"], second["u16"]) == (4294967295, 255, 65535)
    assert lake.ingest(CASES / "parquet-odd-types/data/odd.parquet").n_unchanged == 2


def test_codecs_that_spark_lacks_are_read(lake: Lake) -> None:
    assert lake.ingest(CASES / "parquet-odd-types/codecs").n_new == 12
    assert {f"{codec}-2" for codec in ("brotli", "lz4", "gzip", "zstd-v2")} <= documents(lake, "text").keys()


def test_column_of_several_types_holds_the_values_of_all_files(lake: Lake) -> None:
    summary = lake.ingest(CASES / "parquet-type-drift/data/*")
    assert documents(lake, "crawl_ts", "score", "n") == {
        "d0": ("1709634030", 0.5, 1),
        "d1": ("1709634031", 0.25, 2),
        "d2": ("1709634032.5", 1.0, 3_000_000_000),
    }
    assert (
        "column crawl_ts: int64 (a.parquet), string (b.parquet) and double (c.parquet), carried as string"
        in summary.notes
    )


def test_files_of_several_types_one_after_the_other_fit_or_say_what_does_not(lake: Lake) -> None:
    data = CASES / "parquet-type-drift/data"
    lake.ingest(data / "a.parquet")
    with pytest.raises(LakeError, match=r"column crawl_ts of .* bigint, .* type double"):
        lake.ingest(data / "c.parquet")
    assert documents(lake, "n") == {"d0": 1}
    lake.ingest(data / "b.parquet", data / "c.parquet", as_json=["crawl_ts", "n"])
    assert documents(lake, "crawl_ts", "crawl_ts_json", "n", "n_json") == {
        "d0": (1709634030, None, 1, None),
        "d1": (None, "1709634031", None, "2"),
        "d2": (None, "1709634032.5", None, "3000000000"),
    }


def test_table_of_delta_rs_is_read_to_the_last_value(lake: Lake, new_york: None) -> None:
    table = CASES / "delta-rs-table/table"
    assert lake.ingest(table).n_new == 20
    found = documents(lake, "domain", "crawled", "extra")
    assert "r4" not in found
    domains = {"r0": "a/b", "r100": "a/b", "r1": "x y", "r2": "é", "r3": "50%", "r104": "a=b", "r5": "c:d", "r6": "R&D"}
    domains |= {"r7": "$", "r8": None, "r9": "%2F"}
    assert {doc_id: found[doc_id][0] for doc_id in domains} == domains
    assert utc(found["r1"][1]) == datetime(2024, 3, 5, 10, 1, tzinfo=UTC)
    assert [doc_id for doc_id, row in found.items() if row[2]] == ["later"]
    assert lake.rows("documents", "provenance.file")[0] == (str(table),)
    assert lake.ingest(table).n_unchanged == 20
    query = deltalake.QueryBuilder().register("d", deltalake.DeltaTable(f"{lake.root}/documents"))
    assert pa.table(query.execute("SELECT doc_id FROM d").read_all()).num_rows == 20


# Tables that Spark reads itself


@pytest.mark.skipif(VERSION < (4, 1), reason="Spark 3.5 has no VARIANT, and 4.0 loses columns of the type of null")
def test_odd_types_of_a_delta_table_become_those_of_the_lake(
    lake: Lake, spark: Any, tmp_path: Path, new_york: None
) -> None:
    table = f"delta.`{tmp_path}/odd`"
    spark.sql(
        f"""CREATE TABLE {table} (id DOUBLE, text BINARY, v VARIANT, n TIMESTAMP_NTZ, d DATE, x INT, nothing VOID, `a b` STRING,
        st STRUCT<at: TIMESTAMP_NTZ, `v w`: VARIANT, d: INT>, arr ARRAY<TIMESTAMP_NTZ>, m MAP<STRING, VARIANT>)
        USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableTypeWidening' = 'true',
        'delta.enableDeletionVectors' = 'true')"""
    )
    spark.sql(
        f"""INSERT INTO {table}
        SELECT 1.0, binary('Grüße'), parse_json('{{"a":[1,"x",null]}}'), timestamp_ntz'2024-03-10 02:30:00.123456',
          date'0001-01-01', 1, null, 'blank', named_struct('at', timestamp_ntz'0001-01-01', 'v w', parse_json('1.5'), 'd', 7),
          array(timestamp_ntz'9999-12-31 23:59:59.999999', null), map('k', parse_json('true'))
        UNION ALL SELECT 2.5, X'ff41', null, null, null, 2, null, null, null, null, null
        UNION ALL SELECT 3.0, binary('gone'), null, null, null, 3, null, null, null, null, null"""
    )
    spark.sql(f"DELETE FROM {table} WHERE id = 3.0")
    spark.sql(f"ALTER TABLE {table} ALTER COLUMN x TYPE BIGINT")
    spark.sql(f"INSERT INTO {table} (id, text, x) VALUES (4.0, binary('wide'), 3000000000)")
    summary = lake.ingest(tmp_path / "odd")
    assert (summary.n_new, summary.quarantined) == (2, {"invalid_utf8": 1})
    # Python's times have no year 0, in which the first of UTC's begins here.
    row = (
        lake.table("documents").where("doc_id = '1'").withColumn("st", F.col("st").dropFields("at")).drop("arr").first()
    )
    assert (row.text, row.v, row.d, row.a_b, row.m) == (
        "Grüße",
        '{"a":[1,"x",null]}',
        date(1, 1, 1),
        "blank",
        {"k": "true"},
    )
    # An hour that New York's clocks passed over.
    assert utc(row.n) == datetime(2024, 3, 10, 2, 30, 0, 123456, UTC)
    assert (row.st.v_w, row.st.d) == ("1.5", 7)
    far = lake.table("documents").where("doc_id = '1'").select(F.unix_micros("st.at"), F.unix_micros(F.col("arr")[0]))
    assert tuple(far.first()) == (-62135596800000000, 253402300799999999)
    assert documents(lake, "x")["4"] == 3_000_000_000
    types = dict(lake.table("documents").dtypes)
    assert types["st"] == "struct<at:timestamp,v_w:string,d:int>" and types["nothing"] == "string"
    features = spark.sql(f"DESCRIBE DETAIL delta.`{lake.root}/documents`").first()["tableFeatures"]
    assert not {"timestampNtz", "variantType", "variantType-preview", "typeWidening"} & set(features)
    assert lake.ingest(tmp_path / "odd").n_unchanged == 2


def test_tables_of_different_columns_are_one_input(lake: Lake, spark: Any, tmp_path: Path) -> None:
    spark.sql("SELECT 'a' AS id, 't' AS text, 1L AS n, named_struct('x', 1) AS s").write.format("delta").save(
        f"{tmp_path}/1"
    )
    spark.sql("SELECT 'b' AS id, 't' AS text, 'z' AS n, named_struct('y', 2) AS s").write.format("delta").save(
        f"{tmp_path}/2"
    )
    pq.write_table(pa.table({"id": ["c"], "text": ["t"], "late": [[1]]}), tmp_path / "3.parquet")
    pq.write_table(pa.table({"text": ["t"]}), tmp_path / "4.parquet")
    summary = lake.ingest(*(tmp_path / name for name in ("1", "2", "3.parquet", "4.parquet")))
    found = documents(lake, "n", "s.x", "s.y", "late")
    assert found.pop("a") == ("1", 1, None, None) and found.pop("b") == ("z", None, 2, None)
    assert found.pop("c") == (None, None, None, [1]) and list(found.values()) == [(None,) * 4]
    assert "column n: int64 (1) and string (2), carried as string" in summary.notes


def test_file_that_a_delta_table_lost_is_named(lake: Lake, spark: Any, tmp_path: Path) -> None:
    table = tmp_path / "pages"
    spark.sql("SELECT 'a' AS id, 't' AS text").coalesce(1).write.format("delta").save(str(table))
    (lost,) = table.glob("*.parquet")
    lost.unlink()
    with pytest.raises(InputError, match=rf"can't read the input \({table}\): .*{lost.name} does not exist") as raised:
        lake.ingest(table)
    assert "Py4JJavaError" not in str(raised.value) and "\tat " not in str(raised.value)


def read_by_spark(lake: Lake, path: Path) -> Any:
    """As from a store that can't be listed here."""
    table = InputTable(str(path), InputFormat.PARQUET)
    recipe = Recipe.parse({"input": {"paths": [str(path)]}, "lake": {"root": lake.root}})
    return ingest(lake.spark, recipe, Inputs((), (table,)))


def test_parquet_in_stores_that_cannot_be_listed_is_read_by_spark(lake: Lake) -> None:
    read_by_spark(lake, CASES / "parquet-extra-columns/data")
    assert documents(lake, "language")["e4"] == "fr" and documents(lake, "meta.b")["e4"] == "x"
    assert read_by_spark(lake, CASES / "parquet-binary-text/data").quarantined == {"invalid_utf8": 1}


@pytest.mark.parametrize("case", ["parquet-nanoseconds", "parquet-odd-types", "parquet-type-drift"])
def test_what_sparks_reader_lacks_is_one_message(lake: Lake, case: str) -> None:
    with pytest.raises(RecipeError, match=rf"can't read .*{case}/data as parquet: .*local path, s3://") as raised:
        read_by_spark(lake, CASES / case / "data")
    assert "Py4JJavaError" not in str(raised.value) and "\n" not in str(raised.value)


def test_dates_of_a_writer_in_the_old_calendar_are_what_was_meant(lake: Lake, spark: Any, tmp_path: Path) -> None:
    legacy = {
        "spark.sql.parquet.datetimeRebaseModeInWrite": "LEGACY",
        "spark.sql.parquet.int96RebaseModeInWrite": "LEGACY",
        "spark.sql.parquet.outputTimestampType": "INT96",
    }
    before = {key: spark.conf.get(key) for key in legacy}
    rows = "SELECT '1' AS id, 't' AS text, d, timestamp(d) AS at, array(d) AS l FROM VALUES (date'1000-02-28') AS t(d)"
    try:
        for key, value in legacy.items():
            spark.conf.set(key, value)
        spark.sql(rows).write.parquet(str(tmp_path / "old"))
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)
    lake.ingest(tmp_path / "old")
    (row,) = lake.table("documents").selectExpr("string(d)", "string(at)", "string(l)").collect()
    assert tuple(row) == ("1000-02-28", "1000-02-28 00:00:00", "[1000-02-28]")


# Damage


def test_damaged_file_leaves_quarantine_once_it_is_mended(lake: Lake, tmp_path: Path) -> None:
    good, other = tmp_path / "good.parquet", tmp_path / "other.parquet"
    pq.write_table(pa.table({"id": ["a"], "text": ["x"]}), good)
    content = good.read_bytes()
    other.write_bytes(content[:-10])
    assert lake.ingest(tmp_path / "*.parquet").quarantined == {"unreadable_file": 1}
    assert lake.rows("quarantine", "provenance.file", "provenance.offset") == [(str(other), None)]
    pq.write_table(pa.table({"id": ["b"], "text": ["x"]}), other)
    assert lake.ingest(tmp_path / "*.parquet").n_new == 1
    assert lake.table("quarantine").isEmpty()


def test_input_of_which_not_one_file_is_parquet_is_an_error(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"text": "no Parquet"})
    (tmp_path / "b.parquet").touch()
    with pytest.raises(InputError, match=r"not one of 2 files .*a\.parquet: the file can't be read as Parquet"):
        lake.ingest(tmp_path / "*.parquet")


# Rows


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_tables_keep_nested_columns(lake: Lake, spark: Any, tmp_path: Path, kind: str) -> None:
    # Spark before 4.1 writes no column of the type of null.
    null = "null" if VERSION >= (4, 1) else "cast(null AS int)"
    rows = spark.sql(
        f"""
        SELECT * FROM VALUES
          (1, 'one', named_struct('a', 1, 'b c', array('x')), map('k', 1.5), timestamp '2024-01-01', X'00', 'site', {null}),
          (2, null, null, null, null, null, null, null),
          (3, 'three', null, map(), null, null, null, null)
        AS t(id, body, `Extra.Info`, scores, text, message, source, nothing)
        """
    )
    # Tables with column mapping may have blanks in their names.
    rows.write.format(kind).option("delta.columnMapping.mode", "name").save(str(tmp_path / "pages"))
    summary = lake.ingest(tmp_path / "pages", text_column="body")
    assert (summary.n_new, summary.quarantined) == (2, {"null_text": 1})
    documents = lake.table("documents").select(
        "doc_id", "text", "Extra_Info", "scores", "input_text", "source", "nothing"
    )
    assert documents.schema["Extra_Info"].dataType.simpleString() == "struct<a:int,b_c:array<string>>"
    assert documents.schema["input_text"].dataType.simpleString() == "timestamp"
    first, third = documents.orderBy("doc_id").collect()
    assert (first.doc_id, first.text, first.source, first.nothing) == ("1", "one", "site", None)
    assert first.Extra_Info == Row(a=1, b_c=["x"]) and first.input_text.year == 2024
    assert (third.source, third.scores) == ("pages", {})
    assert lake.rows("quarantine", "doc_id", "reason") == [("2", "null_text")]
    again = lake.ingest(tmp_path / "pages", text_column="body")
    assert again.n_unchanged == 2 and again.versions_out == summary.versions_out


def test_tables_too_long_invalid_and_repeated_rows(lake: Lake, spark: Any, tmp_path: Path) -> None:
    rows = spark.sql(
        "SELECT * FROM VALUES ('a', 'x'), ('b', repeat('y', 50)), ('c', cast(X'ff41' as string)), ('a', 'x'), ('a', 'z'), "
        "(null, 'x'), (null, null), (null, null) AS t(doc_id, text)"
    )
    rows.coalesce(1).write.parquet(str(tmp_path / "t.parquet"))
    summary = lake.ingest(tmp_path / "t.parquet", max_text_chars=20)
    # Rows of Parquet have a place: two without text are two findings.
    assert summary.quarantined == {"text_too_long": 1, "invalid_utf8": 1, "duplicate_id": 1, "null_text": 2}
    assert (summary.n_read, summary.n_new, summary.n_duplicates) == (8, 2, 1)
    assert lake.table("quarantine").where("reason = 'invalid_utf8'").first().snippet == "\ufffdA"
    assert lake.ingest(tmp_path / "t.parquet", max_text_chars=20).versions_out == summary.versions_out


def test_partition_folders_of_parquet_are_columns(lake: Lake, spark: Any, tmp_path: Path) -> None:
    rows = spark.createDataFrame([("a", "2024"), ("b", "2025")], "text string, dump string")
    rows.write.partitionBy("dump").parquet(str(tmp_path / "pages"))
    lake.ingest(tmp_path / "pages")
    assert lake.rows("documents", "text", "dump", "source") == [("a", 2024, "pages"), ("b", 2025, "pages")]


@pytest.mark.parametrize("given", ["auto", "parquet"])
def test_parquet_is_found_in_every_folder(lake: Lake, spark: Any, tmp_path: Path, given: str) -> None:
    plain = ("pages", "pages/2024/a[1]", "pages/2024/b")
    partitioned = ("days/2024/day=1", "days/2024/day=2", "days/2025/day=1")
    for folder in (*plain, *partitioned):
        rows = spark.createDataFrame([(folder, "text")], "id string, text string")
        rows.write.mode("append").parquet(str(tmp_path / folder))
    assert lake.ingest(tmp_path / "pages", format=given).n_new == 3
    assert lake.rows("documents", "doc_id", "source") == [(folder, "pages") for folder in sorted(plain)]
    assert lake.ingest(f"{tmp_path}/pages/**/*.parquet", format=given).n_unchanged == 3
    assert lake.ingest(f"{tmp_path}/pages/2024/*", format=given).n_new == 0
    assert lake.ingest(tmp_path / "days", format=given).n_new == 3
    days = lake.table("documents").where("day is not null").select("doc_id", "day").orderBy("doc_id").collect()
    assert [tuple(row) for row in days] == [(folder, int(folder[-1])) for folder in partitioned]


def test_folders_above_the_input_are_no_columns(lake: Lake, spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run=3" / "pages"
    spark.createDataFrame([("a",)], "text string").write.parquet(str(folder))
    assert lake.ingest(folder).n_new == 1
    assert lake.ingest(f"{folder}/*.parquet").n_unchanged == 1
    assert "run" not in lake.table("documents").columns


def test_relative_folder_of_delta_may_have_a_dot_in_its_name(
    lake: Lake, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spark.createDataFrame([("a",)], "text string").write.format("delta").save(str(tmp_path / "pages.delta"))
    assert lake.ingest("pages.delta").n_new == lake.ingest("pages.delta", format="delta").n_unchanged == 1
    with pytest.raises(RecipeError, match=r"can't read no\.such as delta"):
        lake.ingest("no.such", format="delta")


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_changed_column_of_a_table_is_a_change(lake: Lake, spark: Any, tmp_path: Path, kind: str) -> None:
    query = "SELECT id, 'text' AS text, map('k', {}, 'l', 2) AS m, {} AS s, timestamp '2024-01-01' AS t FROM range(2)"
    path = tmp_path / "pages"
    spark.sql(query.format("id", "named_struct('b', 1, 'a', id)")).write.format(kind).save(str(path))
    lake.ingest(path)
    struct = "if(id = 0, named_struct('a', id, 'b', 1), named_struct('a', 7L, 'b', 1))"
    shutil.rmtree(path)
    spark.sql(query.format("id", struct)).write.format(kind).save(str(path))
    summary = lake.ingest(path)
    assert (summary.n_changed, summary.n_unchanged) == (1, 1)
    assert lake.rows("documents", "doc_id", "s.a", "s.b") == [("0", 0, 1), ("1", 7, 1)]
    assert lake.ingest(path).versions_out == summary.versions_out


def test_which_of_equal_texts_in_a_delta_table_is_kept_does_not_depend_on_their_order(
    lake: Lake, spark: Any, tmp_path: Path
) -> None:
    rows = spark.sql("SELECT 'a' AS id, 'x' AS text, id AS n FROM range(6)")
    rows.coalesce(1).write.format("delta").save(str(tmp_path / "pages"))
    summary = lake.ingest(tmp_path / "pages")
    rows.orderBy(F.desc("n")).coalesce(1).write.format("delta").mode("overwrite").save(str(tmp_path / "pages"))
    again = lake.ingest(tmp_path / "pages")
    assert (again.n_unchanged, again.n_duplicates, again.versions_out) == (1, 5, summary.versions_out)
