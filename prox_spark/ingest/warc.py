"""WARC (pages as the crawler got them) and WET (text that the crawl's makers extracted)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any, BinaryIO

from prox_spark.errors import ProxSparkError, ReasonCode
from prox_spark.ingest.files import open_raw
from prox_spark.ingest.records import (
    Place,
    ReadOptions,
    Record,
    Rejected,
    Skipped,
    repair,
    sha256,
    snippet,
    too_long,
)

_HTML_TYPES = ("text/html", "application/xhtml+xml")
# Mark-up outweighs text about ten times; a page beyond this is not even parsed.
_HTML_BYTES_PER_CHAR = 32
_TAIL_BYTES = 1 << 20

Item = Record | Rejected
Convert = Callable[[Any, Place, ReadOptions], Item | None]


def read_warc(uri: str, options: ReadOptions) -> Iterator[Item | Skipped]:
    """Yields the text of every HTML response; other records are counted in one `Skipped` at the end.

    Raises:
        EOFError, OSError: the file is cut off or damaged; what stands before that was yielded.
        ProxSparkError: FastWARC or Resiliparse is not installed.
    """
    _require("resiliparse.extract.html2text", "resiliparse.parse.encoding")
    return _read(uri, options, "response", _page)


def read_wet(uri: str, options: ReadOptions) -> Iterator[Item | Skipped]:
    """Yields every conversion record; raises as `read_warc` does."""
    return _read(uri, options, "conversion", _conversion)


def html_to_text(body: bytes, charset: str | None) -> str:
    """The visible text of a page, one block per line.

    Args:
        body: HTML, content encodings undone.
        charset: what the HTTP header says; None to look into the page.

    Source: the settings follow what ProX's data went through, plain text with the page's noise: which lines are noise
    is what the refiner decides, so no main-content heuristic may take them away first.
    """
    (html2text, encoding) = _require("resiliparse.extract.html2text", "resiliparse.parse.encoding")
    # The names as the web means them: iso-8859-1 is windows-1252; a name of no encoding is as good as none.
    charset = charset and encoding.map_encoding_to_html5(charset, fallback_utf8=False)
    charset = charset or encoding.detect_encoding(body, from_html_meta=True)
    # Falls back to UTF-8 and Windows-1252 when the page is not what its header says, as browsers do.
    html = encoding.bytes_to_str(body, charset, errors="replace")
    text = html2text.extract_plain_text(
        html,
        # Blocks stay lines: the refiner removes lines.
        preserve_formatting=True,
        main_content=False,
        # Bullets tell lists from sentences; what no reader of the page sees (link targets, alternative texts, form
        # values, noscript fallbacks) is no text of it.
        list_bullets=True,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
    )
    return repair(text)


def _read(uri: str, options: ReadOptions, wanted: str, convert: Convert) -> Iterator[Item | Skipped]:
    (warc,) = _require("fastwarc.warc")
    n_skipped, position = 0, 0
    # A record's length in the file is known when the next one begins: an item waits for that.
    waiting: Item | None = None
    with open_raw(uri) as raw:
        try:
            # HTTP is parsed later, when the record is known to be whole: a cut-off body is no error to FastWARC.
            for record in warc.ArchiveIterator(raw, parse_http=False):
                position = record.stream_pos
                if waiting:
                    yield _with_length(waiting, position)
                waiting = None
                if record.record_type == getattr(warc.WarcRecordType, wanted):
                    waiting = convert(record, Place(uri, position), options)
                else:
                    _check_whole(record, record.consume())
                n_skipped += waiting is None
            _check_end(raw, position)
        except Exception:
            if waiting:
                yield waiting
            raise
        if waiting:
            yield _with_length(waiting, raw.size())  # type: ignore[attr-defined]
    if n_skipped:
        yield Skipped(n_skipped, Place(uri), "other records")


def _page(record: Any, place: Place, options: ReadOptions) -> Item | None:
    if not record.is_http:
        return None
    headers = _headers(record)
    max_bytes = _HTML_BYTES_PER_CHAR * options.max_text_chars
    too_large = Rejected(
        ReasonCode.TEXT_TOO_LONG,
        f"the page has more than {max_bytes:,} bytes of HTML, {_HTML_BYTES_PER_CHAR} × input.max_text_chars",
        place,
        doc_id=_id(headers),
    )
    is_large = record.content_length > max_bytes
    if not is_large:
        # The whole block in memory, to see that it is whole before anything is made of it.
        record.freeze()
        _check_whole(record, record.content_length)
    try:
        record.parse_http(auto_decode="all")
        if not _is_page(record):
            return None
        if is_large:
            return too_large
        # A compressed body can be far larger than the record.
        body = record.reader.read(max_bytes + 1)
        text = html_to_text(body, record.http_charset) if len(body) <= max_bytes else ""
    # Whatever one page does to the parsers must not end the file: the web holds everything.
    except Exception as error:
        return Rejected(ReasonCode.INVALID_RECORD, f"the page can't be read: {error!r}", place, None, _id(headers))
    if len(body) > max_bytes:
        return too_large
    return _document(text, headers, place, options)


def _is_page(record: Any) -> bool:
    status = record.http_headers.status_code if record.http_headers else None
    kind = record.http_content_type or record.headers.get("WARC-Identified-Payload-Type") or ""
    return bool(status and 200 <= status < 300 and kind.lower() in _HTML_TYPES)


def _conversion(record: Any, place: Place, options: ReadOptions) -> Item | None:
    headers = _headers(record)
    body = record.reader.read()
    _check_whole(record, len(body))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the text is not UTF-8: {error.reason}"
        return Rejected(ReasonCode.INVALID_UTF8, message, place, snippet(body), _id(headers), sha256(body))
    return _document(text, headers, place, options)


def _document(text: str, headers: dict[str, str], place: Place, options: ReadOptions) -> Item:
    doc_id = _id(headers)
    if len(text) > options.max_text_chars:
        content = text.encode()
        message = too_long(len(text), options)
        return Rejected(ReasonCode.TEXT_TOO_LONG, message, place, snippet(text), doc_id, sha256(content))
    # Some tools write <https://…>, as early drafts of the standard had it.
    url = headers.get("WARC-Target-URI", "").strip("<>") or None
    return Record(text, place, doc_id, url, metadata=headers)


def _headers(record: Any) -> dict[str, str]:
    return {repair(str(key)): repair(str(value)) for key, value in record.headers.items()}


def _id(headers: dict[str, str]) -> str | None:
    return headers.get("WARC-Record-ID", "").strip("<>").removeprefix("urn:uuid:") or None


def _with_length(item: Item, end: int) -> Item:
    return replace(item, place=replace(item.place, length=end - (item.place.offset or 0)))


def _check_whole(record: Any, n_bytes: int) -> None:
    expected = int(record.headers.get("Content-Length", n_bytes))
    if n_bytes < expected:
        raise EOFError(f"the last record has {n_bytes:,} of its {expected:,} bytes: the file is cut off")


def _check_end(raw: BinaryIO, position: int) -> None:
    """Raises EOFError where the file ends inside a gzip member: FastWARC takes a cut-off header for the end."""
    raw.seek(position)
    if raw.read(2) != b"\x1f\x8b":
        return
    raw.seek(position)
    member, whole = zlib.decompressobj(31), False
    while block := raw.read(_TAIL_BYTES):
        while block:
            member.decompress(block, _TAIL_BYTES)
            block, whole = member.unconsumed_tail, member.eof
            if whole:
                block, member = member.unused_data, zlib.decompressobj(31)
    if not whole:
        raise EOFError("the file ends within a compressed record: it is cut off")


def _require(*names: str) -> list[ModuleType]:
    from importlib import import_module

    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise ProxSparkError(
            f"WARC and WET need FastWARC and Resiliparse ({error}): pip install 'prox-spark[warc]', on every executor"
        ) from error
