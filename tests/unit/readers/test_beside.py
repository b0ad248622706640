from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prox_spark.errors import NOTES, ReasonCode
from prox_spark.readers import InputFormat, Keys, ReadOptions, Record, Rejected, Skipped, read_file
from prox_spark.readers.beside import find_other_paths, pick_folder_values
from prox_spark.readers.records import Beside

pytestmark = pytest.mark.unit

SIGNALS = Beside("signals", (("/documents/", "/signals/"), (".json.gz", ".s.json.gz")), "id", "found", "*_tail.json.gz")
LISTED = Beside("is_listed", (("/documents/", "/listed/"), (".json.gz", ".parquet")), "doc_id")
ATTRIBUTES = Beside("attributes", (("/documents/", "/attributes/*/"),), "id", "attributes")


def write(path: Path, *rows: dict[str, Any], cut_to: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows), pa.schema([("doc_id", pa.string())])), path)
    else:
        content = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
        path.write_bytes(content[:cut_to])
    return path


def documents(folder: Path, *ids: Any, name: str = "a.json.gz") -> Path:
    return write(folder / "documents" / "x" / name, *({"id": id_, "text": f"text {n}"} for n, id_ in enumerate(ids)))


def read(file: Path, *beside: Beside, **options: Any) -> tuple[list[Record], list[Rejected], list[Skipped]]:
    items = list(read_file(str(file), InputFormat.JSONL, ReadOptions(beside=beside, **options)))
    kinds = (Record, Rejected, Skipped)
    records, notes, counts = ([item for item in items if isinstance(item, kind)] for kind in kinds)
    return records, notes, counts  # type: ignore[return-value]


def rests(file: Path, *beside: Beside, **options: Any) -> list[dict[str, Any]]:
    return [record.rest for record in read(file, *beside, **options)[0]]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (2, 1, 0)])
def test_a_row_is_found_by_its_id_wherever_it_stands(order: tuple[int, ...], tmp_path: Path) -> None:
    file = documents(tmp_path, "a", "b", "c")
    rows = [{"id": id_, "found": {"n": n}} for n, id_ in enumerate("abc")]
    write(tmp_path / "signals/x/a.s.json.gz", *(rows[n] for n in order))
    records, notes, counts = read(file, SIGNALS)
    assert [record.rest["signals"] for record in records] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert (notes, counts) == ([], [])


def test_the_types_of_what_is_added_are_told_for_its_column(tmp_path: Path) -> None:
    file = documents(tmp_path, "a")
    write(tmp_path / "signals/x/a.s.json.gz", {"id": "a", "found": {"n": 1.5}})
    *_, keys = read_file(str(file), InputFormat.JSONL, ReadOptions(beside=(SIGNALS,)))
    assert isinstance(keys, Keys)
    assert keys.types.fields["signals"].fields["n"].kinds == {"double"}


def test_a_value_may_be_carried_as_json_text(tmp_path: Path) -> None:
    file = documents(tmp_path, "a")
    write(tmp_path / "signals/x/a.s.json.gz", {"id": "a", "found": {"n": [1, None]}})
    assert rests(file, SIGNALS, as_json=("signals",)) == [{"signals": '{"n":[1,null]}'}]


def test_documents_of_one_id_take_its_rows_in_their_order(tmp_path: Path) -> None:
    file = documents(tmp_path, "a", "b", "a")
    write(tmp_path / "signals/x/a.s.json.gz", *({"id": id_, "found": n} for n, id_ in enumerate("aab")))
    assert [rest["signals"] for rest in rests(file, SIGNALS)] == [0, 2, 1]


def test_a_document_is_found_by_its_own_key_where_its_id_is_its_place(tmp_path: Path) -> None:
    file = documents(tmp_path, 7)
    write(tmp_path / "signals/x/a.s.json.gz", {"id": "7", "found": 1})
    (record,) = read(file, SIGNALS, id_from_path=2)[0]
    assert (record.doc_id, record.rest) == ("x/a.json.gz/0", {"id": 7, "signals": 1})


def test_lines_are_counted_from_0_and_blank_ones_count(tmp_path: Path) -> None:
    file = tmp_path / "2023-06" / "0000" / "en_head.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"text": "one"}\n\n{"text": "two"}\n')
    ids = [record.doc_id for record in read(file, id_from_path=3)[0]]
    assert ids == ["2023-06/0000/en_head.json/0", "2023-06/0000/en_head.json/2"]


def test_a_missing_file_is_a_note_and_the_documents_are_there(tmp_path: Path) -> None:
    file = documents(tmp_path, "a", "b")
    records, (note,), _ = read(file, SIGNALS)
    assert [record.rest for record in records] == [{}, {}]
    assert (note.reason, note.place.file) == (ReasonCode.MISSING_BESIDE, str(file)) and note.reason in NOTES
    missing = tmp_path / "signals/x/a.s.json.gz"
    assert note.message == f"there is no file {missing}: signals is null for 2 of 2 documents (input.beside)"


def test_notes_of_two_missing_files_differ_in_what_they_are_known_by(tmp_path: Path) -> None:
    _, notes, _ = read(documents(tmp_path, "a"), SIGNALS, LISTED)
    assert len({note.content_sha256 for note in notes}) == len(notes) == 2


def test_files_that_have_nothing_beside_them_by_design_are_not_noted(tmp_path: Path) -> None:
    assert read(documents(tmp_path, "a", name="en_tail.json.gz"), SIGNALS)[1] == []


