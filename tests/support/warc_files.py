"""WARC files made by hand, right ones and wrong ones, and what reading them gives."""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lz4.frame
import zstandard

from prox_spark.readers import InputFormat, ReadOptions, Record, Rejected, Skipped, read_file

HTTP = "Content-Type: application/http; msgtype=response"
TEXT = "Start of page {0}: a heron stood in the shallow water and waited for a fish.\n\nEnd of page {0}: it had flown back."


def text(name: object) -> str:
    """What a page shows."""
    return TEXT.format(name)


def html(name: object) -> bytes:
    """A page."""
    start, end = text(name).split("\n\n")
    return f"<html><head><title>{name}</title></head><body><p>{start}</p><p>{end}</p></body></html>".encode()


def url(name: object) -> str:
    """Where it was found."""
    return f"https://birds.example/{name}"


def record_id(name: object) -> str:
    """Its id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, url(name)))


def record(kind: str, content: bytes, *fields: str, name: object = 1, length: int | str | None = None) -> bytes:
    """A record; a length of "" leaves the field out."""
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{record_id(name)}>",
        "WARC-Date: 2024-03-05T10:20:30Z",
        f"WARC-Target-URI: {url(name)}",
        *fields,
        *([] if length == "" else [f"Content-Length: {len(content) if length is None else length}"]),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n\r\n"


def response(
    name: object,
    *fields: str,
    body: bytes | None = None,
    head: bytes | None = None,
    length: int | str | None = None,
    off_by: int = 0,
) -> bytes:
    """A response record.

    Args:
        name: of the page.
        fields: of HTTP, behind the type.
        body: None for the page.
        head: of HTTP, with the blank line; None for a usual one with the fields.
        length: what the record's header says.
        off_by: by how much that is wrong.
    """
    if head is None:
        head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8", *fields, "", ""]).encode()
    content = head + (html(name) if body is None else body)
    length = len(content) + off_by if off_by else length
    return record("response", content, HTTP, name=name, length=length)


def conversion(name: object, content: str | bytes | None = None, *fields: str, length: int | None = None) -> bytes:
    """A record of WET."""
    content = text(name) if content is None else content
    content = content.encode() if isinstance(content, str) else content
    return record("conversion", content, "Content-Type: text/plain", *fields, name=name, length=length)


INFO = record("warcinfo", b"software: made by hand\r\n", "Content-Type: application/warc-fields", name="info")


def _blocks(content: bytes, n_bytes: int = 300) -> list[bytes]:
    return [content[at : at + n_bytes] for at in range(0, len(content), n_bytes)]


# Ways to store records: suffix of the file, and what its bytes are.
STORES: dict[str, tuple[str, Callable[[Sequence[bytes]], bytes]]] = {
    "plain": ("", b"".join),
    "gzip": (".gz", lambda records: b"".join(gzip.compress(r, mtime=0) for r in records)),
    "zstd": (".zst", lambda records: b"".join(map(zstandard.ZstdCompressor().compress, records))),
    "lz4": (".lz4", lambda records: b"".join(map(lz4.frame.compress, records))),
    "whole gzip": (".gz", lambda records: gzip.compress(b"".join(records), mtime=0)),
    "whole zstd": (".zst", lambda records: zstandard.compress(b"".join(records))),
    # As bgzip and pzstd cut files, without regard to records.
    "bgzip": (".gz", lambda records: b"".join(gzip.compress(b, mtime=0) for b in (*_blocks(b"".join(records)), b""))),
    "pzstd": (".zst", lambda records: b"".join(map(zstandard.compress, _blocks(b"".join(records))))),
}


@dataclass
class Found:
    """What a file holds."""

    documents: list[Record]
    rejected: list[Rejected]
    skipped: dict[str, int]

    @property
    def texts(self) -> list[str]:
        """Of the documents."""
        return [document.text for document in self.documents]

    @property
    def names(self) -> list[str]:
        """Of the pages, by their addresses."""
        return [re.sub(r"^.*/", "", document.url or "") for document in self.documents]


def read(path: Path, content: bytes | None = None, kind: InputFormat = InputFormat.WARC, **options: int) -> Found:
    """Read a file, with the content if it is given."""
    if content is not None:
        path.write_bytes(content)
    found = Found([], [], {})
    for item in read_file(str(path), kind, ReadOptions(**options)):
        if isinstance(item, Record):
            found.documents.append(item)
        elif isinstance(item, Rejected):
            found.rejected.append(item)
        else:
            assert isinstance(item, Skipped) and item.what not in found.skipped
            found.skipped[item.what] = item.n_records
    return found


def store(folder: Path, how: str, records: Sequence[bytes], suffix: str = ".warc") -> Path:
    """Write records to a file in one of the ways of `STORES`."""
    suffix_of_codec, join = STORES[how]
    path = folder / f"a{suffix}{suffix_of_codec}"
    path.write_bytes(join(records))
    return path
