"""Records that break the standard. Each one loses itself at most."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from warc_files import HTTP, INFO, STORES, conversion, html, read, record, record_id, response, store, text, url

from prox_spark.errors import ReasonCode
from prox_spark.readers.warc.header import parse_header

pytestmark = pytest.mark.unit
every_store = pytest.mark.parametrize("how", STORES)
IMAGE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"


def with_line(line: bytes, name: object = 2) -> bytes:
    """Return a response with an additional line in the record's header."""
    return response(name).replace(b"\r\nWARC-Date", b"\r\n" + line + b"\r\nWARC-Date", 1)


@every_store
@pytest.mark.parametrize("off_by", [-200, -7, -4, -3, -2, -1, 1, 2, 3, 4])
def test_a_length_that_is_off_changes_no_text(tmp_path: Path, how: str, off_by: int) -> None:
    records = [INFO, response(1, off_by=off_by), response(2, off_by=off_by), conversion("c"), response(3)]
    found = read(store(tmp_path, how, records))
    assert found.texts == [text(1), text(2), text("c"), text(3)]
    assert (found.rejected, found.skipped) == ([], {"warcinfo": 1})


@every_store
@pytest.mark.parametrize("off_by", [-3, -1, 1, 2, 3, 4])
def test_a_length_that_is_off_adds_nothing_to_a_text(tmp_path: Path, how: str, off_by: int) -> None:
    length = len(text(1).encode()) + off_by
    records = [conversion(1, length=length), conversion(2, length=length), conversion(3, length=length)]
    assert read(store(tmp_path, how, records)).texts == [text(1), text(2), text(3)]


@every_store
@pytest.mark.parametrize("off_by", [5, 6, 11, 13, 14, 40, 100, 700, 1_500, 3_000, 10**9, 10**15])
def test_a_length_that_reaches_into_other_records_takes_none_and_is_noted(
    tmp_path: Path, how: str, off_by: int
) -> None:
    found = read(store(tmp_path, how, [INFO, response(1, off_by=off_by), *map(response, (2, 3, 4))]))
    assert found.texts == [text(n) for n in (1, 2, 3, 4)]
    (note,) = found.rejected
    assert (note.reason, note.doc_id) == (ReasonCode.CUT_OFF, record_id(1))
    assert f"{len(html(1)) + 59 + off_by:,} bytes, {len(html(1)) + 59:,} are there" in note.message


@pytest.mark.parametrize("how", ["plain", "gzip", "whole gzip", "whole zstd"])
@pytest.mark.parametrize("off_by", [2_000_000, 500, 6, -10])
def test_a_wrong_length_of_what_is_not_held_takes_no_record(tmp_path: Path, how: str, off_by: int) -> None:
    image = response("i", head=IMAGE, body=bytes(range(256)) * 12_000, off_by=off_by)
    found = read(store(tmp_path, how, [INFO, response(1), image, *map(response, range(2, 9)), image]))
    assert found.names == [str(n) for n in range(1, 9)]
    assert found.skipped["image/*"] + len(found.rejected) == 2
    assert all("cut off" in r.message for r in found.rejected)


@every_store
def test_zero_as_the_length_of_what_is_there_loses_nothing(tmp_path: Path, how: str) -> None:
    found = read(store(tmp_path, how, [INFO, response(1, length=0), conversion("e", ""), response(2)]))
    assert found.texts == [text(1), "", text(2)] and not found.rejected


@every_store
@pytest.mark.parametrize("length", ["", "many", "-1", "12x", "1e3", "٣"])
def test_a_page_without_a_length_is_rejected_alone(tmp_path: Path, how: str, length: str) -> None:
    found = read(store(tmp_path, how, [INFO, response(1), response(2, length=length), response(3)]))
    assert found.names == ["1", "3"]
    (rejected,) = found.rejected
    assert (rejected.reason, rejected.doc_id) == (ReasonCode.INVALID_RECORD, record_id(2))
    assert "Content-Length" in rejected.message
    assert rejected.snippet is not None and rejected.snippet.startswith("WARC/1.0\r\nWARC-Type: response")


@every_store
def test_a_record_that_is_no_page_needs_no_length(tmp_path: Path, how: str) -> None:
    info = record("warcinfo", b"software: old\r\n", name="i", length="")
    request = record("request", b"GET / HTTP/1.1\r\n\r\n", name="r", length="")
    found = read(store(tmp_path, how, [info, response(1), request, info, response(2), request]))
    assert (found.texts, found.rejected) == ([text(1), text(2)], [])
    assert found.skipped == {"warcinfo": 2, "request": 2}


