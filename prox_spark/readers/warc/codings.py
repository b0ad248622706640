"""Decoding of Transfer-Encoding and Content-Encoding, step by step. A false claim leaves the bytes as they are."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import zstandard

from prox_spark.readers.warc.chunks import unchunk
from prox_spark.readers.warc.packages import require

_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
# Servers confuse gzip and deflate. `deflate` is zlib's format by the standard, but often has no header at all.
_NAMES = {
    **dict.fromkeys(("gzip", "x-gzip", "gz", "deflate", "x-deflate", "zlib"), "deflate"),
    **dict.fromkeys(("br", "x-br", "brotli"), "br"),
    **dict.fromkeys(("zstd", "x-zstd"), "zstd"),
}
# A page that was compressed more often than its head says is decompressed up to this many times more.
_HIDDEN, _MAX_HIDDEN = "", 3
# Bytes that a decompressor gets at once. Its format bounds the output: it is a thousandfold at most, for zstd 32,000-fold.
_STEP_BYTES, _ZSTD_STEP_BYTES = 16 << 10, 1 << 10
_BROTLI_BYTES = 1 << 20

# These are a tenth of compressed bytes, and hardly any of a text's.
_CONTROLS = bytes({*range(9), *range(14, 27), *range(28, 32)})
_MAX_CONTROLS = 0.05
_SAMPLE_BYTES = 512
# Bytes that are no compressed stream hardly ever decompress to this much text.
_MIN_TEXT_BYTES = 200
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


class UndecodableError(Exception):
    """The body is compressed, and nothing of it can be read. The message says why."""


@dataclass(frozen=True)
class Body:
    """A body without its codings.

    Attributes:
        content: the bytes that could be read.
        problem: the reason if some are missing, else None.
        is_too_large: the content has more bytes than the limit, and is incomplete for that reason.
    """

    content: bytes
    problem: str | None = None
    is_too_large: bool = False


def undo_codings(body: bytes, transfer: Iterable[str], content: Iterable[str], max_bytes: int) -> Body:
    """Undo the codings that a head names, and compressions that it does not name.

    Args:
        body: the body as it is in the record.
        transfer: items of Transfer-Encoding, in the order of the head.
        content: items of Content-Encoding, likewise.
        max_bytes: limit of the result, because a small body can become a very large one.

    Raises:
        UndecodableError: it is compressed, and nothing of it can be read.
    """
    problems: list[str] = []
    names = [name.lower().split(";")[0].strip("\"' ") for name in [*content, *transfer]]
    # The last coding is undone first. Words that are no coding are ignored: `identity`, but also `none` and `utf-8`.
    steps = [name for name in reversed(names) if name in _NAMES or name == "chunked"]
    # A body with a compression's signature is compressed, whatever the head says.
    for name in [*steps, *[_HIDDEN] * _MAX_HIDDEN]:
        if name == "chunked":
            body, problem = unchunk(body)
        else:
            body, problem = _decompress(body, _NAMES.get(name, ""), max_bytes)
        if problem:
            problems.append(problem)
        if len(body) > max_bytes:
            break
    return Body(body, "; ".join(problems) or None, len(body) > max_bytes)


def _decompress(body: bytes, coding: str, max_bytes: int) -> tuple[bytes, str | None]:
    """Undo a compression, detected by its signature if it has one. A text that is not compressed is returned as it is.

    Returns:
        The content, cut somewhat after `max_bytes`; and the reason if some of it is missing, else None.
    """
    if coding and body[:1].isspace() and body.lstrip().startswith((_GZIP, _ZSTD)):
        # A script printed white space before the server compressed the rest.
        body = body.lstrip()
    if body.startswith(_GZIP):
        done = _decompress_members(lambda: zlib.decompressobj(31), _GZIP, body, max_bytes, _STEP_BYTES)
    elif body.startswith(_ZSTD):
        done = _decompress_members(
            lambda: zstandard.ZstdDecompressor().decompressobj(), _ZSTD, body, max_bytes, _ZSTD_STEP_BYTES
        )
    elif coding in ("deflate", "br") and body:
        bits = 15 if body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -15
        new = (lambda: _Brotli(max_bytes)) if coding == "br" else (lambda: zlib.decompressobj(bits))
        done = _decompress_member(new, body, max_bytes, _STEP_BYTES)
        # Without a signature, a text or another compression may look like a stream, but hardly like a whole one.
        if done.problem or done.rest.strip(b"\r\n \x00"):
            is_text = len(done.content) >= _MIN_TEXT_BYTES and _has_few_controls(done.content)
            if _is_utf8(body) or (not is_text and _has_few_controls(body)):
                return body, None
            if not is_text:
                raise UndecodableError(done.problem or "its compressed data are damaged")
    else:
        return body, None
    if done.problem and not done.content:
        raise UndecodableError(done.problem)
    return done.content, done.problem


def _is_utf8(body: bytes) -> bool:
    """Return True if the body begins with text in UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(body[:_SAMPLE_BYTES])
    except UnicodeDecodeError:
        return False
    return _has_few_controls(body)


