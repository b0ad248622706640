"""What becomes of a record: a page or a text that is a document, or a kind that is passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from prox_spark.readers.records import repair
from prox_spark.readers.warc.codings import undo_codings
from prox_spark.readers.warc.header import Header
from prox_spark.readers.warc.http import (
    HTML_TYPES,
    Head,
    is_response,
    list_items,
    looks_like_html,
    parse_head,
    read_media_type,
)
from prox_spark.readers.warc.packages import require

# Records of these kinds hold no page, whatever their type.
_OTHER_KINDS = ("warcinfo", "request", "metadata", "revisit", "continuation")
# These may hold one, by their type.
PAGE_KINDS = ("response", "resource", "conversion")
_KIND = re.compile(r"[a-z][a-z-]{2,30}")
_HTTP_TYPES = ("application/http", "message/http")
# Kinds of media of which nobody asks for the format.
_MEDIA = ("image", "video", "audio", "font")
_NO_TYPE = "no Content-Type"
# What crawlers keep of themselves: wget's and wpull's logs and arguments are records of plain text.
_CRAWLER = re.compile(r"metadata:|urn:x-", re.IGNORECASE)


class NoPageError(Exception):
    """The record holds no document. The message says of what kind it is, for the count of what was passed over."""


class BrokenPageError(Exception):
    """The record should hold a document, and can't be read. The message says why."""


class LargePageError(Exception):
    """The page has more bytes than the limit."""


@dataclass(frozen=True)
class PageText:
    """A document's text.

    Attributes:
        text: as the file has it, or as the page shows it.
        problem: why some of it is missing; None: nothing is.
    """

    text: str
    problem: str | None = None


@dataclass(frozen=True)
class RecordPlan:
    """How the content of a record is read.

    Attributes:
        type: HTML, plain text, or None where the content is to show that.
        charset: what the record says.
        head: of an HTTP response.
        is_http: the content begins with one, even if it is not known yet.
    """

    type: str | None
    charset: str | None = None
    head: Head | None = field(default=None, repr=False)
    is_http: bool = False


def plan_record(header: Header, start: bytes) -> RecordPlan:
    """Say how to read a record, of its header and the first bytes of its content.

    Raises:
        NoPageError: it is of a kind that is passed over.
        BrokenPageError: it is damaged.
    """
    kind = header.kind
    if kind in _OTHER_KINDS:
        raise NoPageError(kind)
    if not kind:
        raise BrokenPageError("the record has no WARC-Type")
    type_, charset = read_media_type([header.fields.get("Content-Type", "")])
    if kind not in PAGE_KINDS:
        if type_ in (*_HTTP_TYPES, *HTML_TYPES, "text/plain") or not _KIND.fullmatch(kind):
            raise BrokenPageError(
                f"WARC-Type {kind!r} is none of the standard, and the record holds {type_ or 'anything'}"
            )
        raise NoPageError(f"WARC-Type {kind}")
    if _CRAWLER.match(header.url or ""):
        raise NoPageError("records of the crawler about itself")
    if type_ in _HTTP_TYPES or (kind == "response" and is_response(start)):
        return _plan_http(header, start, is_whole=False)
    if type_ is None:
        type_ = "text/plain" if kind == "conversion" else _read_identified_type(header)
    if type_ is None or type_ in HTML_TYPES or (type_ == "text/plain" and kind != "response"):
        return RecordPlan(type_, charset)
    raise NoPageError(_group(type_))


def _plan_http(header: Header, start: bytes, is_whole: bool) -> RecordPlan:
    if "msgtype=request" in header.fields.get("Content-Type", "").lower().replace(" ", ""):
        raise NoPageError("request")
    head = parse_head(start, is_whole)
    if head is None:
        return RecordPlan(None, is_http=True)
    if not 200 <= head.status < 300:
        raise NoPageError(f"HTTP {head.status}")
    type_, charset = head.media_type
    type_ = type_ or _read_identified_type(header)
    if type_ is None or type_ in HTML_TYPES:
        return RecordPlan(type_, charset, head, is_http=True)
    raise NoPageError(_group(type_))


