"""The records of a WARC or WET file, one after the other. A part that is no record is a `Damage`, and reading continues after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from prox_spark.readers.members import Gap
from prox_spark.readers.signatures import explain_content
from prox_spark.readers.warc.ends import ContentEnds
from prox_spark.readers.warc.header import Header, parse_header
from prox_spark.readers.warc.search import END_OF_HEADER, START_BYTES, Search
from prox_spark.readers.warc.window import ByteWindow, Container

_MAX_HEADER_BYTES = 1 << 20
_SNIPPET_BYTES = 800
# A length may be wrong by this much without a note. The separator after a record is as long.
_SLACK_BYTES = 4
_CUT_HEADER = "the file ends within the header of a record: it is cut off"
_CUT_VERSION = re.compile(rb"W(?:A(?:R(?:C(?:/[\d.]{0,8})?)?)?)?\r?$")


@dataclass(frozen=True)
class Damage:
    """A part of the file that is no record.

    Attributes:
        message: sentence for people.
        offset: its offset in the stored file; None if no member begins there.
        length: its length in the stored file; None if unknown.
        snippet: its first bytes.
        doc_id: id of the damaged record; None if it could not be read.
    """

    message: str
    offset: int | None = None
    length: int | None = None
    snippet: bytes = b""
    doc_id: str | None = None


class Block(NamedTuple):
    """The block of a record, which follows its header.

    Attributes:
        content: its bytes; None if they were not asked for, or are more than the limit.
        offset: offset of the record in the stored file; None if it shares a member with others.
        length: length of the whole record in the stored file; None likewise.
        n_missing: number of bytes that the header promises and the file lacks.
    """

    content: bytes | None
    offset: int | None
    length: int | None
    n_missing: int = 0


class RecordReader:
    """A reader of records. Iterating yields headers; for each call `finish`, and `peek` before it if needed.

    Bytes that are no record are passed over up to the next record.
    """

    def __init__(self, container: Container, max_bytes: int) -> None:
        """Start at the beginning of the file.

        Args:
            container: the file.
            max_bytes: largest content that is held in memory.
        """
        self._container, self._max_bytes = container, max_bytes
        self._window = ByteWindow(container)
        self._search = Search(self._window, container.is_plain)
        self._ends = ContentEnds(self._window, self._search, container, max_bytes)
        # Positions: of the search for the next record, then of the found record, its content, and the blank lines before it.
        # Then the offset of its member.
        self._position = self._begin = self._content = self._blank_from = 0
        self._member_at: int | None = None
        self._header, self._start = Header({}, True), b""
        self._damage: Damage | None = None
        # The reason why nothing more can be read.
        self._cut: str | None = None

    def __iter__(self) -> Iterator[Header | Damage]:
        """Yield headers and damages in the order of the file.

        Raises:
            EOFError: nothing after the last one can be read, or the file has no record at all.
        """
        self._window.ensure(START_BYTES)
        first, has_records = self._window.view(0, 2 * START_BYTES), False
        while not self._cut and (begin := self._find_record()) is not None:
            if not self._read_header(begin):
                continue
            if self._damage:
                yield self._measure_damage(self._damage, begin)
                self._damage = None
            has_records = True
            self._search.note_record(self._member_at is not None)
            yield self._header
        # A damage that reaches to where the file is cut off is part of that.
        found = self._damage.message if self._damage else None, self._cut
        messages = dict.fromkeys(message for message in found if message)
        if not has_records:
            what = explain_content(first or self._container.start) or "; ".join(messages) or "it is empty"
            raise EOFError(f"no WARC record is in it: {what}")
        if self._cut:
            raise EOFError("; ".join(messages))
        if self._damage:
            yield self._measure_damage(self._damage, None)

    def peek(self, n_bytes: int) -> bytes:
        """Return the first bytes of the content, fewer if it ends before."""
        length = self._header.length
        end = self._content + (n_bytes if length is None else min(n_bytes, length))
        self._window.ensure(end)
        starts = (mark.position for mark in self._window.marks if self._content < mark.position < end)
        end = next((at for at in starts if self._search.begins_record(at)), end)
        return self._window.view(self._content, end)

    def finish(self, keep: bool) -> Block | None:
        """Move behind the record.

        Args:
            keep: return the content.

        Returns:
            The block; None if the record can't be read. The next item then tells of it.
        """
        length = self._header.length
        if length is None and keep:
            self._position = self._content
            self._lose("the record has no Content-Length that is a number", self._begin)
            return None
        end = self._ends.find(self._content, length, keep)
        if isinstance(end, Gap):
            self._lose_to_gap()
            return None
        if isinstance(end, str):
            self._cut = end
            return None
        if end == self._content and (length or 0) > _SLACK_BYTES:
            # The bytes taken for its header reach to the end of the record.
            self._position = end
            self._lose(f"the record has none of its {length:,} bytes", self._begin)
            return None
        content, n_missing = None, 0
        if keep and self._window.begin <= self._content and end - self._content <= self._max_bytes:
            content = self._ends.cut_out(self._content, end, length, self._header.has_cr)
            n_missing = max(0, (length or 0) - len(content))
        place = self._close(end)
        return place and Block(content, *place, n_missing if n_missing > _SLACK_BYTES else 0)

    # Finding records

    def _find_record(self) -> int | None:
        """Return the position of the next record, with the bytes before it dropped; None at the end."""
        window = self._window
        while True:
            if self._damage:
                begin = self._search.scan(self._position)
                if begin is not None:
                    window.drop(begin)
                    self._blank_from = begin
                    return begin
            else:
                begin, _ = self._search.skip_blanks(self._position)
                if begin < window.end:
                    if self._search.begins_record(begin):
                        return begin
                    self._position = begin
                    if window.is_at_end and _CUT_VERSION.match(window.view(begin, window.end)):
                        self._cut = _CUT_HEADER
                        return None
                    self._lose("what begins here is no WARC record", begin)
                    continue
            if not window.gap:
                return None
            if window.gap.end is None:
                self._cut = window.gap.message
                return None
            self._damage = self._damage or Damage(window.gap.message, window.gap.begin)
            window.pass_gap()
            self._position = self._blank_from = window.end

    def _read_header(self, begin: int) -> bool:
        """Read the header at a position. Return False if it has no end, and the search must continue."""
        window = self._window
        searched = begin
        while not (blank := END_OF_HEADER.search(window.buffer, searched - window.begin)):
            searched = max(begin, window.end - START_BYTES)
            if window.end - begin > _MAX_HEADER_BYTES or not window.read_more():
                break
        end = window.begin + blank.end() if blank else window.end
        inner = self._search.find(begin + 1, end)
        if blank and inner is None and end - begin <= _MAX_HEADER_BYTES:
            self._member_at = self._find_member(begin)
            self._begin, self._content = begin, end
            self._start = window.view(begin, end)
            self._header = parse_header(self._start)
            return True
        self._position = inner or end
        if inner is None and window.gap:
            self._lose(window.gap.message, begin)
        elif inner is None and window.is_at_end and not self._search.is_aligned:
            self._cut = _CUT_HEADER
        else:
            self._lose(f"the header of the record has no end, or more than {_MAX_HEADER_BYTES:,} bytes", begin)
        return False

    def _close(self, end: int) -> tuple[int | None, int | None] | None:
        """Move behind the separator that follows a content.

        Returns:
            Offset and length of the record in the stored file; None if its member is damaged and holds nothing else.
        """
        window, container = self._window, self._container
        self._blank_from = end
        self._position, ended_at = self._search.skip_blanks(end)
        if container.is_plain:
            return self._begin, self._position - self._begin
        if ended_at is None and self._position == window.end:
            ended_at = window.ended_at
            if ended_at is None and window.gap and self._member_at is not None:
                self._lose_to_gap()
                return None
        if self._member_at is None or ended_at is None:
            return None, None
        return self._member_at, ended_at - self._member_at

    def _find_member(self, begin: int) -> int | None:
        """Return the offset of the member that has only blank lines before a position; None if there is no such member."""
        mark = self._window.find_mark_before(begin)
        return mark.offset if mark and mark.position >= self._blank_from else None

    # Damage

    def _lose(self, message: str, begin: int) -> None:
        """Note that no record begins at a position. Everything up to the next record is part of the same damage."""
        if self._damage:
            return
        window, offset, doc_id = self._window, self._find_member(begin), None
        start = window.view(begin, begin + _SNIPPET_BYTES)
        if begin == self._begin and self._start:
            # The window may have dropped it.
            offset, doc_id = self._member_at, self._header.doc_id
            start = start or self._start[:_SNIPPET_BYTES]
        self._damage = Damage(message, begin if self._container.is_plain else offset, None, start, doc_id)

    def _lose_to_gap(self) -> None:
        """Note that the gap after the window damages the record."""
        gap = self._window.gap
        if gap and gap.end is None:
            self._cut = gap.message
        elif gap:
            self._position = self._window.end
            self._lose(gap.message, self._begin)

    def _measure_damage(self, damage: Damage, position: int | None) -> Damage:
        """Return a damage that reaches to a position (None: to the file's end) with its length in the stored file."""
        end: int | None = self._container.size
        if position is not None and self._container.is_plain:
            end = position
        elif position is not None:
            end = self._find_member(position)
        if damage.offset is None or end is None:
            return replace(damage, offset=None)
        return replace(damage, length=end - damage.offset)
