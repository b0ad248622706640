"""The headers of WARC records, as writers write them rather than as the standard has them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# These fields may repeat, and their values are joined. Of any other field of the standard the first one counts.
_REPEATED = ("WARC-Concurrent-To", "WARC-Protocol")
_FIELDS = (
    *_REPEATED,
    *("WARC-Type", "WARC-Record-ID", "WARC-Date", "WARC-Target-URI", "WARC-Refers-To", "WARC-Refers-To-Target-URI"),
    *("WARC-Refers-To-Date", "WARC-IP-Address", "WARC-Warcinfo-ID", "WARC-Block-Digest", "WARC-Payload-Digest"),
    *("WARC-Truncated", "WARC-Filename", "WARC-Profile", "WARC-Identified-Payload-Type", "WARC-Segment-Number"),
    *("WARC-Segment-Origin-ID", "WARC-Segment-Total-Length", "WARC-Identified-Content-Language", "WARC-Cipher-Suite"),
    *("WARC-Source-URI", "WARC-Creation-Date", "WARC-TREC-ID", "Content-Type", "Content-Length"),
)
_SPELLING = {name.lower(): name for name in _FIELDS}
_KNOWN = {name: name for name in _FIELDS}
# An HTTP token. A line of a broken value seldom begins with a token and a colon.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*")
_LENGTH = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a record.

    Attributes:
        fields: values by name. Names are spelled as in the standard, whatever their case in the file.
        has_cr: lines end in CR LF.
    """

    fields: dict[str, str]
    has_cr: bool

    @property
    def kind(self) -> str:
        """Return WARC-Type in lower case; empty if there is none."""
        return self.fields.get("WARC-Type", "").lower()

    @property
    def length(self) -> int | None:
        """Return Content-Length; None if it is missing or no number."""
        value = self.fields.get("Content-Length", "")
        return int(value) if _LENGTH.fullmatch(value) and value.isascii() else None

    @property
    def doc_id(self) -> str | None:
        """Return WARC-Record-ID without brackets and `urn:uuid:`; None if there is none."""
        return self.fields.get("WARC-Record-ID", "").strip("<> ").removeprefix("urn:uuid:") or None

    @property
    def url(self) -> str | None:
        """Return WARC-Target-URI; None if there is none. Some tools write <https://…>, as early drafts of the standard did."""
        return self.fields.get("WARC-Target-URI", "").strip("<> ") or None


def parse_header(block: bytes) -> Header:
    """Parse a header up to its blank line.

    A line that begins with white space continues the one before it. A line that is no field is passed over, unless it is the
    rest of an address with a line end in it, which belongs to the address as in a browser.

    Args:
        block: the header from the line of the version on.
    """
    version, *lines = _decode_lines(block)
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        key, colon, value = line.partition(":")
        # Most fields are known. The pattern is tried on the others only.
        found = _KNOWN.get(key) if colon else None
        if found is None and colon and _NAME.fullmatch(key):
            found = _SPELLING.get(key.strip().lower(), key.strip())
        if found is not None:
            name, value = found, value.strip()
            if name not in fields:
                fields[name] = value
            elif name in _REPEATED or name not in _KNOWN:
                fields[name] += f", {value}"
        elif line[:1] in (" ", "\t"):
            if name and line.strip():
                fields[name] = f"{fields[name]} {line.strip()}".strip()
        elif name == "WARC-Target-URI" and " " not in line:
            fields[name] += line.strip()
    return Header(fields, version.endswith("\r"))


def _decode_lines(block: bytes) -> list[str]:
    """Decode lines as UTF-8, and those that are not UTF-8 as Latin-1, which has a character for every byte."""
    try:
        return block.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return [_decode_line(line) for line in block.split(b"\n")]


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