@every_store
@pytest.mark.parametrize("version", [b"WARC/1.O", b"WRAC/1.0", b"WARC 1.0", b"", b"\x00\xff"])
def test_a_record_without_a_version_is_rejected_alone(tmp_path: Path, how: str, version: bytes) -> None:
    broken = version + response(2).removeprefix(b"WARC/1.0")
    path = store(tmp_path, how, [INFO, response(1), broken, response(3)])
    found = read(path)
    assert found.names == ["1", "3"]
    (rejected,) = found.rejected
    assert rejected.reason is ReasonCode.INVALID_RECORD and "no WARC record" in rejected.message
    if how == "plain":
        place = rejected.place
        part = path.read_bytes()[place.offset : place.offset + place.length]
        assert part.lstrip(b"\x00\r\n") == broken.lstrip(b"\x00\r\n")
    if how == "gzip":
        start = len(gzip.compress(INFO)) + len(gzip.compress(response(1)))
        assert (rejected.place.offset, rejected.place.length) == (start, len(gzip.compress(broken)))


@pytest.mark.parametrize("version", ["WARC/0.17", "WARC/0.18", "WARC/1.1", "warc/1.0", "WARC/1.0  ", "WARC/2.0"])
def test_other_versions_are_read(tmp_path: Path, version: str) -> None:
    records = [r.replace(b"WARC/1.0", version.encode(), 1) for r in (INFO, response(1), response(2))]
    assert read(tmp_path / "a.warc", b"".join(records)).texts == [text(1), text(2)]


@every_store
@pytest.mark.parametrize(
    "line", [b"this line has no colon", b"x" * 70_000, b"X-Long: " + b"x" * 900_000, b"\xff\xfe: \x80", b": nothing"]
)
def test_an_odd_line_in_a_header_costs_nothing(tmp_path: Path, how: str, line: bytes) -> None:
    found = read(store(tmp_path, how, [INFO, response(1), with_line(line), response(3)]))
    assert (found.texts, found.rejected) == ([text(1), text(2), text(3)], [])


@every_store
def test_a_header_beyond_all_measure_is_rejected_alone(tmp_path: Path, how: str) -> None:
    found = read(store(tmp_path, how, [response(1), with_line(b"x: " + b"x" * 9_000_000), response(3)]))
    assert found.names == ["1", "3"] and [r.reason for r in found.rejected] == [ReasonCode.INVALID_RECORD]


@every_store
def test_lf_for_cr_lf_is_read(tmp_path: Path, how: str) -> None:
    records = [INFO, conversion("c"), response(1), response(2)]
    lf = [r.replace(b"\r\n", b"\n") for r in records]
    # The length still counts the bytes that were removed.
    assert read(store(tmp_path, how, lf)).texts[1:] == [text(1), text(2)]
    only_header = [r.replace(b"\r\n\r\n", b"\n\n", 1).replace(b"\r\nWARC-", b"\nWARC-") for r in records]
    assert read(store(tmp_path, how, only_header)).texts == [text("c"), text(1), text(2)]


@every_store
def test_blank_lines_zeros_and_empty_members_end_nothing(tmp_path: Path, how: str) -> None:
    records = [b"", INFO, b"\r\n\r\n", response(1), b"", bytes(2_000), response(2), b"\n", b"", response(3), b"\r\n\0"]
    found = read(store(tmp_path, how, records))
    assert (found.texts, found.rejected) == ([text(1), text(2), text(3)], [])


@pytest.mark.parametrize("filling", [b"\r\n\r\n", b"\n", bytes(5_000)])
def test_blank_lines_and_zeros_between_members_end_nothing(tmp_path: Path, filling: bytes) -> None:
    path = tmp_path / "a.warc.gz"
    members = [gzip.compress(r) for r in (INFO, response(1), response(2))]
    found = read(path, filling.join(members) + filling)
    assert (found.texts, found.rejected) == ([text(1), text(2)], [])
    place = found.documents[1].place
    assert path.read_bytes()[place.offset : place.offset + place.length] == members[2]


def test_files_put_together_are_one(tmp_path: Path) -> None:
    parts = [STORES[how][1]([INFO, response(n)]) for n, how in enumerate(("gzip", "bgzip", "whole gzip", "gzip"))]
    found = read(tmp_path / "a.warc.gz", b"".join(parts))
    assert (found.texts, found.rejected, found.skipped) == ([text(n) for n in range(4)], [], {"warcinfo": 4})