def test_a_path_that_names_no_other_file_is_noted(tmp_path: Path) -> None:
    file = write(tmp_path / "renamed" / "a.json.gz", {"id": "a", "text": "t"})
    (note,) = read(file, SIGNALS)[1]
    assert note.message.startswith(
        "the path of this file lacks '/documents/' and '.json.gz': signals is null for 1 of 1"
    )


def test_documents_without_a_row_and_rows_without_a_document_are_counted(tmp_path: Path) -> None:
    file = documents(tmp_path, "a", "b", "c")
    rows = ({"id": id_, "found": 1} for id_ in ("b", "d", "e"))
    write(tmp_path / "signals/x/a.s.json.gz", *rows, {"found": 1}, {"id": "f"})
    records, (note,), (count,) = read(file, SIGNALS)
    assert [record.rest for record in records] == [{}, {"signals": 1}, {}]
    other = tmp_path / "signals/x/a.s.json.gz"
    reason = f"some documents have no row in {other}, 2 rows of which hold no id or no value"
    assert note.message == f"{reason}: signals is null for 2 of 3 documents (input.beside)"
    assert (count.n_records, count.what) == (4, "rows of signals without a document")


def test_what_a_damaged_file_still_holds_is_carried(tmp_path: Path) -> None:
    file = documents(tmp_path, *range(2000))
    rows = ({"id": str(n), "found": f"{n * 7919 % 9973:09}"} for n in range(2000))
    write(tmp_path / "signals/x/a.s.json.gz", *rows, cut_to=-200)
    records, (note,), _ = read(file, SIGNALS)
    found = [record.rest.get("signals") for record in records]
    n_found = found.index(None)
    assert 0 < n_found < 2000 and not any(found[n_found:])
    assert found[:n_found] == [f"{n * 7919 % 9973:09}" for n in range(n_found)]
    assert "is damaged" in note.message
    assert f"signals is null for {2000 - n_found:,} of 2,000 documents" in note.message


def test_a_damaged_file_of_documents_keeps_what_lies_beside_the_rest(tmp_path: Path) -> None:
    file = documents(tmp_path, *range(2000))
    file.write_bytes(file.read_bytes()[:-200])
    write(tmp_path / "signals/x/a.s.json.gz", *({"id": str(n), "found": n} for n in range(2000)))
    records, _, (count,) = read(file, SIGNALS)
    assert [record.rest["signals"] for record in records] == list(range(len(records)))
    assert count.n_records == 2000 - len(records) > 0


def test_a_list_of_ids_makes_a_column_of_true_and_false(tmp_path: Path) -> None:
    file = documents(tmp_path, "a", "b")
    write(tmp_path / "listed/x/a.parquet", {"doc_id": "b"}, {"doc_id": "z"})
    records, notes, (count,) = read(file, LISTED)
    assert [record.rest["is_listed"] for record in records] == [False, True]
    assert notes == [] and (count.n_records, count.what) == (1, "rows of is_listed without a document")


@pytest.mark.parametrize("content", [None, b"PAR1 no such file PAR1"])
def test_without_a_readable_list_it_is_not_known_who_is_in_it(content: bytes | None, tmp_path: Path) -> None:
    file = documents(tmp_path, "a")
    if content:
        write(tmp_path / "listed/x/a.parquet").write_bytes(content)
    records, (note,), _ = read(file, LISTED)
    assert records[0].rest == {} and "is_listed is null for 1 of 1 documents" in note.message


def test_objects_of_every_folder_at_the_star_become_one(tmp_path: Path) -> None:
    file = documents(tmp_path, "a", "b")
    write(tmp_path / "attributes/one/x/a.json.gz", *({"id": i, "attributes": {"one": i}} for i in "ab"))
    write(tmp_path / "attributes/two/x/a.json.gz", {"id": "b", "attributes": {"two": 2}})
    write(tmp_path / "attributes/_bookkeeping/x/a.json.gz")
    records, (note,), _ = read(file, ATTRIBUTES)
    assert [record.rest["attributes"] for record in records] == [{"one": "a"}, {"one": "b", "two": 2}]
    assert "/attributes/two/x/a.json.gz: attributes is null for 1 of 2 documents" in note.message


def test_without_a_folder_at_the_star_nothing_is_missing(tmp_path: Path) -> None:
    assert read(documents(tmp_path, "a"), ATTRIBUTES)[1] == []
    file = write(tmp_path / "dolma-v1_7" / "books" / "a.json.gz", {"id": "a", "text": "t"})
    assert read(file, ATTRIBUTES)[1] == []


def test_the_last_place_in_a_path_is_replaced() -> None:
    beside = Beside("c", (("/documents/", "/signals/"),))
    assert find_other_paths("/home/documents/rp/documents/a", beside) == {"": "/home/documents/rp/signals/a"}


@pytest.mark.parametrize(
    ("folders", "values"),
    [
        ("/quality=high/kind=actual/", {"quality": "high", "kind": "actual"}),
        ("/quality=a%20b/other=1/", {"quality": "a b"}),
        ("/quality=__HIVE_DEFAULT_PARTITION__/kind=/", {}),
        ("/data/", {}),
    ],
)
def test_folders_called_name_and_value_are_columns_where_named(folders: str, values: dict[str, str]) -> None:
    assert pick_folder_values(f"s3://bucket{folders}x=1.jsonl", ["quality", "kind"]) == values


def test_what_a_record_says_itself_is_not_overruled_by_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "quality=high" / "a.jsonl"
    file.parent.mkdir()
    file.write_text('{"text": "one"}\n{"text": "two", "quality": "low"}\n')
    assert [rest["quality"] for rest in rests(file, folder_columns=("quality",))] == ["high", "low"]
