from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from prox_spark.errors import ReasonCode
from prox_spark.readers import InputFormat, Keys, ReadOptions, Record, Rejected, read_file
from prox_spark.readers.jsonl import cut_lines, to_json
from prox_spark.readers.streams import Gap

pytestmark = pytest.mark.unit


def read(path: Path, content: bytes, **options: object) -> list:
    path.write_bytes(content)
    return read_records(str(path), ReadOptions(**options))


def read_records(uri: str, options: ReadOptions) -> list:
    """Read the items of a file without the types of its keys."""
    *records, keys = read_file(uri, InputFormat.JSONL, options)
    assert isinstance(keys, Keys)
    return records


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": null}', ReasonCode.NULL_TEXT),
        (b'{"body": "x"}', ReasonCode.NULL_TEXT),
        (b'{"text": 7}', ReasonCode.INVALID_RECORD),
        (b'{"text": "caf\xe9"}', ReasonCode.INVALID_UTF8),
        (b'{"text": "half \\ud800 pair"}', ReasonCode.INVALID_UTF8),
        (b'{"id": "\\ud800", "text": "x"}', ReasonCode.INVALID_RECORD),
        (b'{"text": "cut', ReasonCode.INVALID_RECORD),
        (b'["a", "b"]', ReasonCode.INVALID_RECORD),
        (b"[" * 100_000, ReasonCode.INVALID_RECORD),
        (b'{"text": "x", "n": ' + b"9" * 5_000 + b"}", ReasonCode.INVALID_RECORD),
        (json.dumps({"text": "x" * 101}).encode(), ReasonCode.TEXT_TOO_LONG),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason(tmp_path: Path, line: bytes, reason: ReasonCode) -> None:
    first, bad, last = read(
        tmp_path / "a.jsonl", b'{"text": "one"}\n' + line + b'\n{"text": "two"}', max_text_chars=100
    )
    assert isinstance(first, Record) and isinstance(last, Record)
    assert isinstance(bad, Rejected)
    assert (bad.reason, bad.place.offset, bad.place.length) == (reason, 2, len(line))
    assert bad.message and bad.content_sha256
    bad.snippet.encode()


def test_provenance_is_the_number_of_the_line_and_its_bytes(tmp_path: Path) -> None:
    content = '{"text": "ä"}\n\n   \n{"text": "b"}\r\n'
    a, b = read(tmp_path / "a.jsonl", content.encode())
    assert (a.place.offset, a.place.length) == (1, 14)
    assert (b.place.offset, b.text) == (4, "b")


def test_only_newline_ends_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\x0bd"
    (record,) = read(tmp_path / "a.jsonl", json.dumps({"text": text}, ensure_ascii=False).encode())
    assert record.text == text


def test_byte_order_mark_at_the_start_is_no_content(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "x"}')
    assert record.text == "x"


def test_empty_text_is_a_document(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'{"text": ""}')
    assert record == Record("", record.place)


@pytest.mark.parametrize("size", [1, 3, 7, 1 << 20])
def test_lines_do_not_depend_on_the_size_of_blocks(size: int) -> None:
    content = b"ab\n\ncdefghij\nk"
    found = cut_lines((content[at : at + size] for at in range(0, len(content), size)), 5)
    assert [line[:3] for line in found] == [(b"ab", 2, 1), (b"", 0, 2), (b"cdefg", 8, 3), (b"k", 1, 4)]


def test_lines_beside_a_gap_are_told_from_whole_ones() -> None:
    gap = Gap(7, 9, "damaged")
    found = list(cut_lines([b"a\nb", gap, b"x\ny\nz"], 100))
    assert [(line.content, line.number, line.is_torn) for line in found if not line.gap] == [
        (b"a", 1, False),
        (b"b", 2, True),
        # The number of a line after a gap is unknown.
        (b"x", None, True),
        (b"y", None, False),
        (b"z", None, False),
    ]
    assert [(line.gap, line.n_before) for line in found if line.gap] == [(gap, 1)]


