"""The pages and texts in records, and the kinds of records that hold none."""

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
# Records of these kinds may hold one, depending on the type.
PAGE_KINDS = ("response", "resource", "conversion")
_KIND = re.compile(r"[a-z][a-z-]{2,30}")
_HTTP_TYPES = ("application/http", "message/http")
# Media that the summary counts without their format.
_MEDIA = ("image", "video", "audio", "font")
_NO_TYPE = "no Content-Type"
# Addresses of crawlers' own records: wget and wpull keep their logs and arguments as plain text.
_CRAWLER = re.compile(r"metadata:|urn:x-", re.IGNORECASE)


class NoPageError(Exception):
    """The record holds no document. The message is its kind, for the counts of skipped records."""


class BrokenPageError(Exception):
    """The record should hold a document, but can't be read. The message says why."""


class LargePageError(Exception):
    """The page has more bytes than the limit."""


@dataclass(frozen=True)
class PageText:
    """A document's text.

    Attributes:
        text: the text as the file has it, or as the page shows it.
        problem: the reason if some of it is missing, else None.
    """

    text: str
    problem: str | None = None


@dataclass(frozen=True)
class RecordPlan:
    """How the content of a record is read.

    Attributes:
        type: HTML, plain text, or None if the content must show it.
        charset: the charset that the record names; None if it names none.
        head: head of the HTTP response; None if there is none or it is not complete yet.
        is_http: the content begins with a head, even if `head` is None.
    """

    type: str | None
    charset: str | None = None
    head: Head | None = field(default=None, repr=False)
    is_http: bool = False


def plan_record(header: Header, start: bytes) -> RecordPlan:
    """Plan how to read a record, by its header and the first bytes of its content.

    Raises:
        NoPageError: the record is of a kind that holds no page.
        BrokenPageError: the record is damaged.
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
    raise NoPageError(_name_group(type_))


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
    raise NoPageError(_name_group(type_))


def read_content(header: Header, plan: RecordPlan, content: bytes, max_bytes: int) -> PageText:
    """Read the text of a record.

    Args:
        header: header of the record.
        plan: result of `plan_record`.
        content: the whole content of the record.
        max_bytes: largest page.

    Raises:
        NoPageError: the content shows that it is no page.
        BrokenPageError: nothing of it can be read.
        LargePageError: the page has more bytes than `max_bytes`.
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
    """Raise the error for a record whose content is too large to be held, by its first bytes.

    Raises:
        LargePageError: it is a page.
        NoPageError: it has no type, and does not look like a page.
    """
    if plan.type is None and not looks_like_html(start[plan.head.n_bytes if plan.head else 0 :]):
        raise NoPageError(_NO_TYPE)
    raise LargePageError


def _plan_late(header: Header, content: bytes) -> RecordPlan:
    """Plan how to read a response whose head was not complete in its first bytes."""
    if is_response(content):
        return _plan_http(header, content, is_whole=True)
    if not content:
        raise NoPageError("empty response")
    # HTTP/0.9 has no head, so content that looks like a page is one.
    if looks_like_html(content):
        return RecordPlan(HTML_TYPES[0])
    raise BrokenPageError("the response has no status line")


def _read_identified_type(header: Header) -> str | None:
    """Return the type that the crawler identified; None if there is none."""
    return read_media_type([header.fields.get("WARC-Identified-Payload-Type", "")])[0]


def _name_group(type_: str) -> str:
    """Return the name of a type in the summary."""
    media = type_.split("/")[0]
    return f"{media}/*" if media in _MEDIA else type_


def read_plain_text(content: bytes, charset: str | None, guesses: bool) -> str:
    """Decode a plain text.

    Args:
        content: the bytes.
        charset: the charset that the record names; None for UTF-8.
        guesses: guess the encoding of bytes that are not UTF-8, even if the record names none.

    Raises:
        UnicodeDecodeError: it is not UTF-8, and no other encoding may be tried.
    """
    try:
        # A byte order mark is no text in a file, but in a conversion everything is text.
        return content.decode("utf-8-sig" if guesses else "utf-8")
    except UnicodeDecodeError:
        if not (charset or guesses):
            raise
    return repair(decode_page(content, charset))


def html_to_text(body: bytes, charset: str | None) -> str:
    """Return the visible text of a page, one block per line.

    Args:
        body: HTML, with content encodings undone.
        charset: the charset in the HTTP header; None to look into the page.

    Source: the settings follow the preparation of ProX's data, plain text with the page's noise. The refiner decides which
    lines are noise, so no main-content heuristic may remove them first.
    """
    (html2text,) = require("resiliparse.extract.html2text")
    text = html2text.extract_plain_text(
        decode_page(body, charset),
        # Blocks stay lines, because the refiner removes lines.
        preserve_formatting=True,
        main_content=False,
        # Bullets tell lists from sentences. Link targets, alternative texts, form values and noscript fallbacks are no text
        # that a reader of the page sees.
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
    # On the web iso-8859-1 means windows-1252. A name that is no encoding's counts as none.
    charset = charset and encoding.map_encoding_to_html5(charset, fallback_utf8=False)
    charset = charset or encoding.detect_encoding(body, from_html_meta=True)
    # Falls back to UTF-8 and Windows-1252 when the page is not what its header says, as browsers do.
    return encoding.bytes_to_str(body, charset, errors="replace")
