"""The chunked transfer encoding of a body. A body without chunks stays as it is."""

from __future__ import annotations

import re

_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?(?:\r?\n|\Z)")
_NEXT_SIZE = re.compile(rb"\r?\n[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?(?:\r?\n|\Z)")
_MAX_GUESSES = 100


def unchunk(body: bytes) -> tuple[bytes, str | None]:
    """Join the chunks of a body.

    Sizes may have extensions and be padded, the last chunk may be missing, and anything may follow it. If a size is wrong, the
    chunk ends at the first later size from which on all sizes are right.

    Returns:
        The body, and the reason if some of it is missing, else None.
    """
    parts: list[bytes] = []
    at = len(body) - len(body.lstrip(b"\r\n"))
    while size := _SIZE.match(body, at):
        n_bytes = int(size[1], 16)
        if not n_bytes:
            return b"".join(parts), None
        begin, end = size.end(), size.end() + n_bytes
        if not _is_chunk_end(body, end):
            guessed = _guess_end(body, begin)
            if guessed is None and _SIZE.match(body, end):
                # The line end between them is missing.
                guessed = end
            if guessed is None:
                # A page may begin with a number.
                if not parts and end < len(body):
                    return body, None
                return b"".join([*parts, body[begin:]]), (
                    f"a chunk has {len(body) - begin:,} of its {n_bytes:,} bytes"
                    if end > len(body)
                    else "behind a chunk there is no other one"
                )
            end = guessed
        parts.append(body[begin:end])
        at = end + (2 if body.startswith(b"\r\n", end) else body.startswith(b"\n", end))
    return (b"".join(parts), None) if parts else (body, None)


def _is_chunk_end(body: bytes, end: int) -> bool:
    """Return True if another size follows, or nothing."""
    return bool(_NEXT_SIZE.match(body, end)) or (end <= len(body) and not body[end:].strip(b"\r\n"))


def _guess_end(body: bytes, begin: int) -> int | None:
    """Return the first offset from which on sizes lead to the last chunk; None if there is none."""
    for n, line in enumerate(_NEXT_SIZE.finditer(body, begin)):
        if n == _MAX_GUESSES:
            break
        link: re.Match[bytes] | None = line
        while link and (n_bytes := int(link[1], 16)):
            link = _NEXT_SIZE.match(body, link.end() + n_bytes)
        if link:
            return line.start()
    return None
