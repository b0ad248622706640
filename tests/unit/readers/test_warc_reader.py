from __future__ import annotations

import gzip
import random
import re
import sys
import zlib
from pathlib import Path

import pytest
import zstandard
from warc_files import HTTP, INFO, STORES, conversion, html, read, record, record_id, response, store, text, url

from prox_spark.errors import ProxSparkError, ReasonCode
from prox_spark.readers import InputFormat
from prox_spark.readers.warc import html_to_text

pytestmark = pytest.mark.unit
every_store = pytest.mark.parametrize("how", STORES)


def test_page_becomes_lines_of_text_with_its_noise(tmp_path: Path) -> None:
    body = b"<title>t</title><nav>Menu</nav><p>One</p><p>Two</p><script>x()</script>"
    (document,) = read(tmp_path / "a.warc", response("ä", body=body)).documents
    assert [line for line in document.text.splitlines() if line] == ["Menu", "One", "Two"]
    assert (document.doc_id, document.url) == (record_id("ä"), url("ä"))
    assert document.metadata is not None and document.metadata["WARC-Type"] == "response"


@every_store
def test_records_come_out_in_the_order_of_the_file_however_it_is_stored(tmp_path: Path, how: str) -> None:
    records = [INFO, *(response(n) for n in range(30)), record("request", b"GET / HTTP/1.1\r\n\r\n")]
    found = read(store(tmp_path, how, records))
    assert found.texts == [text(n) for n in range(30)]
    assert (found.rejected, found.skipped) == ([], {"warcinfo": 1, "request": 1})


@pytest.mark.parametrize("how", ["plain", "gzip", "zstd", "lz4"])
def test_offset_and_length_cut_the_record_out_of_the_file(tmp_path: Path, how: str) -> None:
    # Records are short and long, because reading ahead must not move the places.
    records = [INFO, response(1), conversion(2, ""), conversion(3, "x"), response(4, body=html(4) * 3_000), response(5)]
    path = store(tmp_path, how, records)
    found = read(path)
    assert found.names == ["1", "2", "3", "4", "5"]
    end = None
    for document in found.documents:
        offset, length = document.place.offset, document.place.length
        assert offset is not None and length is not None and end in (None, offset)
        end = offset + length
        part = tmp_path / f"part{''.join(path.suffixes)}"
        (again,) = read(part, path.read_bytes()[offset:end]).documents
        assert (again.text, again.place.offset, again.place.length) == (document.text, 0, length)


@pytest.mark.parametrize("how", ["whole gzip", "whole zstd", "bgzip", "pzstd"])
def test_records_that_share_a_member_have_no_place(tmp_path: Path, how: str) -> None:
    found = read(store(tmp_path, how, [INFO, response(1), response(2)]))
    assert [(d.place.offset, d.place.length) for d in found.documents] == [(None, None)] * 2


