from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prox_spark.errors import InputError, RecipeError
from prox_spark.readers.parquet import ParquetFolder, ReadPlan, plan_reading
from prox_spark.readers.records import ReadOptions, derive_id
from prox_spark.udfs import parquet
from prox_spark.udfs.parquet import make_reader
from prox_spark.udfs.tasks import to_batch_of_tasks

pytestmark = pytest.mark.unit


class Files:
    """Parquet files under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uris: list[str] = []

    def write(self, columns: Any, name: str | None = None, **options: Any) -> str:
        path = self.folder / (name or f"{len(self.uris)}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        pq.write_table(table, path, **options)
        self.uris.append(str(path))
        return str(path)

    def plan(self, n_slots: int = 2, root: str | None = None, **options: Any) -> ReadPlan:
        return plan_reading([ParquetFolder("in", "src", tuple(self.uris), root)], ReadOptions(**options), n_slots)

    def read(self, **options: Any) -> list[dict[str, Any]]:
        """Return the rows in the order of the files."""
        rows = [row for batch in read_batches(self.plan(**options)) for row in batch.to_pylist()]
        order = {uri: place for place, uri in enumerate(self.uris)}
        return sorted(rows, key=lambda row: (order[row["provenance"]["file"]], row["provenance"]["offset"] or -1))


def read_batches(plan: ReadPlan) -> Iterator[pa.RecordBatch]:
    for batch in make_reader(plan)(iter([to_batch_of_tasks(plan.tasks)])):
        batch.validate(full=True)
        yield batch


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


# Rows


def test_row_has_text_hash_words_and_place(files: Files) -> None:
    uri = files.write({"id": ["a", "b"], "text": ["zwei Wörter", ""], "url": ["u", None], "n": [1, 2]})
    first, second = files.read()
    assert first == {
        "doc_id": "a",
        "text": "zwei Wörter",
        "content_sha256": hashlib.sha256("zwei Wörter".encode()).hexdigest(),
        "n_words": 2,
        "url": "u",
        "source": "src",
        "provenance": {"file": uri, "offset": 0, "length": None},
        "ordinal": 0,
        "carried": {"n": 1},
    } | dict.fromkeys(["metadata", "reason", "message", "snippet", "n_skipped", "keys"])
    assert (second["text"], second["n_words"], second["ordinal"], second["provenance"]["offset"]) == ("", 0, 1, 1)


def test_what_is_no_document_is_said(files: Files) -> None:
    texts = ["x", None, b"\xffA", "ä" * 20, "ä" * 21]
    binary = pa.array([t.encode() if isinstance(t, str) else t for t in texts])
    files.write({"id": list("abcde"), "text": binary, "n": range(5)})
    rows = files.read(max_text_chars=20)
    assert column(rows, "reason") == [None, "null_text", "invalid_utf8", None, "text_too_long"]
    assert column(rows, "message")[1:3] == ["'text' is null", "'text' is not valid UTF-8"]
    assert rows[4]["message"] == "the text has 21 characters, more than input.max_text_chars = 20"
    assert column(rows, "doc_id") == list("abcde")
    assert column(rows, "text") == ["x", None, None, "ä" * 20, None]
    assert column(rows, "n_words") == [1, None, None, 1, None]
    assert column(rows, "snippet") == [None, None, "\ufffdA", None, "ä" * 21]
    assert rows[2]["content_sha256"] == hashlib.sha256(b"\xffA").hexdigest()
    # A row without text is identified by its other columns.
    assert rows[1]["content_sha256"] == hashlib.sha256(b'{"n":1}').hexdigest()


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.json_(),
    ],
)
def test_text_is_read_from_whatever_holds_characters(files: Files, kind: Any) -> None:
    texts = ["Grüße vom Teich", None, "", "x"]
    is_odd = isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind)
    array = pa.array(texts).cast(pa.string() if is_odd else kind)
    if is_odd:
        array = (
            array.dictionary_encode() if pa.types.is_dictionary(kind) else pa.ExtensionArray.from_storage(kind, array)
        )
    files.write({"text": array})
    rows = files.read()
    assert column(rows, "text") == texts
    assert column(rows, "content_sha256")[0] == hashlib.sha256(texts[0].encode()).hexdigest()


def test_file_whose_text_is_none_does_not_cost_the_others(files: Files) -> None:
    files.write({"id": ["a"], "text": ["x"]})
    files.write({"id": ["b"], "text": [5]})
    files.write({"id": ["c"], "body": ["x"]})
    files.write({"id": ["d"], "text": pa.nulls(1)})
    files.write({"id": ["e"], "Text": ["y"]})
    rows = files.read()
    assert column(rows, "reason") == [None, "invalid_record", "null_text", "null_text", None]
    assert column(rows, "message")[1:4] == [
        "'text' must be a string, not int64",
        "no column 'text' (input.text_column); the file has 'id', 'body'",
        "'text' is null",
    ]
    assert column(rows, "text") == ["x", None, None, None, "y"] and column(rows, "doc_id") == list("abcde")


# Identity


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, None], ["1", None]),
        # pandas turns integers into doubles where one is missing.
        ([1.0, float("nan"), 0.5, 1e300], ["1", None, "0.5", "1e+300"]),
        (pa.array([(1 << 64) - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array(["a", ""]).dictionary_encode(), ["a", None]),
        (pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()), ["00000000-0000-0000-0000-000000000005", None]),
        (pa.array([b"b0", b"\xff\x00", b""]), ["b0", "ff00", None]),
        (pa.array([b"\x00" * 16, b"0123456789abcdef"], pa.binary(16)), ["00" * 16, "0123456789abcdef"]),
        ([date(2024, 3, 5)], ["2024-03-05"]),
        ([True, False], [None, None]),
        ([{"a": 1}], [None]),
        (pa.nulls(1), [None]),
    ],
)
def test_id_is_text_or_none(files: Files, ids: Any, expected: list[str | None]) -> None:
    files.write({"id": ids, "text": [f"text {n}" for n in range(len(expected))]})
    rows = files.read()
    derived = [derive_id(None, row["text"]) for row in rows]
    assert column(rows, "doc_id") == [own or other for own, other in zip(expected, derived, strict=True)]
    assert column(rows, "reason") == [None] * len(expected)


def test_row_without_a_doc_id_has_its_id(files: Files) -> None:
    files.write({"text": ["a", "b", "c"], "id": [7, 8, None], "doc_id": pa.array([None, "x", ""])})
    rows = files.read()
    assert column(rows, "doc_id") == ["7", "x", derive_id(None, "c")]
    assert [row["id"] for row in column(rows, "carried")] == [7, 8, None]


def test_id_that_is_no_text_is_a_rejection(files: Files) -> None:
    not_utf8 = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    files.write({"id": not_utf8, "text": ["x"]})
    assert column(files.read(), "reason") == ["invalid_utf8"]


def test_id_that_the_recipe_names_must_be_there(files: Files) -> None:
    files.write({"key": ["k", None, ""], "text": ["x"] * 3})
    files.write({"text": ["x"]})
    files.write({"key": [True], "text": ["x"]})
    rows = files.read(id_column="key")
    assert column(rows, "doc_id") == ["k", None, None, None, None]
    assert column(rows, "message") == [
        None,
        "no id in 'key' (input.id_column)",
        "no id in 'key' (input.id_column)",
        "no column 'key' (input.id_column); the file has 'text'",
        "the id in 'key' must be a string or a number",
    ]


def test_id_of_a_file_has_the_file_and_stays_a_column(files: Files) -> None:
    uri = files.write({"id": [0, None], "text": ["x", "y"]})
    first, second = files.read(ids_of_file=True)
    assert (first["doc_id"], first["carried"]) == (f"{uri}#0", {"id": 0})
    assert second["doc_id"] == derive_id(None, "y")


def test_one_column_can_be_all_that_it_is_named_for(files: Files) -> None:
    files.write({"url": ["http://a"], "text": ["x"]})
    (row,) = files.read(id_column="url")
    assert (row["doc_id"], row["url"], row["carried"]) == ("http://a", "http://a", None)


def test_dots_lead_into_structs_and_maps_where_no_column_has_the_whole_name(files: Files) -> None:
    files.write({"text": ["t"], "metadata": [{"url": "http://struct", "n": {"source": "s"}}]})
    files.write({"text": ["t"], "metadata": pa.array([[("url", "http://map")]], pa.map_(pa.string(), pa.string()))})
    files.write({"text": ["t"], "metadata": [{"url": "http://not"}], "metadata.url": ["http://column"]})
    files.write({"text": ["t"], "metadata": pa.array([None], pa.struct([("url", pa.string())]))})
    rows = files.read(url_column="metadata.url", source_column="metadata.n.source")
    assert column(rows, "url") == ["http://struct", "http://map", "http://column", None]
    assert column(rows, "source") == ["s", "src", "src", "src"]
    # Fields of a struct are carried with it.
    assert rows[0]["carried"]["metadata"] == '{"url":"http://struct","n":{"source":"s"}}'


def test_source_is_the_rows_own_where_it_says_one(files: Files) -> None:
    files.write({"text": ["t"] * 3, "source": ["own", "", None]})
    assert column(files.read(), "source") == ["own", "src", "src"]
    assert column(files.read(keep_source=False), "carried") == [{"source": s} for s in ("own", "", None)]


def test_column_of_the_exact_name_is_taken_and_the_other_carried(files: Files) -> None:
    files.write({"Text": ["T"], "text": ["t"], "URL": ["U"], "url": ["u"]})
    (row,) = files.read()
    assert (row["text"], row["url"], row["carried"]) == ("t", "u", {"Text": "T", "URL": "U"})


def test_two_columns_of_one_name_are_both_there(files: Files) -> None:
    files.write(pa.Table.from_arrays([pa.array(["t"]), pa.array([1]), pa.array([2])], names=["text", "n", "n"]))
    assert column(files.read(), "carried") == [{"n": 1, "n_2": 2}]


def test_bytes_that_are_no_characters_are_replaced_in_all_but_texts(files: Files) -> None:
    odd = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    listed = pa.ListArray.from_arrays([0, 1], odd)
    files.write(
        {"text": ["t"], "url": odd, "a": odd, "b": listed, "c": pa.StructArray.from_arrays([odd, listed], ["d", "e"])}
    )
    (row,) = files.read()
    mended = "a\ufffd"
    assert row["url"] == mended
    assert row["carried"] == {"a": mended, "b": [mended], "c": {"d": mended, "e": [mended]}}


# Columns of many files


def test_columns_and_fields_that_only_some_files_have_are_carried(files: Files) -> None:
    files.write({"text": ["1"], "meta": [{"a": 1}]})
    files.write({"meta": [{"b": "x", "a": None}], "text": ["2"], "late": [0.5]})
    files.write({"text": ["3"]})
    assert column(files.read(), "carried") == [
        {"meta": {"a": 1, "b": None}, "late": None},
        {"meta": {"a": None, "b": "x"}, "late": 0.5},
        {"meta": None, "late": None},
    ]


def test_footers_say_whether_whole_numbers_are_doubles(files: Files) -> None:
    files.write({"text": ["1"], "n": [1 << 53], "m": [(1 << 53) + 1]})
    files.write({"text": ["2"], "n": [0.5], "m": [0.5]})
    assert column(files.read(), "carried") == [{"n": 2.0**53, "m": "9007199254740993"}, {"n": 0.5, "m": "0.5"}]
    assert files.plan().notes == [
        "column n: int64 (0.parquet) and double (1.parquet), carried as double",
        "column m: int64 (0.parquet) and double (1.parquet), carried as string",
    ]


def test_whole_numbers_that_no_footer_bounds_are_text_beside_fractions(files: Files) -> None:
    files.write({"text": ["1"], "n": [1]}, write_statistics=False)
    files.write({"text": ["2"], "n": [0.5]})
    assert column(files.read(), "carried") == [{"n": "1"}, {"n": "0.5"}]


def test_column_without_values_takes_the_type_of_the_others(files: Files) -> None:
    files.write({"text": ["1"], "a": pa.array([None], pa.int32()), "b": pa.array([float("nan")], from_pandas=True)})
    files.write({"text": ["2"], "a": ["x"], "b": [[1]]})
    files.write({"text": pa.array([], pa.string()), "a": pa.array([], pa.bool_()), "b": pa.array([], pa.string())})
    assert column(files.read(), "carried") == [{"a": None, "b": None}, {"a": "x", "b": [1]}]
    assert files.plan().notes == [f"1 of 3 Parquet files have no rows, such as {files.uris[2]}"]


def test_nanoseconds_that_are_none_are_not_spoken_of(files: Files) -> None:
    files.write({"text": ["1"], "a": pa.array([1_000], pa.timestamp("ns")), "b": pa.array([1_001], pa.timestamp("ns"))})
    assert files.plan().notes == ["column b: nanoseconds, carried as microseconds: digits are cut off"]


def test_folders_called_name_and_value_are_columns(files: Files, tmp_path: Path) -> None:
    for folder in ("day=2024-03-05/n=1/site=a%2Fb", "day=2024-03-06/n=12/site=__HIVE_DEFAULT_PARTITION__"):
        files.write({"text": [folder]}, f"{folder}/p.parquet")
    assert column(files.read(root=str(tmp_path)), "carried") == [
        {"day": date(2024, 3, 5), "n": 1, "site": "a/b"},
        {"day": date(2024, 3, 6), "n": 12, "site": None},
    ]


def test_what_a_file_holds_is_nearer_than_what_its_folder_is_called(files: Files, tmp_path: Path) -> None:
    files.write({"text": ["a"], "n": [7]}, "n=1/p.parquet")
    files.write({"text": ["b"]}, "n=2/p.parquet")
    assert column(files.read(root=str(tmp_path)), "carried") == [{"n": 7}, {"n": 2}]
    assert files.plan(root=str(tmp_path)).notes == [
        "column n: int64 (p.parquet) and int32 (p.parquet), carried as int64",
        "column n is in files and in the names of their folders: what the files have is carried",
    ]


# Mistakes of the recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_column": "body"}, r"in has no column 'body' \(input\.text_column\); it has text, n, s"),
        ({"text_column": "n"}, r"column 'n' of in is int64, and must be string to be input\.text_column"),
        ({"id_column": "key"}, r"no column 'key' \(input\.id_column\)"),
        ({"id_column": "s"}, r"column 's' of in is struct, and must be a string or a number to be input\.id_column"),
        ({"url_column": "link"}, r"no column 'link' \(input\.url_column\)"),
        ({"source_column": "crawl"}, r"no column 'crawl' \(input\.source_column\)"),
    ],
)
def test_column_that_no_file_has_is_a_mistake_of_the_recipe(
    files: Files, options: dict[str, str], message: str
) -> None:
    files.write({"text": ["x"], "n": [1], "s": [{"a": 1}]})
    with pytest.raises(RecipeError, match=message):
        files.plan(**options)


def test_way_into_a_struct_that_leads_nowhere_is_a_note(files: Files) -> None:
    files.write({"text": ["x"], "s": [{"a": 1}]})
    assert files.plan(url_column="s.u").notes == ["in has nothing at 's.u' (input.url_column)"]
    assert column(files.read(url_column="s.u"), "url") == [None]


def test_file_without_rows_is_no_mistake_of_the_recipe(files: Files) -> None:
    files.write({"n": pa.array([], pa.int64())})
    assert files.read() == []


# Damage


def test_file_that_is_none_is_one_rejection(files: Files, tmp_path: Path) -> None:
    good = files.write({"id": ["a"], "text": ["x"]})
    content = Path(good).read_bytes()
    for name, damaged in {
        "empty": b"",
        "text": b"no Parquet" * 9,
        "cut": content[:-9],
        "footer": content[:-20] + b"\xff" * 12 + content[-8:],
    }.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(damaged)
        files.uris.append(str(path))
    files.uris.append(str(tmp_path / "gone.parquet"))
    rows = files.read()
    assert column(rows, "text") == ["x"] + [None] * 5
    assert column(rows, "reason")[1:] == ["unreadable_file"] * 5
    empty, text, cut, footer, gone = column(rows, "message")[1:]
    assert empty == "the file is empty: it has not one byte"
    assert text.startswith("the file can't be read as Parquet: ")
    assert cut.startswith("the file is cut off, or still being written")
    assert footer.startswith("the file can't be read as Parquet: ") and "gone.parquet" in gone
    assert {row["provenance"]["offset"] for row in rows[1:]} == {None}


def write_groups(files: Files, n_groups: int = 4, n_rows: int = 50, **options: Any) -> str:
    """Write a file whose texts hold their row numbers."""
    texts = [f"row {n} " + hashlib.sha512(str(n).encode()).hexdigest() for n in range(n_groups * n_rows)]
    ids = [str(n) for n in range(n_groups * n_rows)]
    return files.write(
        {"id": ids, "text": texts}, row_group_size=n_rows, write_page_checksum=True, use_dictionary=False, **options
    )


def test_row_group_that_is_damaged_does_not_cost_the_others(files: Files) -> None:
    path = Path(write_groups(files))
    content = bytearray(path.read_bytes())
    begin = pq.read_metadata(path).row_group(1).column(1).data_page_offset
    content[begin + 2000 : begin + 2100] = bytes(100)
    path.write_bytes(content)
    rows = files.read()
    documents = [row for row in rows if row["reason"] is None]
    assert [int(row["doc_id"]) for row in documents] == [*range(50), *range(100, 200)]
    (rejected,) = (row for row in rows if row["reason"])
    assert rejected["reason"] == "unreadable_file" and rejected["provenance"]["offset"] == 50
    assert rejected["message"].startswith("row group 1 of the file can't be read: ")
    assert rejected["message"].endswith("50 rows are lost")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_costs_at_most_the_rows_that_are_said_to_be_lost(files: Files, data: st.DataObject) -> None:
    files.uris.clear()
    path = Path(write_groups(files, n_groups=3, n_rows=20))
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    begin = data.draw(st.integers(4, footer - 1))
    noise = data.draw(st.binary(min_size=1, max_size=60))[: footer - begin]
    content[begin : begin + len(noise)] = noise
    path.write_bytes(content)
    rows = files.read()
    lost = [row for row in rows if row["reason"]]
    documents = [row for row in rows if row["reason"] is None]
    # Pages are checked, but not their headers: a row may get another row's id or text.
    assert len(documents) >= 60 - 20 * max(len(lost), 1)
    assert {row["reason"] for row in lost} <= {"unreadable_file", "invalid_utf8"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=20))
def test_damage_in_a_footer_costs_no_other_file(files: Files, place: int, noise: bytes) -> None:
    files.uris.clear()
    path = Path(write_groups(files, n_groups=2, n_rows=3))
    files.write({"id": ["good"], "text": ["good"]})
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[-8:-4], "little")
    begin = len(content) - 8 - size + place % size
    content[begin : begin + len(noise)] = noise[: len(content) - begin]
    path.write_bytes(content)
    (good,) = (row for row in files.read() if row["provenance"]["file"] == files.uris[1])
    assert good["doc_id"] == "good"


def test_values_that_the_footer_does_not_tell_of_are_an_error_with_a_way_out(files: Files) -> None:
    plan = files_with_untrue_bounds(files)
    with pytest.raises(InputError, match=r"column 'n' of .*0\.parquet .* Set input\.as_json=\[n\]"):
        list(read_batches(plan))
    assert column(files.read(as_json=("n",)), "carried") == [{"n": "9007199254740993"}, {"n": "0.5"}]


def files_with_untrue_bounds(files: Files) -> ReadPlan:
    """Return a plan that was made before a file got other values."""
    files.write({"text": ["t"], "n": [1]}, "0.parquet")
    files.write({"text": ["t"], "n": [0.5]})
    plan = files.plan()
    files.write({"text": ["t"], "n": [(1 << 53) + 1]}, "0.parquet")
    files.uris.pop()
    return plan


# Pieces


@pytest.mark.parametrize("n_slots", [1, 3, 16])
def test_large_row_group_is_read_in_parts_without_loss(
    files: Files, n_slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prox_spark.readers.parquet.pieces._MIN_PIECE_BYTES", 1_000)
    monkeypatch.setattr(parquet, "_DECODED_BYTES", 2_000)
    write_groups(files, n_groups=2, n_rows=333)
    plan = files.plan(n_slots=n_slots)
    assert len(plan.tasks) == {1: 2, 3: 4, 16: 16}[n_slots]
    rows = [row for batch in read_batches(plan) for row in batch.to_pylist()]
    assert sorted(row["provenance"]["offset"] for row in rows) == list(range(666))
    assert all(row["text"].startswith(f"row {row['provenance']['offset']} ") for row in rows)


def test_many_small_files_share_tasks_and_large_ones_have_their_own(files: Files) -> None:
    for _ in range(300):
        files.write({"text": ["x"]})
    tasks = files.plan(n_slots=2).tasks
    assert len(tasks) == 8 and sum(map(len, tasks)) == 300
    assert max(map(len, tasks)) - min(map(len, tasks)) <= 1


def test_batch_is_bounded_however_long_texts_are(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BATCH_BYTES", 100_000)
    files.write({"text": ["x" * 30_000] * 40 + ["y" * 300_000]})
    batches = list(read_batches(files.plan()))
    assert sum(map(len, batches)) == 41
    assert all(batch.nbytes <= 100_000 or len(batch) == 1 for batch in batches)