def test_a_line_after_damage_has_no_id_from_its_number(tmp_path: Path) -> None:
    members = [gzip.compress(json.dumps({"text": f"{n} " * 50}).encode() + b"\n") for n in range(3)]
    members[1] = members[1][:12] + b"\xff\xff\xff" + members[1][15:]
    (tmp_path / "a.jsonl.gz").write_bytes(b"".join(members))
    items = list(read_file(str(tmp_path / "a.jsonl.gz"), InputFormat.JSONL, ReadOptions(id_from_path=1)))
    assert [item.doc_id for item in items if isinstance(item, Record)] == ["a.jsonl.gz/0"]
    *_, rejected = (item for item in items if isinstance(item, Rejected))
    assert rejected.reason is ReasonCode.INVALID_RECORD and "input.id_from_path" in rejected.message


def test_damaged_gzip_member_costs_the_records_in_it_only(tmp_path: Path) -> None:
    members = [gzip.compress(json.dumps({"text": f"{n} " * 50}).encode() + b"\n") for n in range(20)]
    members[7] = members[7][:12] + b"\xff\xff\xff" + members[7][15:]
    *records, last = sorted(
        read(tmp_path / "a.jsonl.gz", b"".join(members)), key=lambda item: isinstance(item, Rejected)
    )
    assert [record.text.split()[0] for record in records] == [str(n) for n in range(20) if n != 7]
    assert last.reason is ReasonCode.UNREADABLE_FILE


