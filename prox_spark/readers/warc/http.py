"""The heads of HTTP responses as servers send them, parsed as browsers do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HTML_TYPES = ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml")

# A status line may lack the version's digits, the reason phrase and even the code, which is 200 then.
_STATUS = re.compile(rb"[\r\n \t]*HTTP(?:/\d+(?:\.\d+)?)?(?:[ \t]+(\d{3})|[ \t]*\r*\n|[ \t]+[A-Za-z])", re.IGNORECASE)
_END = re.compile(rb"\n\r*\n")
_TYPE = re.compile(r"[!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+", re.ASCII)
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s;,"']+)""", re.IGNORECASE)
_LIST_ITEM = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
_UNKNOWN_TYPES = ("unknown/unknown", "application/unknown", "*/*")
# A page begins with one of these after white space, by the standard on MIME sniffing, or as XHTML. Comments count, too.
_HTML_BEGINS = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*(?=<(?:!doctype\s|html)))?"
    rb"<(?:!--|(?:!doctype\shtml|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Head:
    """The head of a response, which precedes its body.

    Attributes:
        status: the status code.
        fields: values in their order, by name in lower case.
        n_bytes: length of the head, interim responses included: the offset of the body.
    """

    status: int
    fields: dict[str, list[str]]
    n_bytes: int

    @property
    def media_type(self) -> tuple[str | None, str | None]:
        """Return the type and the charset of the body; None for each that the head does not name."""
        return read_media_type(self.fields.get("content-type", ()))


def is_response(block: bytes) -> bool:
    """Return True if a block begins with a status line."""
    return bool(_STATUS.match(block))


def parse_head(block: bytes, is_whole: bool) -> Head | None:
    """Parse the head at the beginning of a block, after the heads of any interim responses (100 Continue).

    Args:
        block: the first bytes of a response.
        is_whole: the block is the whole response, so a head without an end reaches to its end.

    Returns:
        The head; None if it has no status line, or no end.
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
        # A proxy's answer about its tunnel has no type, like interim responses.
        if not (_STATUS.match(block, n_bytes) and (code < 200 or "content-type" not in fields)):
            return Head(code, fields, n_bytes)
        begin = n_bytes


def _parse_fields(block: bytes) -> dict[str, list[str]]:
    """Parse the lines after the status code, passing over those without a colon."""
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
    """Return the type and charset that Content-Type fields name. The last usable type counts, as in browsers.

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
    """Yield the parts between commas of all fields of a name, without empty ones."""
    for value in values:
        for item in _LIST_ITEM.findall(value) if "," in value else (value,):
            if item := item.strip():
                yield item


def looks_like_html(body: bytes) -> bool:
    """Return True if a browser would show a body without a type as a page.

    Source: https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type
    """
    return bool(_HTML_BEGINS.match(body))
