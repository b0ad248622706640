"""A file of records as a window of decompressed bytes, with the members that they come from."""

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

    The first bytes say how it is compressed. Its name only counts if they are damaged.

    Attributes:
        size: in bytes, as stored.
        is_plain: the file is not compressed.
        start: its first bytes as stored; empty if they are those of a compression.
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
        """Yield the content from an offset in the stored file on. In a compressed file a member must begin there."""
        if self._members:
            yield from self._members.read(begin)
            return
        self._source.position = begin
        while block := self._source.take(BLOCK_BYTES):
            yield MemberPart(block)


class Mark(NamedTuple):
    """The beginning of a member.

    Attributes:
        position: position of its first byte among the decompressed ones.
        offset: offset of the member in the stored file.
        ended_at: offset in the stored file where the member before it ends; None if unknown.
    """

    position: int
    offset: int
    ended_at: int | None


class ByteWindow:
    """The decompressed bytes that are still needed. Positions count all decompressed bytes, also the dropped ones.

    Attributes:
        buffer: the bytes.
        begin: position of the first byte.
        marks: beginnings of the members in the buffer, and of the member of its first byte.
        gap: the gap that follows the buffer, until it is passed; None if none does.
        is_at_end: the file has no more bytes.
        ended_at: offset in the stored file where the member of the last byte ends; None until it has ended.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.go_to(0, 0)

    def go_to(self, offset: int, position: int) -> None:
        """Read on from the member at an offset, or the byte in a plain file, and give that byte the position."""
        self._parts = self._container.read(offset)
        self.buffer = bytearray()
        self.begin = position
        self.marks: list[Mark] = []
        self.gap: Gap | None = None
        self.is_at_end = False
        self.ended_at: int | None = None

    @property
    def end(self) -> int:
        """Return the position after the last byte."""
        return self.begin + len(self.buffer)

    def read_more(self) -> bool:
        """Take in some more bytes. Return False if a gap or the end comes instead."""
        if self.gap or self.is_at_end:
            return False
        begins_at = None
        for part in self._parts:
            if isinstance(part, Gap):
                self.gap = part
                return False
            if part.begins_at is not None:
                begins_at = part.begins_at
            if part.content:
                if begins_at is not None:
                    self.marks.append(Mark(self.end, begins_at, self.ended_at))
                self.buffer += part.content
                self.ended_at = part.ends_at
                return True
            # `ended_at` is about the member of the last byte; an empty member after it changes nothing.
            if self.ended_at is None:
                self.ended_at = part.ends_at
        self.is_at_end = True
        return False

    def ensure(self, end: int) -> bool:
        """Take in all bytes before a position. Return False if a gap or the end comes before it."""
        while self.end < end:
            if not self.read_more():
                return False
        return True

    def pass_gap(self) -> None:
        """Continue after the gap, and drop what is before it."""
        self.drop(self.end)
        self.marks.clear()
        self.gap = self.ended_at = None

    def drop(self, position: int) -> None:
        """Drop the bytes before a position."""
        del self.buffer[: position - self.begin]
        self.begin = position
        while len(self.marks) > 1 and self.marks[1].position <= position:
            del self.marks[0]

    def view(self, begin: int, end: int) -> bytes:
        """Return a copy of the bytes between two positions, as far as the window has them."""
        return bytes(self.buffer[max(0, begin - self.begin) : max(0, end - self.begin)])

    def match(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes] | None:
        """Match a pattern at a position."""
        return pattern.match(self.buffer, position - self.begin)

    def find_mark_at(self, position: int) -> Mark | None:
        """Return the member that begins at a position; None if none does."""
        return next((mark for mark in self.marks if mark.position == position), None)

    def find_mark_before(self, position: int) -> Mark | None:
        """Return the member of the byte at a position; None if the window has no beginning of it."""
        return next((mark for mark in reversed(self.marks) if mark.position <= position), None)
