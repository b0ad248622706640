"""Files as streams of decompressed blocks. What is damaged is a `Gap` between blocks, and reading goes on behind it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from prox_spark.ingest.codecs import (
    SKIPPABLE,
    ZSTD,
    Codec,
    Decompressor,
    codec_of_content,
    codec_of_name,
    skippable_bytes,
)
from prox_spark.ingest.files import open_raw
from prox_spark.ingest.signatures import HEAD_BYTES, looks_like_json, say_what_it_is
from prox_spark.ingest.stored_bytes import StoredBytes

BLOCK_BYTES = 1 << 20
MAX_WINDOW_BYTES = 2 << 30

# What is given to a decompressor at once: at a member's end it hands the rest back.
_STEP_BYTES = 64 << 10
# Where a member is damaged the next one is looked for from here before the place where that shows: a decompressor may
# have run over the end of the damaged one.
_LOOK_BACK_BYTES = 1 << 20
# bzip2 gives nothing before it has a whole block.
_TRIAL_BYTES = 1 << 20
# What a file's format is told by; the second where the first gives nothing, as a long block of bzip2.
_START_BYTES = (64 << 10, 1 << 20)
_NOT_ZERO = re.compile(rb"[^\x00]")


@dataclass(frozen=True)
class Gap:
    """A part of a file that could not be decompressed.

    What stood in it is not known: the block before it ends in the middle of anything, and so begins the block behind it.

    Attributes:
        offset: where in the file, as stored, the trouble shows; what is wrong may stand up to a block before it.
        end: where reading goes on; None: nothing behind it can be read.
        message: for people.
    """

    offset: int
    end: int | None
    message: str


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
        yield from _joined(_Members(source, codec, max_window_bytes).read())
        return
    raw.seek(0)
    while block := raw.read(BLOCK_BYTES):
        yield block


class _Members:
    """The members of a compressed file, one after the other."""

    def __init__(self, source: StoredBytes, codec: Codec, max_window_bytes: int) -> None:
        self._source, self._codec, self._max_window_bytes = source, codec, max_window_bytes
        self._new = codec.opener(max_window_bytes)

    def read(self) -> Iterator[bytes | Gap]:
        """Yields what is in them, in pieces, and gaps."""
        source, name = self._source, self._codec.name
        if not source.peek(1):
            yield Gap(0, None, f"the file is empty: a {name} file has a header at least")
        while head := source.peek(HEAD_BYTES):
            begin = source.position
            if self._codec.member.match(head):
                if problem := self._codec.refuse(head, self._max_window_bytes):
                    yield self._go_on(begin, begin + 1, problem)
                else:
                    yield from self._read_member()
            elif not self._skip_frame(head) and not self._skip_zeros():
                yield self._go_on(begin, begin, f"what begins at byte {begin:,} is not {name}")

    def _read_member(self) -> Iterator[bytes | Gap]:
        """Yields the content of the member that begins here, and a gap where it is damaged or cut off."""
        source, member = self._source, self._new()
        begin = fed_from = source.position
        n_bytes = 0
        try:
            while not member.eof and (data := source.take(_STEP_BYTES)):
                fed_from = source.position - len(data)
                for piece in _feed(member, data):
                    n_bytes += len(piece)
                    yield piece
        except self._codec.errors as error:
            yield from self._replay(begin, fed_from, n_bytes)
            problem = f"the {self._codec.name} data that begin at byte {begin:,} are damaged ({error}); records that were read from them may be damaged too"
        else:
            source.position -= len(member.unused_data or b"")
            if member.eof:
                return
            problem = f"the {self._codec.name} data that begin at byte {begin:,} end early: the file is cut off"
        yield self._go_on(source.position, max(begin + 1, source.position - _LOOK_BACK_BYTES), problem)

    def _replay(self, begin: int, fed_from: int, n_known: int) -> Iterator[bytes]:
        """Decompresses a damaged member anew for what the failing call held back.

        A decompressor that fails returns nothing of what it had got from the same call: here it gets the last bytes one
        by one.

        Args:
            begin: of the member.
            fed_from: where the bytes begin that it failed at.
            n_known: how much of its content was yielded before.
        """
        source, member = self._source, self._new()
        source.position = begin
        try:
            while not member.eof:
                n_bytes = max(1, min(_STEP_BYTES, fed_from - source.position))
                if not (data := source.take(n_bytes)):
                    return
                for piece in _feed(member, data):
                    if len(piece) > n_known:
                        yield piece[n_known:]
                    n_known = max(0, n_known - len(piece))
        except self._codec.errors:
            return

    def _go_on(self, offset: int, look_from: int, problem: str) -> Gap:
        """Moves to the next member that can be decompressed, or to the end."""
        for place in self._source.find_all(self._codec.member, look_from):
            if self._is_member(place):
                self._source.position = place
                return Gap(min(offset, place), place, f"{problem}; reading goes on at byte {place:,}")
        return Gap(offset, None, problem)

    def _is_member(self, place: int) -> bool:
        """True if what looks like the beginning of a member can be decompressed for a while."""
        source, member = self._source, self._new()
        source.position = place
        if self._codec.refuse(source.peek(HEAD_BYTES), self._max_window_bytes):
            return False
        try:
            while source.position < place + _TRIAL_BYTES and (data := source.take(_STEP_BYTES)):
                if sum(map(len, _feed(member, data))) or member.eof:
                    return True
        except self._codec.errors:
            pass
        return False

    def _skip_frame(self, head: bytes) -> bool:
        """Moves behind a skippable frame; True if there was one, and behind it the next frame or the end."""
        source, begin = self._source, self._source.position
        if not (self._codec.has_skippable and SKIPPABLE.match(head)):
            return False
        source.position += skippable_bytes(head) - 1
        if source.take(1):
            behind = source.peek(HEAD_BYTES)
            if not behind.strip(b"\x00") or self._codec.member.match(behind) or SKIPPABLE.match(behind):
                return True
        source.position = begin
        return False

    def _skip_zeros(self) -> bool:
        """Moves behind zeros, with which some tools fill up a block; True if a member or the end is behind them."""
        source, begin = self._source, self._source.position
        if source.peek(1) != b"\x00":
            return False
        place = next(source.find_all(_NOT_ZERO, begin), None)
        if place is None:
            return True
        source.position = place
        head = source.peek(HEAD_BYTES)
        if self._codec.member.match(head) or SKIPPABLE.match(head):
            return True
        source.position = begin
        return False


def _feed(member: Decompressor, data: bytes) -> Iterator[bytes]:
    """Yields what comes of so many bytes, a block at a time."""
    while True:
        if piece := member.decompress(data, BLOCK_BYTES):
            yield piece
        data = b""
        if member.eof or member.needs_input:
            return


def _joined(pieces: Iterator[bytes | Gap]) -> Iterator[bytes | Gap]:
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
        if gap:
            yield gap
            gap = None
        held.append(piece)
        n_bytes += len(piece)
        if n_bytes >= BLOCK_BYTES:
            yield b"".join(held)
            held, n_bytes = [], 0
    if held:
        yield b"".join(held)
    if gap:
        yield gap
