"""Files as streams of decompressed blocks. A damaged part is a `Gap` between blocks, and reading continues after it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from prox_spark.readers.codecs import SKIPPABLE, ZSTD, Codec, find_codec_by_content, find_codec_by_name
from prox_spark.readers.files import open_raw
from prox_spark.readers.members import BLOCK_BYTES, Gap, MemberPart, Members
from prox_spark.readers.signatures import HEAD_BYTES, explain_content, looks_like_json
from prox_spark.readers.stored_bytes import StoredBytes

__all__ = ["BLOCK_BYTES", "MAX_WINDOW_BYTES", "Gap", "read_blocks", "read_head"]

MAX_WINDOW_BYTES = 2 << 30

# A file's format is told by its first bytes. The second size is read if the first decompresses to nothing, as a long block of bzip2.
_START_BYTES = (64 << 10, 1 << 20)


def read_blocks(uri: str, max_window_bytes: int = MAX_WINDOW_BYTES) -> Iterator[bytes | Gap]:
    """Yield the decompressed content in blocks of a megabyte or more (the last one, and one before a gap, may be shorter).

    The first bytes say how a file is compressed. Its name only counts if they are damaged. All members of a gzip file, and
    of the other compressions, make one stream. Everything that can be decompressed is yielded before the gap that ends it.
    Blocks are never empty, and no two gaps follow each other.

    Args:
        uri: absolute local path or URI.
        max_window_bytes: a zstd frame with a larger window, which needs as much memory, is not read.

    Raises:
        OSError: the file can't be opened or its store fails.
    """
    with open_raw(uri) as raw:
        yield from _read(raw, find_codec_by_name(uri), max_window_bytes)


def read_head(uri: str) -> bytes:
    """Return the beginning of the decompressed content, some kilobytes.

    Raises:
        OSError: the file can't be opened or its store fails.
    """
    with open_raw(uri) as raw:
        for n_bytes in _START_BYTES:
            start = raw.read(n_bytes)
            blocks = _read(io.BytesIO(start), find_codec_by_name(uri), MAX_WINDOW_BYTES)
            head = b"".join(block for block in blocks if isinstance(block, bytes))
            if head or len(start) < n_bytes:
                break
            raw.seek(0)
    return head[: _START_BYTES[0]]


def _read(raw: BinaryIO, named: Codec | None, max_window_bytes: int) -> Iterator[bytes | Gap]:
    source = StoredBytes(raw)
    head = source.peek_behind_skippable()
    codec = find_codec_by_content(head)
    # The file has skippable frames only, or a damaged frame after one.
    if not codec and SKIPPABLE.match(source.peek(HEAD_BYTES)):
        codec = named or ZSTD
    if not codec and named:
        if message := explain_content(head):
            yield Gap(0, None, message)
            return
        # A plain file with the name of a compressed one is read, noise is not.
        codec = None if looks_like_json(head) else named
    if codec:
        yield from _join_parts(Members(source, codec, max_window_bytes).read())
        return
    raw.seek(0)
    while block := raw.read(BLOCK_BYTES):
        yield block


def _join_parts(parts: Iterator[MemberPart | Gap]) -> Iterator[bytes | Gap]:
    """Join small parts into blocks, and gaps without content between them into one."""
    held: list[bytes] = []
    n_bytes, gap = 0, None
    for part in parts:
        if isinstance(part, Gap):
            if held:
                yield b"".join(held)
                held, n_bytes = [], 0
            gap = replace(gap, end=part.end) if gap else part
            continue
        if not part.content:
            continue
        if gap:
            yield gap
            gap = None
        held.append(part.content)
        n_bytes += len(part.content)
        if n_bytes >= BLOCK_BYTES:
            yield b"".join(held)
            held, n_bytes = [], 0
    if held:
        yield b"".join(held)
    if gap:
        yield gap