def test_a_member_with_two_records_takes_the_place_of_these_only(tmp_path: Path) -> None:
    members = [response(1), response(2) + response(3), response(4)]
    found = read(store(tmp_path, "gzip", members))
    assert [d.place.offset is None for d in found.documents] == [False, True, True, False]
    last = found.documents[-1].place
    assert last.offset == len(gzip.compress(members[0])) + len(gzip.compress(members[1]))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (response(1, head=b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n"), "HTTP 404"),
        (response(1, head=b"HTTP/1.1 301 Moved\r\nContent-Type: text/html\r\nLocation: /x\r\n\r\n"), "HTTP 301"),
        (response(1, head=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"), "image/*"),
        (response(1, head=b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4; a=b\r\n\r\n"), "video/*"),
        (response(1, head=b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"), "application/pdf"),
        (response(1, head=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"), "text/plain"),
        (response(1, head=b"HTTP/1.1 200 OK\r\n\r\n", body=b"\x89PNG"), "no Content-Type"),
        (response(1, head=b"", body=b""), "empty response"),
        (record("response", b"20240305 birds.example", "Content-Type: text/dns"), "text/dns"),
        (record("resource", b"\x89PNG", "Content-Type: image/png"), "image/*"),
        (record("conversion", b"\x89PNG", "Content-Type: image/png"), "image/*"),
        (record("metadata", b"x"), "metadata"),
        (record("revisit", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", HTTP), "revisit"),
        (record("request", b"GET / HTTP/1.1\r\n\r\n", "Content-Type: application/http; msgtype=request"), "request"),
        (record("resource", b"GET / HTTP/1.1\r\n\r\n", "Content-Type: application/http;msgtype=request"), "request"),
        (record("continuation", b"more"), "continuation"),
        (record("screenshot", b"\x89PNG", "Content-Type: image/png"), "WARC-Type screenshot"),
    ],
)
def test_what_is_no_page_is_counted_by_its_kind(tmp_path: Path, other: bytes, what: str) -> None:
    found = read(tmp_path / "a.warc.gz", gzip.compress(other) + gzip.compress(response(2)) + gzip.compress(other))
    assert (found.names, found.rejected, found.skipped) == (["2"], [], {what: 2})


def test_what_crawlers_log_of_themselves_is_no_page(tmp_path: Path) -> None:
    log = record("resource", b"Resolving birds.example...", "Content-Type: text/plain")
    logs = [
        re.sub(rb"https://birds.example/1", uri, log)
        for uri in (b"metadata://gnu.org/software/wget/warc/wget.log", b"urn:X-wpull:log")
    ]
    found = read(tmp_path / "a.warc", b"".join([*logs, response(2)]))
    assert (found.names, found.skipped) == (["2"], {"records of the crawler about itself": 2})


def test_kinds_that_servers_make_up_do_not_become_many(tmp_path: Path) -> None:
    heads = [f"HTTP/1.1 200 OK\r\nContent-Type: application/x-{n}\r\n\r\n".encode() for n in range(500)]
    found = read(tmp_path / "a.warc", b"".join(response(n, head=head) for n, head in enumerate(heads)))
    assert len(found.skipped) == 101 and sum(found.skipped.values()) == 500 and found.skipped["other types"] == 400


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        (["Content-Type: text/html"], html(1)),
        (["Content-Type: text/html; charset=utf-8"], html(1)),
        (["Content-Type: application/xhtml+xml"], html(1)),
        ([], html(1)),
        (["WARC-Identified-Payload-Type: text/html"], html(1)),
        (["Content-Type: text/plain"], text(1).encode()),
        (["Content-Type: text/plain; charset=utf-16"], text(1).encode("utf-16")),
        (["Content-Type: text/plain"], b"\xef\xbb\xbf" + text(1).encode()),
        ([HTTP], b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html(1)),
    ],
)
@pytest.mark.parametrize("kind", ["resource", "Resource"])
def test_resources_with_a_page_or_text_are_documents(
    tmp_path: Path, kind: str, fields: list[str], content: bytes
) -> None:
    found = read(tmp_path / "a.warc", record(kind, content, *fields))
    assert (found.texts, found.rejected, found.skipped) == ([text(1)], [], {})


@pytest.mark.parametrize("kind", InputFormat)
def test_conversions_are_documents_in_both_formats(tmp_path: Path, kind: InputFormat) -> None:
    if kind in (InputFormat.WARC, InputFormat.WET):
        content = INFO + conversion(1, "Eins\nZwei\n ä ") + record("conversion", b"no type", name=2)
        found = read(tmp_path / "a", content, kind)
        assert (found.texts, found.skipped) == (["Eins\nZwei\n ä ", "no type"], {"warcinfo": 1})


def test_conversion_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path / "a.wet", conversion(1, b"caf\xe9") + conversion(2), InputFormat.WET)
    (rejected,) = found.rejected
    assert (rejected.reason, rejected.doc_id, rejected.snippet) == (
        ReasonCode.INVALID_UTF8,
        record_id(1),
        "caf\\xe9",
    )
    assert found.names == ["2"]


def test_text_too_long_is_rejected_alone(tmp_path: Path) -> None:
    found = read(tmp_path / "a.wet", conversion(1, "x" * 101) + conversion(2, "y" * 100), max_text_chars=100)
    assert found.texts == ["y" * 100]
    assert [(r.reason, r.doc_id) for r in found.rejected] == [(ReasonCode.TEXT_TOO_LONG, record_id(1))]


@pytest.mark.parametrize("how", ["plain", "gzip", "whole gzip"])
@pytest.mark.parametrize("n_bytes", [5_000, 5_000_000])
def test_page_beyond_the_limit_is_too_long_and_an_image_is_none(tmp_path: Path, how: str, n_bytes: int) -> None:
    image = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    no_type = b"HTTP/1.1 200 OK\r\n\r\n"
    records = [
        response(1, body=b"x" * n_bytes),
        response(2, head=image, body=b"x" * n_bytes),
        response(3, head=no_type, body=b"x" * n_bytes),
        response(4, head=no_type, body=b"<html>" + b"x" * n_bytes),
        response(5),
    ]
    found = read(store(tmp_path, how, records), max_text_chars=130)
    assert found.names == ["5"]
    assert [(r.reason, r.doc_id) for r in found.rejected] == [
        (ReasonCode.TEXT_TOO_LONG, record_id(1)),
        (ReasonCode.TEXT_TOO_LONG, record_id(4)),
    ]
    assert found.skipped == {"image/*": 1, "no Content-Type": 1}


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


@every_store
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_cut_off_file_yields_whole_records_and_one_rejection(tmp_path: Path, how: str, share: float) -> None:
    # Texts don't repeat up to their ends, so that each byte of a compressed file, also the last, holds about as much text.
    rng = random.Random(12)
    records = [response(n, body=html(n) + rng.randbytes(2000).hex().encode()) for n in range(12)]
    path = store(tmp_path, how, records)
    whole = read(path)
    cut = int(len(path.read_bytes()) * share)
    found = read(path, path.read_bytes()[:cut])
    n_whole = len(found.documents)
    assert found.texts == whole.texts[:n_whole] and n_whole < 12
    ends = [d.place.offset + d.place.length for d in whole.documents if d.place.offset is not None]
    if how.startswith("whole"):
        ends = [sum(map(len, records[: n + 1])) for n in range(12)]
        unpack = zlib.decompressobj(31) if "gzip" in how else zstandard.ZstdDecompressor().decompressobj()
        cut = len(unpack.decompress(path.read_bytes()))
    assert n_whole == sum(end <= cut for end in ends) if ends else n_whole >= 12 * share - 2
    (rejected,) = found.rejected
    assert rejected.reason is ReasonCode.UNREADABLE_FILE and "cut off" in rejected.message


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst", "a.warc.lz4"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"no warc at all\n" * 1_000, "no WARC record"),
        (gzip.compress(b"no warc at all", mtime=0), "no WARC record"),
        (b"\x1f\x8bnonsense", "no WARC record"),
        (b"<!DOCTYPE html><p>Not found", "an HTML page"),
        (gzip.compress(gzip.compress(response(1))), "compressed twice"),
    ],
)
def test_file_that_is_no_warc_is_one_rejection(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    found = read(tmp_path / name, content)
    (rejected,) = found.rejected
    assert (found.documents, found.skipped) == ([], {})
    assert rejected.reason is ReasonCode.UNREADABLE_FILE and message in rejected.message


@pytest.mark.parametrize("how", ["plain", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst", "part-00000"])
def test_compression_is_known_by_the_first_bytes(tmp_path: Path, how: str, name: str) -> None:
    content = STORES[how][1]([INFO, response(1)])
    assert read(tmp_path / name, content).names == ["1"]


def test_packages_that_are_missing_are_named_and_wet_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    with pytest.raises(ProxSparkError, match=r"pip install 'prox-spark\[warc\]'"):
        read(tmp_path / "a.warc", response(1))
    assert read(tmp_path / "a.wet", conversion(1), InputFormat.WET).names == ["1"]