def _has_few_controls(body: bytes) -> bool:
    """Return True if the body begins like text in any encoding."""
    sample = body[:_SAMPLE_BYTES]
    n_controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return n_controls <= max(1, _MAX_CONTROLS * len(sample)) or sample.startswith(_WIDE_MARKS)


@dataclass(frozen=True)
class _Decompressed:
    """The output of a decompressor: the content, the bytes after the end, and the reason if the end was not reached."""

    content: bytes
    rest: bytes = b""
    problem: str | None = None


def _decompress_members(
    new: Callable[[], Any], signature: bytes, body: bytes, max_bytes: int, step: int
) -> _Decompressed:
    """Decompress all members of a body, ignoring other bytes after one."""
    done = _decompress_member(new, body, max_bytes, step)
    while done.problem is None and done.rest.startswith(signature) and len(done.content) <= max_bytes:
        more = _decompress_member(new, done.rest, max_bytes, step)
        if more.problem and not more.content:
            break
        done = _Decompressed(done.content + more.content, more.rest, more.problem)
    return done


def _decompress_member(new: Callable[[], Any], body: bytes, max_bytes: int, step: int) -> _Decompressed:
    """Decompress one member, or until the content is larger than the limit."""
    decompressor, parts, n_bytes = new(), [], 0
    view = memoryview(body)
    begin = 0
    while begin < len(body) and not decompressor.eof and n_bytes <= max_bytes:
        try:
            parts.append(decompressor.decompress(view[begin : begin + step]))
        except _list_errors() as error:
            if step > 1:
                # It returned nothing of the content of these bytes. Here a new one gets them one by one.
                decompressor = new()
                for at in range(0, begin, step):
                    decompressor.decompress(view[at : min(at + step, begin)])
                step = 1
                continue
            return _Decompressed(b"".join(parts), problem=f"its compressed data are damaged ({error})")
        n_bytes += len(parts[-1])
        begin += step
    rest = (decompressor.unused_data or b"") + body[begin:] if decompressor.eof else b""
    is_cut = not decompressor.eof and n_bytes <= max_bytes
    return _Decompressed(b"".join(parts), rest, "its compressed data end early" if is_cut else None)


class _Brotli:
    """A Brotli decompressor with the interface of the others."""

    unused_data = b""

    def __init__(self, max_bytes: int) -> None:
        (brotli,) = require("brotli")
        self._stream, self._left = brotli.Decompressor(), max_bytes

    @property
    def eof(self) -> bool:
        return self._stream.is_finished()

    def decompress(self, data: memoryview) -> bytes:
        parts = [self._stream.process(data, output_buffer_limit=_BROTLI_BYTES)]
        self._left -= len(parts[-1])
        # A few hundred bytes may become gigabytes.
        while self._left >= 0 and not self.eof and not self._stream.can_accept_more_data():
            parts.append(self._stream.process(b"", output_buffer_limit=_BROTLI_BYTES))
            self._left -= len(parts[-1])
        return b"".join(parts)


def _list_errors() -> tuple[type[Exception], ...]:
    (brotli,) = require("brotli")
    return (zlib.error, zstandard.ZstdError, brotli.error)