def test_what_is_not_a_record_between_two_is_one_row(tmp_path: Path) -> None:
    junk = b"GIF89a, or what a crash left behind\n" * 20
    found = read(tmp_path / "a.warc", response(1) + junk + response(2) + junk)
    assert found.names == ["1", "2"]
    assert [(r.reason, r.place.offset, r.place.length) for r in found.rejected] == [
        (ReasonCode.INVALID_RECORD, len(response(1)), len(junk)),
        (ReasonCode.INVALID_RECORD, len(response(1) + junk + response(2)), len(junk)),
    ]
    assert all(r.snippet == junk.decode()[:200] for r in found.rejected)


@pytest.mark.parametrize("how", ["gzip", "zstd", "lz4"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_damaged_member_costs_no_other_one(tmp_path: Path, how: str, at: int) -> None:
    members = [STORES[how][1]([response(n)]) for n in range(3)]
    members[at] = members[at][:30] + b"\xff" * 60 + members[at][90:]
    found = read(tmp_path / f"a.warc{STORES[how][0]}", b"".join(members))
    assert found.names == [str(n) for n in range(3) if n != at]
    (rejected,) = found.rejected
    if at < 2:
        start = sum(map(len, members[:at]))
        assert rejected.reason is ReasonCode.INVALID_RECORD
        assert (rejected.place.offset, rejected.place.length) == (start, len(members[at]))


def test_a_wrong_checksum_is_a_rejection_though_all_could_be_unpacked(tmp_path: Path) -> None:
    members = [gzip.compress(response(n)) for n in range(3)]
    members[1] = members[1][:-8] + b"\0\0\0\0" + members[1][-4:]
    found = read(tmp_path / "a.warc.gz", b"".join(members))
    assert found.names == ["0", "2"]
    assert [(r.reason, r.doc_id) for r in found.rejected] == [(ReasonCode.INVALID_RECORD, record_id(1))]


def test_a_wrong_checksum_of_many_records_is_said(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(map(response, range(9))))
    found = read(tmp_path / "a.warc.gz", whole[:-8] + b"\0\0\0\0" + whole[-4:])
    assert found.names == [str(n) for n in range(9)]
    assert [r.reason for r in found.rejected] == [ReasonCode.UNREADABLE_FILE]


@pytest.mark.parametrize("how", ["bgzip", "pzstd"])
def test_a_damaged_block_of_many_costs_the_records_in_it(tmp_path: Path, how: str) -> None:
    path = store(tmp_path, how, [response(n) for n in range(20)])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = b"\xff" * 100
    found = read(path, bytes(content))
    assert found.names == [str(n) for n in range(20) if str(n) in found.names] and len(found.names) >= 17
    assert [r.reason for r in found.rejected] == [ReasonCode.INVALID_RECORD]


@every_store
def test_records_within_a_text_are_text(tmp_path: Path, how: str) -> None:
    inner = "About formats.\r\n\r\n" + conversion("inner").decode() + "That was one."
    found = read(store(tmp_path, how, [INFO, conversion(1, inner), conversion(2), conversion(3, inner, length=7)]))
    assert found.texts[:2] == [inner, text(2)]


def test_records_within_a_text_are_text_even_where_its_length_is_wrong_if_each_record_has_a_member(
    tmp_path: Path,
) -> None:
    inner = "About formats.\r\n\r\n" + conversion("inner").decode() + "That was one."
    records = [INFO, conversion(1), conversion(2, inner, length=7), conversion(3)]
    assert read(store(tmp_path, "gzip", records)).texts == [text(1), inner, text(3)]


@pytest.mark.parametrize("kind", ["", "respons", "0xff!"])
def test_a_page_of_an_unknown_kind_is_rejected(tmp_path: Path, kind: str) -> None:
    found = read(tmp_path / "a.warc", record(kind, b"HTTP/1.1 200 OK\r\n\r\n" + html(1), HTTP) + response(2))
    assert (found.names, found.skipped) == (["2"], {})
    assert [(r.reason, r.doc_id) for r in found.rejected] == [(ReasonCode.INVALID_RECORD, record_id(1))]


@pytest.mark.parametrize("size", [0, 2_000])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_dictionary_in_the_first_frame_is_used(tmp_path: Path, size: int, is_compressed: bool) -> None:
    records = [INFO, *(response(n, body=html(n) + b"<p>.</p>" * size) for n in range(40))]
    words = zstandard.train_dictionary(2_000, [bytes(r[:900]) for r in records] * 3)
    content = zstandard.compress(words.as_bytes()) if is_compressed else words.as_bytes()
    compress = zstandard.ZstdCompressor(dict_data=words).compress
    frames = [b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content, *map(compress, records)]
    found = read(tmp_path / "a.warc.zst", b"".join(frames))
    assert found.names == [str(n) for n in range(40)] and not found.rejected
    assert found.documents[0].place.offset == len(frames[0]) + len(frames[1])
    cut = read(tmp_path / "a.warc.zst", b"".join(frames)[: -len(frames[-1]) - 9])
    assert cut.names == [str(n) for n in range(38)]
    assert [r.reason for r in cut.rejected] == [ReasonCode.UNREADABLE_FILE]


def test_a_dictionary_that_is_missing_is_named(tmp_path: Path) -> None:
    words = zstandard.train_dictionary(2_000, [response(n)[:900] for n in range(200)])
    frames = map(zstandard.ZstdCompressor(dict_data=words).compress, [INFO, response(1)])
    (rejected,) = read(tmp_path / "a.warc.zst", b"".join(frames)).rejected
    assert rejected.reason is ReasonCode.UNREADABLE_FILE and f"dictionary {words.dict_id()}" in rejected.message


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (b"warc-type:response\r\nCONTENT-length : 7", {"WARC-Type": "response", "Content-Length": "7"}),
        (b"WARC-Target-URI: http://a/\r\n b c\r\n\td", {"WARC-Target-URI": "http://a/ b c d"}),
        (b"WARC-Target-URI: http://a/\nb?c=d:e", {"WARC-Target-URI": "http://a/b?c=d:e"}),
        (b"WARC-Date: x\nno field", {"WARC-Date": "x"}),
        (b"WARC-Date: x\nWARC-Date: y", {"WARC-Date": "x"}),
        (b"WARC-Concurrent-To: a\nWARC-Concurrent-To: b", {"WARC-Concurrent-To": "a, b"}),
        (b"Own: a\nOwn: b\nown: c", {"Own": "a, b", "own": "c"}),
        ("WARC-Target-URI: http://a/łódź".encode(), {"WARC-Target-URI": "http://a/łódź"}),
        (b"A: K\xe4the\nB: \xc5\x82", {"A": "Käthe", "B": "ł"}),
        (b" \r\nA: b", {"A": "b"}),
        (b"", {}),
    ],
)
def test_header_lines(lines: bytes, fields: dict[str, str]) -> None:
    assert parse_header(b"WARC/1.0\r\n" + lines + b"\r\n\r\n").fields == fields


