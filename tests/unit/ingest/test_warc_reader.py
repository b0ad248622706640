from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from prox_spark.errors import ReasonCode
from prox_spark.ingest import InputFormat, ReadOptions, Record, Rejected, read_file
from prox_spark.ingest.warc import html_to_text

pytestmark = pytest.mark.unit
ID = "2aabeff2-67f5-4608-8466-e87c6296e2b6"


def warc_record(kind: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{ID}>",
        "WARC-Target-URI: https://example.org/ä",
        *headers,
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"\r\n\r\n"


def response(html: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *(headers or ("Content-Type: text/html",))]).encode()
    return warc_record("response", head + b"\r\n\r\n" + html, "Content-Type: application/http; msgtype=response")


def read(path: Path, *records: bytes, kind: InputFormat = InputFormat.WARC, **options: int) -> list:
    path.write_bytes(b"".join(gzip.compress(r) for r in records) if path.suffix == ".gz" else b"".join(records))
    return list(read_file(str(path), kind, ReadOptions(**options)))


PAGE = response(b"<title>t</title><nav>Menu</nav><p>One</p><p>Two</p><script>x()</script>")


def test_page_becomes_lines_of_text_with_its_noise(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.warc", PAGE)
    assert [line for line in record.text.splitlines() if line] == ["Menu", "One", "Two"]
    assert (record.doc_id, record.url) == (ID, "https://example.org/ä")
    assert record.metadata["WARC-Type"] == "response"


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_offset_and_length_cut_the_record_out_of_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    items = read(path, warc_record("warcinfo", b"x"), PAGE, warc_record("request", b"x"), PAGE)
    *records, skipped = items
    assert skipped.n_records == 2
    for record in records:
        place = record.place
        content = path.read_bytes()[place.offset : place.offset + place.length]
        alone = tmp_path / f"alone.{name}"
        alone.write_bytes(content)
        (again,) = read_file(str(alone), InputFormat.WARC, ReadOptions())
        assert again.text == record.text


@pytest.mark.parametrize(
    "other",
    [
        response(b"<p>gone</p>", "404 Not Found"),
        response(b"", "301 Moved", "Content-Type: text/html", "Location: /x"),
        response(b"\x89PNG", "200 OK", "Content-Type: image/png"),
        warc_record("metadata", b"x"),
        warc_record("request", b"GET / HTTP/1.1\r\n\r\n", "Content-Type: application/http; msgtype=request"),
    ],
)
def test_what_is_no_page_is_counted_not_rejected(tmp_path: Path, other: bytes) -> None:
    record, skipped = read(tmp_path / "a.warc.gz", other, PAGE)
    assert isinstance(record, Record) and skipped.n_records == 1


def test_content_encoding_is_undone(tmp_path: Path) -> None:
    (record,) = read(
        tmp_path / "a.warc",
        response(gzip.compress(b"<p>zipped</p>"), "200 OK", "Content-Type: text/html", "Content-Encoding: gzip"),
    )
    assert record.text.strip() == "zipped"


def test_page_that_unpacks_beyond_the_limit_is_too_long(tmp_path: Path) -> None:
    bomb = gzip.compress(b"<p>" + b"x" * 1_000_000)
    rejected, record = read(
        tmp_path / "a.warc",
        response(bomb, "200 OK", "Content-Type: text/html", "Content-Encoding: gzip"),
        PAGE,
        max_text_chars=100,
    )
    assert rejected.reason is ReasonCode.TEXT_TOO_LONG and rejected.doc_id == ID
    assert isinstance(record, Record)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("<p>Grüße</p>".encode(), "utf-8"),
        ("<p>Grüße</p>".encode("latin-1"), "utf-8"),
        ("<p>Grüße</p>".encode("latin-1"), "no-such-charset"),
        ('<meta charset="iso-8859-1"><p>Grüße</p>'.encode("latin-1"), None),
    ],
)
def test_charset_is_found_like_a_browser_does(body: bytes, charset: str | None) -> None:
    assert html_to_text(body, charset).strip() == "Grüße"


def test_wet_conversion_is_the_text_as_it_is(tmp_path: Path) -> None:
    text = "Eins\nZwei\n ä "
    record, skipped = read(
        tmp_path / "a.warc.wet.gz",
        warc_record("warcinfo", b"x"),
        warc_record("conversion", text.encode(), "Content-Type: text/plain"),
        kind=InputFormat.WET,
    )
    assert (record.text, record.doc_id, skipped.n_records) == (text, ID, 1)


def test_wet_text_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    (only,) = read(tmp_path / "a.wet", warc_record("conversion", b"caf\xe9"), kind=InputFormat.WET)
    assert only.reason is ReasonCode.INVALID_UTF8 and only.doc_id == ID


@pytest.mark.parametrize("cut", [20, 200, 230])
def test_cut_off_file_yields_whole_records_and_one_rejection(tmp_path: Path, cut: int) -> None:
    big = response(b"<p>" + bytes(range(65, 91)) * 20 + b"</p>")
    whole = gzip.compress(PAGE) + gzip.compress(big)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(whole[: len(gzip.compress(PAGE)) + cut])
    record, rejected = read_file(str(path), InputFormat.WARC, ReadOptions())
    assert isinstance(record, Record) and record.place.offset == 0
    assert isinstance(rejected, Rejected) and rejected.reason is ReasonCode.UNREADABLE_FILE


@pytest.mark.parametrize("content", [b"no warc at all", gzip.compress(b"no warc at all", mtime=0), b"\x1f\x8bnonsense"])
def test_file_that_is_no_warc_is_one_rejection(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(content)
    (only,) = read_file(str(path), InputFormat.WARC, ReadOptions())
    assert only.reason is ReasonCode.UNREADABLE_FILE


def test_damaged_member_ends_the_file_but_not_what_came_before(tmp_path: Path) -> None:
    members = [gzip.compress(PAGE) for _ in range(3)]
    damaged = bytearray(members[1])
    damaged[40:60] = b"x" * 20
    path = tmp_path / "a.warc.gz"
    path.write_bytes(members[0] + bytes(damaged) + members[2])
    first, *_, last = read_file(str(path), InputFormat.WARC, ReadOptions())
    assert isinstance(first, Record) and last.reason is ReasonCode.UNREADABLE_FILE


def test_other_writers_files_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    head = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
    writer.write_record(
        writer.create_warc_record("https://e.org/", "response", io.BytesIO(b"<p>hi</p>"), http_headers=head)
    )
    (tmp_path / "a.warc.gz").write_bytes(out.getvalue())
    (record,) = read_file(str(tmp_path / "a.warc.gz"), InputFormat.WARC, ReadOptions())
    assert record.text.strip() == "hi"