def read_content(header: Header, plan: RecordPlan, content: bytes, max_bytes: int) -> PageText:
    """Read the text of a record.

    Args:
        header: of the record.
        plan: what `plan_record` made of it.
        content: of the record, whole.
        max_bytes: largest page.

    Raises:
        NoPageError: the content shows only now that it is none.
        BrokenPageError: nothing of it can be read.
        LargePageError: the page has more bytes.
        UndecodableError: it is compressed, and nothing of it can be read.
        ProxSparkError: Resiliparse is not installed.
    """
    problem = None
    if plan.is_http and plan.head is None:
        plan = _plan_late(header, content)
    if plan.head:
        fields = plan.head.fields
        body = undo_codings(
            content[plan.head.n_bytes :],
            list_items(fields.get("transfer-encoding", ())),
            list_items(fields.get("content-encoding", ())),
            max_bytes,
        )
        if body.is_too_large:
            raise LargePageError
        content, problem = body.content, body.problem
    if len(content) > max_bytes:
        raise LargePageError
    if plan.type is None and not looks_like_html(content):
        raise NoPageError(_NO_TYPE)
    if plan.type == "text/plain":
        return PageText(read_plain_text(content, plan.charset, guesses=header.kind != "conversion"), problem)
    return PageText(html_to_text(content, plan.charset), problem)


def check_large(plan: RecordPlan, start: bytes) -> None:
    """Say what a record is whose content is too large to be held, of its first bytes.

    Raises:
        LargePageError: a page.
        NoPageError: it has no type, and does not look like a page.
    """
    if plan.type is None and not looks_like_html(start[plan.head.n_bytes if plan.head else 0 :]):
        raise NoPageError(_NO_TYPE)
    raise LargePageError


def _plan_late(header: Header, content: bytes) -> RecordPlan:
    """Say how to read a response whose head was not in its first bytes."""
    if is_response(content):
        return _plan_http(header, content, is_whole=True)
    if not content:
        raise NoPageError("empty response")
    # HTTP/0.9 has no head: what looks like a page is one.
    if looks_like_html(content):
        return RecordPlan(HTML_TYPES[0])
    raise BrokenPageError("the response has no status line")


def _read_identified_type(header: Header) -> str | None:
    """Return the type that the crawler found out."""
    return read_media_type([header.fields.get("WARC-Identified-Payload-Type", "")])[0]


def _group(type_: str) -> str:
    """Return how the summary names a type."""
    media = type_.split("/")[0]
    return f"{media}/*" if media in _MEDIA else type_


def read_plain_text(content: bytes, charset: str | None, guesses: bool) -> str:
    """Decode a text.

    Args:
        content: the bytes.
        charset: what the record says; None: UTF-8.
        guesses: what is not UTF-8 may be another encoding though the record names none.

    Raises:
        UnicodeDecodeError: it is not UTF-8, and another encoding can't be.
    """
    try:
        # A mark of the encoding is no text in a file; in a conversion everything is.
        return content.decode("utf-8-sig" if guesses else "utf-8")
    except UnicodeDecodeError:
        if not (charset or guesses):
            raise
    return repair(decode_page(content, charset))


def html_to_text(body: bytes, charset: str | None) -> str:
    """The visible text of a page, one block per line.

    Args:
        body: HTML, content encodings undone.
        charset: what the HTTP header says; None to look into the page.

    Source: the settings follow what ProX's data went through, plain text with the page's noise: which lines are noise
    is what the refiner decides, so no main-content heuristic may take them away first.
    """
    (html2text,) = require("resiliparse.extract.html2text")
    text = html2text.extract_plain_text(
        decode_page(body, charset),
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


def decode_page(body: bytes, charset: str | None) -> str:
    """Decode bytes as browsers do."""
    (encoding,) = require("resiliparse.parse.encoding")
    # The names as the web means them: iso-8859-1 is windows-1252; a name of no encoding is as good as none.
    charset = charset and encoding.map_encoding_to_html5(charset, fallback_utf8=False)
    charset = charset or encoding.detect_encoding(body, from_html_meta=True)
    # Falls back to UTF-8 and Windows-1252 when the page is not what its header says, as browsers do.
    return encoding.bytes_to_str(body, charset, errors="replace")
