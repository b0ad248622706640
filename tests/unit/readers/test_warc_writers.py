"""Files of other writers. Reading them with warcio gives the same pages."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastwarc.stream_io import GzipWriter, Lz4Writer, ZstdWriter
from fastwarc.warc import WarcRecord, WarcRecordType
from warc_files import read
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from prox_spark.readers.warc import html_to_text

pytestmark = pytest.mark.unit
# Written by wget 1.21.3 with --recursive --level=1 from a site of thirteen addresses; the second with --no-warc-compression.
WGET = Path(__file__).parents[2] / "data/wget"
PAGE = "<html><body><p>Start of page {0}.</p><p>Größe</p><p>End.</p></body></html>"
CHUNKS = b"4\r\n<p>c\r\n7\r\nhunks</\r\n2\r\np>\r\n0\r\n\r\n"

# Address, status, fields, body as sent. Not with br: warcio 1.8.1 can't read that with brotli 1.2.
RESPONSES: list[tuple[str, str, list[tuple[str, str]], bytes]] = [
    ("utf8", "200 OK", [("Content-Type", "text/html; charset=utf-8")], PAGE.format(1).encode()),
    ("latin1", "200 OK", [("Content-Type", "text/html; charset=iso-8859-1")], PAGE.format(2).encode("latin-1")),
    ("xhtml", "200 OK", [("Content-Type", "application/xhtml+xml")], PAGE.format(3).encode()),
    ("no-charset", "200 OK", [("content-type", "text/html")], PAGE.format(4).encode()),
    ("created", "201 Created", [("Content-Type", "text/html")], PAGE.format(5).encode()),
    ("gzip", "200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "gzip")], gzip.compress(b"<p>zip</p>")),
    ("chunked", "200 OK", [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked")], CHUNKS),
    ("untrue", "200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "gzip")], PAGE.format(6).encode()),
    ("empty", "200 OK", [("Content-Type", "text/html")], b""),
    ("large", "200 OK", [("Content-Type", "text/html")], PAGE.format(7).encode() * 9_000),
    ("moved", "301 Moved", [("Content-Type", "text/html"), ("Location", "/utf8")], PAGE.format(8).encode()),
    ("gone", "404 Not Found", [("Content-Type", "text/html")], PAGE.format(9).encode()),
    ("image", "200 OK", [("Content-Type", "image/png")], bytes(range(256)) * 400),
]


def write_with_warcio(path: Path, gzipped: bool) -> None:
    with path.open("wb") as out:
        writer = WARCWriter(out, gzip=gzipped)
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "test"}))
        for name, status, fields, body in RESPONSES:
            head = StatusAndHeaders(status, fields, protocol="HTTP/1.1")
            address = f"https://birds.example/{name}"
            page = writer.create_warc_record(address, "response", io.BytesIO(body), http_headers=head)
            request = StatusAndHeaders(f"GET /{name} HTTP/1.1", [("Host", "birds.example")], is_http_request=True)
            writer.write_record(page)
            writer.write_record(writer.create_warc_record(address, "request", io.BytesIO(b""), http_headers=request))


def write_with_fastwarc(path: Path, compress: Callable[[Any], Any]) -> None:
    with path.open("wb") as out:
        stream = compress(out)
        for name, status, fields, body in RESPONSES:
            head = "".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status}", *map(": ".join, fields), ""])
            record = WarcRecord()
            record.init_headers(record_type=WarcRecordType.response)
            record.headers["WARC-Target-URI"] = f"https://birds.example/{name}"
            record.headers["Content-Type"] = "application/http; msgtype=response"
            record.set_bytes_content(head.encode() + body)
            record.write(stream)
            # A member or frame for each record.
            stream.finish()
        stream.close()


def read_with_warcio(path: Path) -> Iterator[tuple[str, str]]:
    """Yield address and text of each HTML response that has text."""
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type != "response" or not record.http_headers.get_statuscode().startswith("2"):
                continue
            kind, _, rest = (record.http_headers.get_header("Content-Type") or "").partition(";")
            if kind.strip() in ("text/html", "application/xhtml+xml"):
                charset = rest.partition("charset=")[2] or None
                if text := html_to_text(record.content_stream().read(), charset).strip():
                    yield record.rec_headers.get_header("WARC-Target-URI").strip("<>"), text


def read_with_ours(path: Path) -> list[tuple[str | None, str]]:
    found = read(path)
    assert not found.rejected
    return [(document.url, document.text.strip()) for document in found.documents if document.text.strip()]


@pytest.fixture(params=["warcio.warc.gz", "warcio.warc", "fastwarc.warc.gz", "wget.warc.gz", "wget-plain.warc"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a file with one of three writers."""
    path = tmp_path / request.param
    if request.param.startswith("wget"):
        return WGET / request.param
    if request.param.startswith("warcio"):
        write_with_warcio(path, path.suffix == ".gz")
    else:
        write_with_fastwarc(path, GzipWriter)
    return path


def test_all_pages_that_warcio_reads_are_documents_and_no_others(path: Path) -> None:
    expected = list(read_with_warcio(path))
    assert read_with_ours(path) == expected
    assert len(expected) == (6 if "wget" in path.name else 9)


@pytest.mark.parametrize(("suffix", "compress"), [("lz4", Lz4Writer), ("zst", ZstdWriter)])
def test_compressions_that_warcio_does_not_read(tmp_path: Path, suffix: str, compress: Callable[[Any], Any]) -> None:
    write_with_fastwarc(tmp_path / "a.warc.gz", GzipWriter)
    write_with_fastwarc(tmp_path / f"a.warc.{suffix}", compress)
    assert read_with_ours(tmp_path / f"a.warc.{suffix}") == list(read_with_warcio(tmp_path / "a.warc.gz"))
    places = [document.place for document in read(tmp_path / f"a.warc.{suffix}").documents]
    assert all(place.offset is not None and place.length is not None for place in places)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["warc_sample-0000.warc.gz", "whirlwind.warc.gz"])
def test_real_files_hold_the_same_pages_as_for_warcio(shared_dir: Path, name: str) -> None:
    path = shared_dir / "data/crawl" / name
    ours, warcio = read_with_ours(path), list(read_with_warcio(path))
    assert {address for address, _ in warcio} == {address for address, _ in ours} and warcio


@pytest.mark.shared
def test_a_real_wet_file_is_read(shared_dir: Path) -> None:
    found = read(shared_dir / "data/crawl/whirlwind.warc.wet.gz")
    (document,) = found.documents
    assert document.url and document.text and not found.rejected
