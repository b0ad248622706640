"""A file of records as decompressed bytes that are read from its beginning on, with the members that they come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from prox_spark.readers.codecs import SKIPPABLE, ZSTD, find_codec_by_content, find_codec_by_name
from prox_spark.readers.members import BLOCK_BYTES, Gap, MemberPart, Members
from prox_spark.readers.signatures import HEAD_BYTES
from prox_spark.readers.stored_bytes import StoredBytes

_WARC = re.compile(rb"(?:\xef\xbb\xbf)?[\s\x00]*WARC/", re.IGNORECASE)


class Container:
    """A file of records, compressed or not.

    The first bytes say how it is compressed; its name only counts where they are damaged.

    Attributes:
        size: in bytes, as stored.
        is_plain: it is not compressed.
        start: its first bytes, as stored, if they are not those of the compression that its name promises.
    """

    def __init__(self, raw: BinaryIO, uri: str, max_window_bytes: int) -> None:
        self.size = raw.seek(0, 2)
        self._source = StoredBytes(raw)
        head = self._source.peek_behind_skippable()
        codec = find_codec_by_content(head)
        self.start = b"" if codec else head
        if not codec and not _WARC.match(head):
            is_skippable = SKIPPABLE.match(self._source.peek(HEAD_BYTES))
            codec = find_codec_by_name(uri) or (ZSTD if is_skippable else None)
        self.is_plain = codec is None
        self._members = Members(self._source, codec, max_window_bytes) if codec else None

    def read(self, begin: int) -> Iterator[MemberPart | Gap]:
        """Yield the content from a place in the file on, where a member begins if it is compressed."""
        if self._members:
            yield from self._members.read(begin)
            return
        self._source.position = begin
        while block := self._source.take(BLOCK_BYTES):
            yield MemberPart(block)


class Mark(NamedTuple):
    """The beginning of a member.

    Attributes:
        position: of its first byte among the decompressed ones.
        offset: of the member in the file, as stored.
        ended_at: where in the file the member before it ends; None where that is not known.
    """

    position: int
    offset: int
    ended_at: int | None


class ByteWindow:
    """What was decompressed and is still needed. Positions count decompressed bytes, whatever was dropped.

    Attributes:
        buffer: the bytes.
        begin: position of the first one.
        marks: beginnings of members in it, and of the one that its first byte belongs to.
        gap: what it ends at, until it is passed.
        is_at_end: there is nothing more.
        ended_at: where in the file the member of the last byte ends, once it has.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.go_to(0, 0)

    def go_to(self, offset: int, position: int) -> None:
        """Read on from the member, or in a plain file the byte, at an offset; it has the position."""
        self._pieces = self._container.read(offset)
        self.buffer = bytearray()
        self.begin = position
        self.marks: list[Mark] = []
        self.gap: Gap | None = None
        self.is_at_end = False
        self.ended_at: int | None = None

    @property
    def end(self) -> int:
        """Return the position behind the last byte."""
        return self.begin + len(self.buffer)

    def read_more(self) -> bool:
        """Take in some more bytes; False if a gap or the end is there instead."""
        if self.gap or self.is_at_end:
            return False
        begins_at = None
        for piece in self._pieces:
            if isinstance(piece, Gap):
                self.gap = piece
                return False
            if piece.begins_at is not None:
                begins_at = piece.begins_at
            if piece.content:
                if begins_at is not None:
                    self.marks.append(Mark(self.end, begins_at, self.ended_at))
                self.buffer += piece.content
                self.ended_at = piece.ends_at
                return True
            # An empty member ends nothing: what counts is the one that the last byte belongs to.
            if self.ended_at is None:
                self.ended_at = piece.ends_at
        self.is_at_end = True
        return False

    def ensure(self, end: int) -> bool:
        """Take in what lies before a position; False if a gap or the end comes before it."""
        while self.end < end:
            if not self.read_more():
                return False
        return True

    def pass_gap(self) -> None:
        """Go on behind the gap, without what lies before it."""
        self.drop(self.end)
        self.marks.clear()
        self.gap = self.ended_at = None

    def drop(self, position: int) -> None:
        """Forget what lies before a position."""
        del self.buffer[: position - self.begin]
        self.begin = position
        while len(self.marks) > 1 and self.marks[1].position <= position:
            del self.marks[0]

    def view(self, begin: int, end: int) -> bytes:
        """Return a copy of the bytes between two positions, as far as they are there."""
        return bytes(self.buffer[max(0, begin - self.begin) : max(0, end - self.begin)])

    def match(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes] | None:
        """Match a pattern at a position."""
        return pattern.match(self.buffer, position - self.begin)

    def find_mark_at(self, position: int) -> Mark | None:
        """Return the beginning of a member that is just there."""
        return next((mark for mark in self.marks if mark.position == position), None)

    def find_mark_before(self, position: int) -> Mark | None:
        """Return the beginning of the member that the byte at a position belongs to, if the window has it."""
        return next((mark for mark in reversed(self.marks) if mark.position <= position), None)
