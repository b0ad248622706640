"""The head of an HTTP response as servers send it, read the way browsers do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HTML_TYPES = ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml")

# A status line may lack the version's digits, the reason phrase and even the code: it is 200 then.
_STATUS = re.compile(rb"[\r\n \t]*HTTP(?:/\d+(?:\.\d+)?)?(?:[ \t]+(\d{3})|[ \t]*\r*\n|[ \t]+[A-Za-z])", re.IGNORECASE)
_END = re.compile(rb"\n\r*\n")
_TYPE = re.compile(r"[!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+", re.ASCII)
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s;,"']+)""", re.IGNORECASE)
_LIST_ITEM = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
_UNKNOWN_TYPES = ("unknown/unknown", "application/unknown", "*/*")
# What a page begins with by the standard on sniffing types, behind white space, comments' beginnings included; or as XHTML.
_HTML_BEGINS = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*(?=<(?:!doctype\s|html)))?"
    rb"<(?:!--|(?:!doctype\shtml|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Head:
    """What precedes a body.

    Attributes:
        status: the code.
        fields: lower-case name → values in their order.
        n_bytes: where the body begins.
    """

    status: int
    fields: dict[str, list[str]]
    n_bytes: int

    @property
    def media_type(self) -> tuple[str | None, str | None]:
        """Return the type and the charset of the body; None for what the head does not say."""
        return read_media_type(self.fields.get("content-type", ()))


def is_response(block: bytes) -> bool:
    """True if a status line begins here."""
    return bool(_STATUS.match(block))


def parse_head(block: bytes, is_whole: bool) -> Head | None:
    """Parse the head that a block begins with; heads of interim responses (100 Continue) before it are passed over.

    Args:
        block: the first bytes of a response.
        is_whole: there are no more: a head without an end goes on to theirs.

    Returns:
        None where there is no status line, or no end.
    """
    begin = 0
    while True:
        status = _STATUS.match(block, begin)
        if not status:
            return None
        end = _END.search(block, status.end() - 1)
        if not end and not is_whole:
            return None
        n_bytes = end.end() if end else len(block)
        code = int(status[1]) if status[1] else 200
        fields = _parse_fields(block[status.end() - 1 : n_bytes])
        # What a proxy says of its tunnel has no type either.
        if not (_STATUS.match(block, n_bytes) and (code < 200 or "content-type" not in fields)):
            return Head(code, fields, n_bytes)
        begin = n_bytes


def _parse_fields(block: bytes) -> dict[str, list[str]]:
    """Parse the lines behind the status code; one without a colon is passed over."""
    fields: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in block.decode("latin-1").split("\n")[1:]:
        if line[:1] in (" ", "\t") and last:
            last[-1] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        if colon:
            last = fields.setdefault(name.strip().lower(), [])
            last.append(value.strip())
    return fields


def read_media_type(values: Sequence[str]) -> tuple[str | None, str | None]:
    """Return type and charset that Content-Type fields name: the last usable type counts, as in browsers.

    Source: https://fetch.spec.whatwg.org/#concept-header-extract-mime-type
    """
    kind: str | None = None
    charset: str | None = None
    for item in list_items(values):
        match = _TYPE.match(item)
        if not match or match[0].lower() in _UNKNOWN_TYPES:
            continue
        named = _CHARSET.search(item, match.end())
        if match[0].lower() != kind:
            charset = None
        kind = match[0].lower()
        charset = named[1] if named else charset
    return kind, charset


def list_items(values: Sequence[str]) -> Iterator[str]:
    """Yield the parts between commas, of all fields of a name; not the empty ones."""
    for value in values:
        for item in _LIST_ITEM.findall(value) if "," in value else (value,):
            if item := item.strip():
                yield item


def looks_like_html(body: bytes) -> bool:
    """True if a browser takes a body without a type for a page.

    Source: https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type
    """
    return bool(_HTML_BEGINS.match(body))
