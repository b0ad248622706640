"""Files as streams of decompressed blocks. What is damaged is a `Gap` between blocks, and reading goes on behind it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from prox_spark.readers.codecs import SKIPPABLE, ZSTD, Codec, codec_of_content, codec_of_name
from prox_spark.readers.files import open_raw
from prox_spark.readers.members import BLOCK_BYTES, Gap, Members, Piece
from prox_spark.readers.signatures import HEAD_BYTES, looks_like_json, say_what_it_is
from prox_spark.readers.stored_bytes import StoredBytes

__all__ = ["BLOCK_BYTES", "MAX_WINDOW_BYTES", "Gap", "read_blocks", "read_head"]

MAX_WINDOW_BYTES = 2 << 30

# What a file's format is told by; the second where the first gives nothing, as a long block of bzip2.
_START_BYTES = (64 << 10, 1 << 20)


def read_blocks(uri: str, max_window_bytes: int = MAX_WINDOW_BYTES) -> Iterator[bytes | Gap]:
    """Yields the decompressed content in blocks of a megabyte or more (the last one, and one before a gap, may be shorter).

    The first bytes say how a file is compressed; its name only counts where they are damaged. A gzip file of many members,
    and the like of the others, is one stream. Everything that can be decompressed is yielded before the gap that ends it.
    Blocks are never empty, and no two gaps follow each other.

    Args:
        uri: absolute local path or URI.
        max_window_bytes: a zstd frame that needs a larger window is not read: so much memory it may take.

    Raises:
        OSError: the file can't be opened or its store fails.
    """
    with open_raw(uri) as raw:
        yield from _read(raw, codec_of_name(uri), max_window_bytes)


def read_head(uri: str) -> bytes:
    """The beginning of the decompressed content, some kilobytes.

    Raises:
        OSError: the file can't be opened or its store fails.
    """
    with open_raw(uri) as raw:
        for n_bytes in _START_BYTES:
            start = raw.read(n_bytes)
            blocks = _read(io.BytesIO(start), codec_of_name(uri), MAX_WINDOW_BYTES)
            head = b"".join(block for block in blocks if isinstance(block, bytes))
            if head or len(start) < n_bytes:
                break
            raw.seek(0)
    return head[: _START_BYTES[0]]


def _read(raw: BinaryIO, named: Codec | None, max_window_bytes: int) -> Iterator[bytes | Gap]:
    source = StoredBytes(raw)
    head = source.head_behind_skippable()
    codec = codec_of_content(head)
    # A file of skippable frames only, or with a damaged frame behind one.
    if not codec and SKIPPABLE.match(source.peek(HEAD_BYTES)):
        codec = named or ZSTD
    if not codec and named:
        if message := say_what_it_is(head):
            yield Gap(0, None, message)
            return
        # A plain file under the name of a compressed one is read, noise is not.
        codec = None if looks_like_json(head) else named
    if codec:
        yield from _joined(Members(source, codec, max_window_bytes).read())
        return
    raw.seek(0)
    while block := raw.read(BLOCK_BYTES):
        yield block


def _joined(pieces: Iterator[Piece | Gap]) -> Iterator[bytes | Gap]:
    """Joins small pieces into blocks, and gaps that nothing was read between."""
    held: list[bytes] = []
    n_bytes, gap = 0, None
    for piece in pieces:
        if isinstance(piece, Gap):
            if held:
                yield b"".join(held)
                held, n_bytes = [], 0
            gap = replace(gap, end=piece.end) if gap else piece
            continue
        if not piece.content:
            continue
        if gap:
            yield gap
            gap = None
        held.append(piece.content)
        n_bytes += len(piece.content)
        if n_bytes >= BLOCK_BYTES:
            yield b"".join(held)
            held, n_bytes = [], 0
    if held:
        yield b"".join(held)
    if gap:
        yield gap