def test_several_gzip_members_and_zstd_frames_are_one_file(tmp_path: Path) -> None:
    parts = [b'{"text": "one"}\n{"te', b'xt": "two"}\n', b'{"text": "three"}']
    zipped = read(tmp_path / "a.jsonl.gz", b"".join(map(gzip.compress, parts)))
    framed = read(tmp_path / "a.jsonl.zst", b"".join(map(zstandard.compress, parts)))
    assert [r.text for r in zipped] == [r.text for r in framed] == ["one", "two", "three"]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_truncated_compressed_file_yields_what_is_readable_and_one_rejection(tmp_path: Path, compress) -> None:
    # Noise takes many blocks, so the cut is far into the lines and not in the compressor's first block.
    import random

    noise = random.Random(1)
    content = b"".join(
        json.dumps({"text": "".join(map(chr, noise.choices(range(32, 126), k=1000)))}).encode() + b"\n"
        for _ in range(1000)
    )
    whole = compress(content)
    name = "a.jsonl.gz" if compress is gzip.compress else "a.jsonl.zst"
    *records, last = read(tmp_path / name, whole[: len(whole) // 2])
    assert 300 < len(records) < 700 and all(isinstance(r, Record) for r in records)
    assert isinstance(last, Rejected) and last.reason is ReasonCode.UNREADABLE_FILE
    assert f"past line {len(records)}:" in last.message


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("content", [b"", b"plain text\n"])
def test_file_that_is_not_what_its_name_says_is_one_rejection(tmp_path: Path, name: str, content: bytes) -> None:
    (only,) = read(tmp_path / name, content)
    assert only.reason is ReasonCode.UNREADABLE_FILE


def test_missing_file_is_one_rejection(tmp_path: Path) -> None:
    _, only = read_file(str(tmp_path / "gone.jsonl"), InputFormat.JSONL, ReadOptions())
    assert only.reason is ReasonCode.UNREADABLE_FILE and "gone.jsonl" in only.message


@pytest.mark.parametrize("content", [b'[\n{"text": "x"},\n{"text": "y"}\n]', b'[{"text": "x"}]', b'{\n"text": "x"\n}'])
def test_one_json_document_is_refused_once_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (only,) = read(tmp_path / "a.json", content)
    assert only.reason is ReasonCode.INVALID_RECORD and "jq" in only.message


def test_id_is_doc_id_before_id_and_the_other_is_carried(tmp_path: Path) -> None:
    a, b, c, d = read(
        tmp_path / "a.jsonl",
        b'{"doc_id": "d", "id": 1, "text": ""}\n{"id": 12, "text": ""}\n{"id": null, "text": ""}\n'
        b'{"id": {"n": 1}, "text": ""}',
    )
    assert (a.doc_id, a.rest) == ("d", {"id": 1})
    assert (b.doc_id, b.rest) == ("12", {})
    assert c.doc_id is None and d.doc_id is None and d.rest == {"id": {"n": 1}}


def test_named_columns_are_mapped_and_the_usual_ones_carried(tmp_path: Path) -> None:
    (record,) = read(
        tmp_path / "a.jsonl",
        b'{"key": "k", "body": "b", "link": "l", "text": "t", "id": 1, "url": "u", "source": "s"}',
        text_column="body",
        id_column="key",
        url_column="link",
        keep_source=False,
    )
    assert (record.doc_id, record.text, record.url, record.source) == ("k", "b", "l", None)
    assert record.rest == {"text": "t", "id": 1, "url": "u", "source": "s"}


def test_record_without_the_named_id_is_rejected(tmp_path: Path) -> None:
    absent, null = read(tmp_path / "a.jsonl", b'{"text": "x"}\n{"key": null, "text": "x"}', id_column="key")
    assert absent.message.startswith("no column 'key'")
    assert "not null" in null.message


def test_half_a_surrogate_pair_outside_the_text_is_replaced() -> None:
    assert json.loads(to_json({"title": "a\ud800", "\udc00": 1})) == {"title": "a\ufffd", "\ufffd": 1}


def test_half_a_surrogate_pair_in_a_key_is_replaced_and_the_types_know(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x", "m": {"\\ud800": 1, "\\udc00": [2]}}')
    record, keys = read_file(str(tmp_path / "a.jsonl"), InputFormat.JSONL, ReadOptions())
    assert isinstance(record, Record) and isinstance(keys, Keys)
    assert list(record.rest["m"]) == list(keys.types.fields["m"].fields) == ["\ufffd", "\ufffd\ufffd"]


@pytest.mark.parametrize("depth", [30, 150, 300, 600])
@pytest.mark.parametrize(("begin", "end"), [('{"a":', "}"), ("[", "]")])
def test_deep_structures_are_text_below_some_level(tmp_path: Path, depth: int, begin: str, end: str) -> None:
    deep = begin * depth + "1" + end * depth
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "x", "m": {deep}}}\n{{"text": "y"}}')
    record, other, keys = read_file(str(path), InputFormat.JSONL, ReadOptions())
    assert isinstance(record, Record) and isinstance(other, Record) and isinstance(keys, Keys)
    assert to_json(record.rest, record.is_exact) == f'{{"m":{deep}}}'
    levels, seen = 0, keys.types.fields["m"]
    while "deep" not in seen.kinds:
        seen, levels = seen.element or seen.fields["a"], levels + 1
    assert levels == 20


def test_too_deep_structures_are_one_rejection(tmp_path: Path) -> None:
    deep, good = read(tmp_path / "a.jsonl", b'{"text": "x", "m": ' + b"[" * 5000 + b"]" * 5000 + b'}\n{"text": "y"}')
    assert isinstance(deep, Rejected) and isinstance(good, Record)


def test_numbers_that_json_does_not_have_are_kept(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'{"text": "x", "a": NaN, "b": [Infinity, null]}')
    assert to_json(record.rest, record.is_exact) == '{"a":NaN,"b":[Infinity,null]}'


@pytest.mark.parametrize(("value", "doc_id"), [(b"NaN", None), (b"1e400", None), (b"1" + b"0" * 101, "1" + "0" * 101)])
def test_ids_are_numbers_with_all_their_digits(tmp_path: Path, value: bytes, doc_id: str | None) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'{"id": ' + value + b', "text": "x"}')
    assert record.doc_id == doc_id


@pytest.mark.parametrize("first", [b"{", b"[", b"<html>", b"ORC", b"\xff\xfe", b'[{"text": "z"}]', b"PK\x03\x04"])
def test_a_damaged_first_line_costs_no_other_one(tmp_path: Path, first: bytes) -> None:
    bad, *good = read(tmp_path / "a.jsonl", first + b"\n" + b'{"text": "x"}\n' * 5)
    assert isinstance(bad, Rejected) and bad.place.offset == 1
    assert [record.place.offset for record in good] == [2, 3, 4, 5, 6]


def test_a_byte_order_mark_in_mid_file_is_no_content(tmp_path: Path) -> None:
    one, two = read(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "x"}\n\xef\xbb\xbf{"text": "y"}\n')
    assert (one.text, two.text) == ("x", "y")