@pytest.mark.parametrize(
    ("fields", "doc_id", "address"),
    [
        (b"WARC-Record-ID: <urn:uuid:1-2>\r\nWARC-Target-URI: http://a/b c", "1-2", "http://a/b c"),
        (b"WARC-Record-ID: urn:x:1\r\nWARC-Target-URI: <http://a/>", "urn:x:1", "http://a/"),
        (b"WARC-Record-ID: <>\r\nWARC-Target-URI:", None, None),
        (b"", None, None),
    ],
)
def test_id_and_address_of_a_header(fields: bytes, doc_id: str | None, address: str | None) -> None:
    header = parse_header(b"WARC/1.0\r\n" + fields + b"\r\n\r\n")
    assert (header.doc_id, header.url) == (doc_id, address)


def test_every_kind_of_address_reaches_the_document(tmp_path: Path) -> None:
    found = read(tmp_path / "a.warc", response("łódź"))
    assert found.documents[0].url == url("łódź")


@every_store
@pytest.mark.parametrize("kind", ["response", "conversion"])
def test_a_header_that_lost_its_end_costs_no_other_record(tmp_path: Path, how: str, kind: str) -> None:
    make = response if kind == "response" else conversion
    # The next blank line is after the record.
    broken = make(2).replace(b"\r\n\r\n", b"\r\n\r ", 1).replace(b"\n\n", b"\n").replace(b"\r\n\r\n<", b"\r\n<")
    found = read(store(tmp_path, how, [INFO, make(1), broken, make(3), make(4)]))
    assert found.names == ["1", "3", "4"]
    assert [(r.reason, r.doc_id) for r in found.rejected] == [(ReasonCode.INVALID_RECORD, record_id(2))]
