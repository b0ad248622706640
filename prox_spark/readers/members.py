"""The members of compressed files, one after the other. What is damaged is a `Gap`, and reading goes on behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prox_spark.readers.codecs import DICTIONARY_FRAME, SKIPPABLE, Codec, Decompressor, skippable_bytes
from prox_spark.readers.signatures import HEAD_BYTES
from prox_spark.readers.stored_bytes import StoredBytes

BLOCK_BYTES = 1 << 20

# What is given to a decompressor at once: at a member's end it hands the rest back, so it gets little at first.
_FIRST_STEP_BYTES, _STEP_BYTES = 4 << 10, 64 << 10
# Where a member is damaged the next one is looked for from here before the place where that shows: a decompressor may
# have run over the end of the damaged one.
_LOOK_BACK_BYTES = 1 << 20
# bzip2 gives nothing before it has a whole block.
_TRIAL_BYTES = 1 << 20
# Fewer bytes than these at a file's end can't show what they begin.
_SIGNATURE_BYTES = 4
_MAX_DICTIONARY_BYTES = 64 << 20
_NOT_FILLING = re.compile(rb"[^\x00\r\n]")


class Piece(NamedTuple):
    """Some of the content of a member.

    Attributes:
        content: may be empty.
        begins_at: where in the file, as stored, the member begins whose content begins here; None: it began before.
        ends_at: where in the file the member ends whose content ends here; None: it goes on.
    """

    content: bytes
    begins_at: int | None = None
    ends_at: int | None = None


@dataclass(frozen=True)
class Gap:
    """A part of a file that could not be decompressed.

    What stood in it is not known: the block before it ends in the middle of anything, and so begins the block behind it.

    Attributes:
        offset: where in the file, as stored, the trouble shows; what is wrong may stand up to a block before it.
        end: where reading goes on; None: nothing behind it can be read.
        message: for people.
        begin: where the member begins that the trouble is in, or what is no member.
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
        self._new = codec.opener(max_window_bytes, None)

    def read(self, begin: int = 0) -> Iterator[Piece | Gap]:
        """Yields what is in them, in pieces, and gaps.

        Args:
            begin: where a member begins. Who reads from elsewhere has read from 0 before: a dictionary stands there.
        """
        source, name = self._source, self._codec.name
        source.position = last = begin
        if not source.peek(1):
            yield Gap(0, None, f"the file is empty: a {name} file has a header at least")
        while head := source.peek(HEAD_BYTES):
            begin = source.position
            if self._codec.member.match(head):
                if problem := self._codec.refuse(head, self._max_window_bytes, self._dictionary):
                    yield self._go_on(begin, begin, begin + 1, problem)
                else:
                    yield from self._read_member()
                last = begin
            elif not self._skip_frame(head) and not self._skip_filling():
                look_from = begin if self._codec.is_checked or begin == last else last + 1
                problem = f"what begins at byte {begin:,} is not {name}"
                if len(head) < _SIGNATURE_BYTES:
                    problem = f"the file ends within the first bytes of {name} data: it is cut off"
                yield self._go_on(begin, begin, look_from, problem)

    def _read_member(self) -> Iterator[Piece | Gap]:
        """Yields the content of the member that begins here, and a gap where it is damaged or cut off."""
        source, member = self._source, self._new()
        begin = fed_from = source.position
        # Only the first piece says so.
        begins_at: int | None = begin
        n_bytes, step = 0, _FIRST_STEP_BYTES
        try:
            while not member.eof and (data := source.take(step)):
                fed_from = source.position - len(data)
                step = min(2 * step, _STEP_BYTES)
                for content in _feed(member, data):
                    n_bytes += len(content)
                    yield Piece(content, begins_at)
                    begins_at = None
        except self._codec.errors as error:
            for content in self._replay(begin, fed_from, n_bytes):
                yield Piece(content, begins_at)
                begins_at = None
            problem = f"the {self._codec.name} data that begin at byte {begin:,} are damaged ({error}); records that were read from them may be damaged too"
        else:
            source.position -= len(member.unused_data or b"")
            if member.eof:
                yield Piece(b"", begins_at, source.position)
                return
            problem = f"the {self._codec.name} data that begin at byte {begin:,} end early: the file is cut off"
        yield self._go_on(begin, source.position, max(begin + 1, source.position - _LOOK_BACK_BYTES), problem)

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

    def _go_on(self, begin: int, offset: int, look_from: int, problem: str) -> Gap:
        """Moves to the next member that can be decompressed, or to the end."""
        for place in self._source.find_all(self._codec.member, look_from):
            if self._is_member(place):
                self._source.position = place
                message = f"{problem}; reading goes on at byte {place:,}"
                return Gap(min(offset, place), place, message, min(begin, place))
        return Gap(offset, None, problem, begin)

    def _is_member(self, place: int) -> bool:
        """True if what looks like the beginning of a member can be decompressed for a while."""
        source, member = self._source, self._new()
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
        """Moves behind a skippable frame; True if there was one, and behind it the next frame or the end."""
        source, begin = self._source, self._source.position
        if not (self._codec.has_skippable and SKIPPABLE.match(head)):
            return False
        source.position += skippable_bytes(head) - 1
        if source.take(1):
            behind = source.peek(HEAD_BYTES)
            if not behind.strip(b"\x00") or self._codec.member.match(behind) or SKIPPABLE.match(behind):
                if DICTIONARY_FRAME.match(head):
                    self._take_dictionary(begin)
                return True
        source.position = begin
        return False

    def _skip_filling(self) -> bool:
        """Moves behind zeros, with which some tools fill up a block, and line ends; True if a member or the end is behind them."""
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
        """Uses what is in the skippable frame that begins there for all members behind it, if it is a dictionary."""
        source, end = self._source, self._source.position
        if self._codec.find_dictionary and end - begin <= _MAX_DICTIONARY_BYTES:
            source.position = begin
            if dictionary := self._codec.find_dictionary(source.peek(end - begin)):
                self._dictionary = dictionary
                self._new = self._codec.opener(self._max_window_bytes, dictionary)
            source.position = end


def _feed(member: Decompressor, data: bytes) -> Iterator[bytes]:
    """Yields what comes of so many bytes, a block at a time."""
    while True:
        if piece := member.decompress(data, BLOCK_BYTES):
            yield piece
        data = b""
        if member.eof or member.needs_input:
            return
