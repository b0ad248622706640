"""The members of compressed files, one after the other. A damaged part is a `Gap`, and reading continues after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prox_spark.readers.codecs import DICTIONARY_FRAME, SKIPPABLE, Codec, Decompressor, measure_skippable
from prox_spark.readers.signatures import HEAD_BYTES
from prox_spark.readers.stored_bytes import StoredBytes

BLOCK_BYTES = 1 << 20

# Bytes given to a decompressor at once. It hands back what is after the member's end, so it gets few bytes at first.
_FIRST_STEP_BYTES, _STEP_BYTES = 4 << 10, 64 << 10
# The search for the member after a damaged one starts this far before the place where the damage shows, because the
# decompressor may have run over the end of the damaged one.
_LOOK_BACK_BYTES = 1 << 20
# bzip2 returns nothing before it has a whole block.
_TRIAL_BYTES = 1 << 20
# Fewer bytes than these at a file's end can't show what begins there.
_SIGNATURE_BYTES = 4
_MAX_DICTIONARY_BYTES = 64 << 20
_NOT_FILLING = re.compile(rb"[^\x00\r\n]")


class MemberPart(NamedTuple):
    """A part of the content of a member.

    Attributes:
        content: decompressed bytes; may be empty.
        begins_at: offset of the member in the stored file, if this is its first part; else None.
        ends_at: offset of the member's end in the stored file, if this is its last part; else None.
    """

    content: bytes
    begins_at: int | None = None
    ends_at: int | None = None


@dataclass(frozen=True)
class Gap:
    """A part of a file that could not be decompressed.

    Its content is unknown. The block before it may end in the middle of a record, and the block after it may begin in one.

    Attributes:
        offset: offset in the stored file where the damage shows; the damage itself may be up to a block before.
        end: offset where reading continues; None if nothing after it can be read.
        message: sentence for people.
        begin: offset of the damaged member, or of the bytes that are no member.
    """

    offset: int
    end: int | None
    message: str
    begin: int = 0


class Members:
    """The members of a compressed file, one after the other."""

    def __init__(self, source: StoredBytes, codec: Codec, max_window_bytes: int) -> None:
        self._source, self._codec, self._max_window_bytes = source, codec, max_window_bytes
        self._dictionary: bytes | None = None
        self._open_member = codec.opener(max_window_bytes, None)

    def read(self, begin: int = 0) -> Iterator[MemberPart | Gap]:
        """Yield the content of the members in parts, and gaps.

        Args:
            begin: offset of a member. Before any other offset, read from 0: the file's dictionary is there.
        """
        source, name = self._source, self._codec.name
        source.position = last = begin
        if not source.peek(1):
            yield Gap(0, None, f"the file is empty: a {name} file has a header at least")
        while head := source.peek(HEAD_BYTES):
            begin = source.position
            if self._codec.member.match(head):
                if problem := self._codec.refuse(head, self._max_window_bytes, self._dictionary):
                    yield self._resume(begin, begin, begin + 1, problem)
                else:
                    yield from self._read_member()
                last = begin
            elif not self._skip_frame(head) and not self._skip_filling():
                look_from = begin if self._codec.is_checked or begin == last else last + 1
                problem = f"what begins at byte {begin:,} is not {name}"
                if len(head) < _SIGNATURE_BYTES:
                    problem = f"the file ends within the first bytes of {name} data: it is cut off"
                yield self._resume(begin, begin, look_from, problem)

    def _read_member(self) -> Iterator[MemberPart | Gap]:
        """Yield the content of the member that begins here, and a gap if it is damaged or cut off."""
        source, member = self._source, self._open_member()
        begin = fed_from = source.position
        # Only the first part has it.
        begins_at: int | None = begin
        n_bytes, step = 0, _FIRST_STEP_BYTES
        try:
            while not member.eof and (data := source.take(step)):
                fed_from = source.position - len(data)
                step = min(2 * step, _STEP_BYTES)
                for content in _feed(member, data):
                    n_bytes += len(content)
                    yield MemberPart(content, begins_at)
                    begins_at = None
        except self._codec.errors as error:
            for content in self._replay(begin, fed_from, n_bytes):
                yield MemberPart(content, begins_at)
                begins_at = None
            problem = f"the {self._codec.name} data that begin at byte {begin:,} are damaged ({error}); records that were read from them may be damaged too"
        else:
            source.position -= len(member.unused_data or b"")
            if member.eof:
                yield MemberPart(b"", begins_at, source.position)
                return
            problem = f"the {self._codec.name} data that begin at byte {begin:,} end early: the file is cut off"
        yield self._resume(begin, source.position, max(begin + 1, source.position - _LOOK_BACK_BYTES), problem)

    def _replay(self, begin: int, fed_from: int, n_known: int) -> Iterator[bytes]:
        """Decompress a damaged member again and yield the content that the failing call held back.

        A decompressor that fails returns nothing of the content that the same call had decompressed. Here it gets the last
        bytes one by one.

        Args:
            begin: offset of the member.
            fed_from: offset of the bytes that the failing call got.
            n_known: number of content bytes that were yielded before.
        """
        source, member = self._source, self._open_member()
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

    def _resume(self, begin: int, offset: int, look_from: int, problem: str) -> Gap:
        """Move to the next member that can be decompressed, or to the end, and return the gap before it."""
        for place in self._source.find_all(self._codec.member, look_from):
            if self._is_member(place):
                self._source.position = place
                message = f"{problem}; reading goes on at byte {place:,}"
                return Gap(min(offset, place), place, message, min(begin, place))
        return Gap(offset, None, problem, begin)

    def _is_member(self, place: int) -> bool:
        """Return True if the bytes that look like the beginning of a member can be decompressed for a while."""
        source, member = self._source, self._open_member()
        source.position = place
        if self._codec.refuse(source.peek(HEAD_BYTES), self._max_window_bytes, self._dictionary):
            return False
        try:
            while source.position < place + _TRIAL_BYTES and (data := source.take(_STEP_BYTES)):
                if sum(map(len, _feed(member, data))) or member.eof:
                    return True
        except self._codec.errors:
            pass
        return False

    def _skip_frame(self, head: bytes) -> bool:
        """Move behind a skippable frame. Return True if there was one, followed by another frame or the end."""
        source, begin = self._source, self._source.position
        if not (self._codec.has_skippable and SKIPPABLE.match(head)):
            return False
        source.position += measure_skippable(head) - 1
        if source.take(1):
            behind = source.peek(HEAD_BYTES)
            if not behind.strip(b"\x00") or self._codec.member.match(behind) or SKIPPABLE.match(behind):
                if DICTIONARY_FRAME.match(head):
                    self._take_dictionary(begin)
                return True
        source.position = begin
        return False

    def _skip_filling(self) -> bool:
        """Move behind line ends and the zeros with which some tools pad. Return True if a member or the end follows."""
        source, begin = self._source, self._source.position
        if _NOT_FILLING.match(source.peek(1)):
            return False
        place = next(source.find_all(_NOT_FILLING, begin), None)
        if place is None:
            return True
        source.position = place
        head = source.peek(HEAD_BYTES)
        if self._codec.member.match(head) or SKIPPABLE.match(head):
            return True
        source.position = begin
        return False

    def _take_dictionary(self, begin: int) -> None:
        """Use the dictionary in the skippable frame at an offset, if there is one, for all members after it."""
        source, end = self._source, self._source.position
        if self._codec.find_dictionary and end - begin <= _MAX_DICTIONARY_BYTES:
            source.position = begin
            if dictionary := self._codec.find_dictionary(source.peek(end - begin)):
                self._dictionary = dictionary
                self._open_member = self._codec.opener(self._max_window_bytes, dictionary)
            source.position = end


def _feed(member: Decompressor, data: bytes) -> Iterator[bytes]:
    """Yield the content of some compressed bytes, a block at a time."""
    while True:
        if piece := member.decompress(data, BLOCK_BYTES):
            yield piece
        data = b""
        if member.eof or member.needs_input:
            return
