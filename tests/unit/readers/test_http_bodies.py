"""HTTP as servers send it: heads, transfer codings and content codings."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from warc_files import html, read, record_id, response, text

from prox_spark.errors import ReasonCode
from prox_spark.readers.warc.chunks import unchunk
from prox_spark.readers.warc.codings import UndecodableError, undo_codings
from prox_spark.readers.warc.http import looks_like_html, parse_head, read_media_type

pytestmark = pytest.mark.unit

PAGE = html(1)
# A page that compresses to several blocks.
LONG = b"<p>" + " ".join(map(str, random.Random(1).choices(range(10**6), k=40_000))).encode() + b"</p>"


def deflate(content: bytes) -> bytes:
    """Compress with deflate, without a header."""
    compress = zlib.compressobj(wbits=-15)
    return compress.compress(content) + compress.flush()


def chunked(content: bytes, size: int = 40, extension: str = "", end: str = "\r\n", last: str = "0\r\n\r\n") -> bytes:
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    sizes = [f"{len(part):X}{extension}{end}".encode() for part in parts]
    return b"".join(n + part + end.encode() for n, part in zip(sizes, parts, strict=True)) + last.encode()


def undo(body: bytes, content: str = "", transfer: str = "", max_bytes: int = 10**7) -> bytes:
    """Return the decoded body after checking that nothing is missing."""
    found = undo_codings(body, transfer.split(","), content.split(","), max_bytes)
    assert (found.problem, found.is_too_large) == (None, False)
    return found.content


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.0  200 OK",
        b"HTTP/2 200",
        b"HTTP/2.0 200 ",
        b"HTTP/3 200",
        b"http/1.1 200 ok",
        b"HTTP/1.1 200OK",
        b"HTTP 200 OK",
        b"HTTP/1.1 OK",
        b"HTTP/1.1",
        b"\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 200 Página".encode("latin-1"),
        "HTTP/1.1 200 Página".encode(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.0 200 Connection established\r\n\r\nHTTP/1.1 200 OK",
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n"])
def test_status_lines(start: bytes, end: bytes) -> None:
    head = parse_head(start + end + b"Content-Type: text/html" + end + end + PAGE, is_whole=True)
    assert head is not None and head.status == 200
    assert head.media_type == ("text/html", None)
    assert head.n_bytes == len(start + end + b"Content-Type: text/html" + end + end)


@pytest.mark.parametrize("block", [b"", PAGE, b"ICY 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"HTTPS is\r\n\r\n"])
def test_what_has_no_status_line_has_no_head(block: bytes) -> None:
    assert parse_head(block, is_whole=True) is None


def test_a_head_without_an_end_is_all_there_is_or_not_known_yet() -> None:
    block = b"HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n"
    head = parse_head(block, is_whole=True)
    assert head is not None and (head.n_bytes, head.media_type[0]) == (len(block), "text/html")
    assert parse_head(block, is_whole=False) is None


@pytest.mark.parametrize(
    "lines",
    [
        'P3P : CP="NOI"',
        "Made with: Garden CMS",
        "X-Odd: a\x01b\x7fc\x00",
        "X-Broken header without colon",
        ": no name",
        "X-Long: first\r\n second\r\n\tthird",
        " begins with a blank",
        "Set-Cookie: n=Käthe",
        "X-Large: " + "x" * 200_000,
        "Content-Length: 5",
        "Content-Length: many",
        "Content-Type: text/html",
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_odd_lines_of_a_head_cost_nothing(tmp_path: Path, lines: str, end: str) -> None:
    head = f"HTTP/1.1 200 OK\r\n{lines}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n".replace("\r\n", end)
    found = read(tmp_path / "a.warc", response(1, head=head.encode("latin-1")))
    assert (found.texts, found.rejected, found.skipped) == ([text(1)], [], {})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["text/html"], ("text/html", None)),
        (["TEXT/HTML; CHARSET=UTF-8"], ("text/html", "UTF-8")),
        (["text/html;charset=utf-8"], ("text/html", "utf-8")),
        (['text/html; charset="utf-8"'], ("text/html", "utf-8")),
        (["text/html; charset = 'utf-8'"], ("text/html", "utf-8")),
        (["text/html charset=utf-8"], ("text/html", "utf-8")),
        (["text/html:charset=utf-8"], ("text/html", "utf-8")),
        (["text/html; a=b; charset=utf-8; c"], ("text/html", "utf-8")),
        (["text/html, text/html; charset=utf-8"], ("text/html", "utf-8")),
        (["text/html; charset=utf-8, text/html"], ("text/html", "utf-8")),
        (["text/html; charset=utf-8", "text/html"], ("text/html", "utf-8")),
        (["text/html; charset=utf-8", "image/png"], ("image/png", None)),
        (["text/html, */*"], ("text/html", None)),
        (["text/html,"], ("text/html", None)),
        (['text/html; a=","; charset=utf-8'], ("text/html", "utf-8")),
        (["text/html", ""], ("text/html", None)),
        (["application/unknown"], (None, None)),
        (["html"], (None, None)),
        ([""], (None, None)),
        ([], (None, None)),
    ],
)
def test_media_types(values: list[str], expected: tuple[str | None, str | None]) -> None:
    assert read_media_type(values) == expected


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: html\r\n\r\n", b""])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf \r\n", b"<!-- c -->\n", b"<!doctype html>", b"<HTML\n lang=en>"])
def test_a_page_without_a_type_is_known_by_its_beginning(tmp_path: Path, head: bytes, start: bytes) -> None:
    found = read(tmp_path / "a.warc", response(1, head=head, body=start + PAGE))
    assert (found.texts, found.skipped) == ([text(1)], {})


@pytest.mark.parametrize("body", [b"", b"Text", b"{}", b"<rss>", b'<?xml version="1.0"?><rss/>', b"<pre>", b"<header>"])
def test_what_does_not_begin_like_a_page_is_none(body: bytes) -> None:
    assert not looks_like_html(body)
    assert looks_like_html(b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">' + body)


def test_a_response_without_a_head_that_is_no_page_is_rejected(tmp_path: Path) -> None:
    (rejected,) = read(tmp_path / "a.warc", response(1, head=b"", body=b"HXTP/1.1 200 OK\r\n\r\n" + PAGE)).rejected
    assert (rejected.reason, rejected.doc_id) == (ReasonCode.INVALID_RECORD, record_id(1))


@pytest.mark.parametrize(
    "body",
    [
        chunked(LONG),
        chunked(LONG, 8_192),
        chunked(LONG, extension=";n=v"),
        chunked(LONG, extension="  "),
        chunked(LONG, end="\n"),
        chunked(LONG, last=""),
        chunked(LONG, last="0"),
        chunked(LONG, last="000\r\n\r\n"),
        chunked(LONG, last="0\r\nX-Sum: 1\r\n\r\n"),
        chunked(LONG, last="0\r\n\r\n<!-- cached -->"),
        b"\r\n" + chunked(LONG),
        chunked(LONG).lower(),
        chunked(LONG, end="").replace(b"<p>", b"<p>", 1) if False else chunked(LONG, 10**6),
        LONG,
        b"123\n" + LONG,
        b"",
        b"0\r\n\r\n",
    ],
)
def test_chunks_are_joined_and_what_has_none_stays(body: bytes) -> None:
    expected = {b"": b"", b"0\r\n\r\n": b"", b"123\n" + LONG: b"123\n" + LONG}.get(body, LONG)
    assert unchunk(body) == (expected, None)


def test_chunks_may_lack_the_line_end_between_them() -> None:
    assert unchunk(b"5\r\nHello7\r\n, world0\r\n\r\n") == (b"Hello, world", None)


@pytest.mark.parametrize("wrong", [b"fff", b"2A", b"1", b"FFFFFFFFF"])
@pytest.mark.parametrize("at", [0, 3, 8])
def test_a_chunk_of_a_wrong_size_ends_where_the_right_ones_go_on(wrong: bytes, at: int) -> None:
    parts = [b"%d this is a line of forty characters %d\n" % (n, n) for n in range(10)]
    sizes = [b"%X" % len(part) for part in parts]
    sizes[at] = wrong
    body = b"".join(n + b"\r\n" + part + b"\r\n" for n, part in zip(sizes, parts, strict=True)) + b"0\r\n\r\n"
    assert unchunk(body) == (b"".join(parts), None)


def test_a_chunk_that_is_cut_off_is_read_and_noted() -> None:
    body, problem = unchunk(chunked(LONG, 1_000)[:5_500])
    assert LONG.startswith(body) and len(body) > 5_400 and problem is not None and "of its 1,000 bytes" in problem


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ("gzip", gzip.compress(LONG)),
        ("x-gzip", gzip.compress(LONG)),
        (" GZIP", gzip.compress(LONG)),
        ("gzip;q=1", gzip.compress(LONG)),
        ("deflate", zlib.compress(LONG)),
        ("deflate", deflate(LONG)),
        ("br", brotli.compress(LONG)),
        ("zstd", zstandard.compress(LONG)),
        ("gzip, gzip", gzip.compress(gzip.compress(LONG))),
        ("gzip, br", brotli.compress(gzip.compress(LONG))),
        ("br,gzip", gzip.compress(brotli.compress(LONG))),
        # Claims that are false or half true.
        *[(name, LONG) for name in ("gzip", "deflate", "br", "zstd", "none", "identity", "utf-8", "", "gzip,br")],
        ("gzip, gzip", gzip.compress(LONG)),
        ("gzip, deflate", gzip.compress(LONG)),
        ("gzip", gzip.compress(gzip.compress(LONG))),
        ("", gzip.compress(LONG)),
        ("identity", zstandard.compress(LONG)),
        ("br", gzip.compress(LONG)),
        ("deflate", gzip.compress(LONG)),
        ("gzip", zlib.compress(LONG)),
        # Bytes before, between or after members.
        ("gzip", b"\r\n" + gzip.compress(LONG)),
        ("gzip", gzip.compress(LONG[:999]) + gzip.compress(LONG[999:])),
        ("zstd", zstandard.compress(LONG[:999]) + zstandard.compress(LONG[999:]) + b"junk"),
        *[
            (name, pack(LONG) + b"\r\n<!-- cached -->")
            for name, pack in [("gzip", gzip.compress), ("br", brotli.compress)]
        ],
        ("deflate", deflate(LONG) + bytes(8)),
        ("gzip", gzip.compress(LONG) + b"\x1f\x8b\x08\x00 more"),
    ],
)
def test_content_codings(content: str, body: bytes) -> None:
    assert undo(body, content) == LONG


@pytest.mark.parametrize("body", [b"", b"K", b"hello", b"Some words.", "Käse, \x01 für alle".encode(), PAGE])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_short_text_is_taken_for_no_stream(coding: str, body: bytes) -> None:
    assert undo(body, coding) == body


def test_utf16_is_taken_for_no_stream() -> None:
    assert undo("<p>wide".encode("utf-16"), "br") == "<p>wide".encode("utf-16")


@pytest.mark.parametrize("transfer", ["chunked", "gzip,chunked", "identity", "Chunked,chunked", "gzip"])
def test_transfer_codings_are_undone_before_those_of_the_content(transfer: str) -> None:
    body = brotli.compress(LONG)
    body = gzip.compress(body) if "gzip" in transfer else body
    assert undo(chunked(body) if "hunked" in transfer else body, "br", transfer) == LONG


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", gzip.compress(LONG)), ("deflate", zlib.compress(LONG)), ("br", brotli.compress(LONG))]
)
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_of_a_damaged_stream_what_is_readable_is_read_and_noted(coding: str, body: bytes, damage: str) -> None:
    middle = len(body) // 2
    bad = body[:middle] if damage == "cut" else body[:middle] + b"\xff" * 40 + body[middle + 40 :]
    found = undo_codings(bad, [], [coding], 10**7)
    assert found.problem is not None and ("end early" if damage == "cut" else "damaged") in found.problem
    assert len(found.content) > len(LONG) // 4 and LONG.startswith(found.content[: len(LONG) // 4])


def test_of_a_stream_without_a_header_that_is_cut_off_what_is_readable_is_read_and_noted() -> None:
    found = undo_codings(deflate(LONG)[:9_000], [], ["deflate"], 10**7)
    assert LONG.startswith(found.content) and len(found.content) > 9_000 and found.problem is not None


def test_a_wrong_checksum_loses_nothing_and_is_noted() -> None:
    found = undo_codings(gzip.compress(LONG)[:-8] + bytes(8), [], ["gzip"], 10**7)
    assert found.content == LONG and found.problem is not None


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(LONG)[:10] + b"\xff" * 99),
        ("gzip", brotli.compress(LONG)),
        ("br", random.Random(1).randbytes(999)),
        ("zstd", zstandard.compress(LONG)[:99]),
    ],
)
def test_what_can_not_be_unpacked_is_no_text(tmp_path: Path, coding: str, body: bytes) -> None:
    with pytest.raises(UndecodableError):
        undo_codings(body, [], [coding], 10**7)
    found = read(tmp_path / "a.warc", response(1, f"Content-Encoding: {coding}", body=body) + response(2))
    assert found.names == ["2"]
    assert [(r.reason, r.doc_id) for r in found.rejected] == [(ReasonCode.INVALID_RECORD, record_id(1))]


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("br", lambda body: brotli.compress(body, quality=1)), ("zstd", zstandard.compress)],
)
def test_a_bomb_is_too_long_and_stays_small(tmp_path: Path, coding: str, pack) -> None:
    bomb = pack(b"<p>" + b"x" * 100_000_000)
    path = tmp_path / "a.warc"
    path.write_bytes(response(1, f"Content-Encoding: {coding}", body=bomb) + response(2))
    tracemalloc.start()
    found = read(path, max_text_chars=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.names == ["2"]
    assert [(r.reason, r.doc_id) for r in found.rejected] == [(ReasonCode.TEXT_TOO_LONG, record_id(1))]
    assert peak < 60 << 20


def test_a_note_stands_behind_its_document(tmp_path: Path) -> None:
    body = gzip.compress(PAGE + LONG)[:9_000]
    path = tmp_path / "a.warc"
    found = read(path, response(1, "Content-Encoding: gzip", body=body) + response(2))
    assert found.names == ["1", "2"]
    (note,) = found.rejected
    assert (note.reason, note.doc_id, note.place) == (ReasonCode.CUT_OFF, record_id(1), found.documents[0].place)
    assert "end early" in note.message
