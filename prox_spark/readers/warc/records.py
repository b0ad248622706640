"""The records of a WARC or WET file, one after the other. What is no record is a `Damage`, and reading goes on behind it."""

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
# A length may be off by so much without a word: as long as what stands behind a record is.
_SLACK_BYTES = 4
_CUT_HEADER = "the file ends within the header of a record: it is cut off"
_CUT_VERSION = re.compile(rb"W(?:A(?:R(?:C(?:/[\d.]{0,8})?)?)?)?\r?$")


@dataclass(frozen=True)
class Damage:
    """A part of the file that is no record.

    Attributes:
        message: for people.
        offset: where it begins in the file, as stored; None where no member begins there.
        length: None where that is not known.
        snippet: its first bytes.
        doc_id: of the record that is damaged, as far as that could be read.
    """

    message: str
    offset: int | None = None
    length: int | None = None
    snippet: bytes = b""
    doc_id: str | None = None


class Block(NamedTuple):
    """What is behind the header of a record.

    Attributes:
        content: None where it was not asked for, or is larger than the limit.
        offset: of the record in the file, as stored; None where it shares a member with others.
        length: of the record in the file, with all that belongs to it.
        n_missing: bytes that the header promises and that are not there.
    """

    content: bytes | None
    offset: int | None
    length: int | None
    n_missing: int = 0


class RecordReader:
    """Reads records: for each header that iterating yields `finish` is called, `peek` before it if need be.

    What is no record is passed over, up to where one begins.
    """

    def __init__(self, container: Container, max_bytes: int) -> None:
        """Begins at the beginning.

        Args:
            container: the file.
            max_bytes: largest content that is held in memory.
        """
        self._container, self._max_bytes = container, max_bytes
        self._window = ByteWindow(container)
        self._search = Search(self._window, container.is_plain)
        self._ends = ContentEnds(self._window, self._search, container, max_bytes)
        # Where the next record is looked for; and of one that was found, where it, its content, its member and the blank
        # lines before it begin.
        self._position = self._begin = self._content = self._blank_from = 0
        self._member_at: int | None = None
        self._header, self._start = Header({}, True), b""
        self._damage: Damage | None = None
        # Why nothing more can be read.
        self._cut: str | None = None

    def __iter__(self) -> Iterator[Header | Damage]:
        """Yield headers and damages in the order of the file.

        Raises:
            EOFError: nothing behind the last one can be read, or there was no record at all.
        """
        self._window.ensure(START_BYTES)
        first, has_records = self._window.view(0, 2 * START_BYTES), False
        while not self._cut and (begin := self._find_record()) is not None:
            if not self._read_header(begin):
                continue
            if self._damage:
                yield self._measure_damage(begin)
                self._damage = None
            has_records = True
            self._search.note_record(self._member_at is not None)
            yield self._header
        # A damage that goes on to where the file is cut off is the same.
        found = self._damage.message if self._damage else None, self._cut
        messages = dict.fromkeys(message for message in found if message)
        if not has_records:
            what = explain_content(first or self._container.start) or "; ".join(messages) or "it is empty"
            raise EOFError(f"no WARC record is in it: {what}")
        if self._cut:
            raise EOFError("; ".join(messages))
        if self._damage:
            yield self._measure_damage(None)

    def peek(self, n_bytes: int) -> bytes:
        """Return the first bytes of the content, fewer where it ends."""
        length = self._header.length
        end = self._content + (n_bytes if length is None else min(n_bytes, length))
        self._window.ensure(end)
        starts = (mark.position for mark in self._window.marks if self._content < mark.position < end)
        end = next((at for at in starts if self._search.begins_record(at)), end)
        return self._window.view(self._content, end)

    def finish(self, keep: bool) -> Block | None:
        """Move behind the record.

        Args:
            keep: the content is needed.

        Returns:
            None for a record that can't be read: the next item tells of it.
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
            # What was taken for its header goes on to the end of the record.
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
        """Return where the next record begins, with what lies before it dropped; None at the end."""
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
        """Read the header that begins there; False if it has no end, and the search goes on."""
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
        """Move behind what follows a content.

        Returns:
            Offset and length of the record in the file; None where its member is damaged and holds nothing else.
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
        """Return where the member begins in the file that has nothing but blank lines before a place; None: there is none."""
        mark = self._window.find_mark_before(begin)
        return mark.offset if mark and mark.position >= self._blank_from else None

    # Damage

    def _lose(self, message: str, begin: int) -> None:
        """Note that what begins there is no record. What follows is part of the same damage up to where a record begins."""
        if self._damage:
            return
        window, offset, doc_id = self._window, self._find_member(begin), None
        start = window.view(begin, begin + _SNIPPET_BYTES)
        if begin == self._begin and self._start:
            # The window may be past it.
            offset, doc_id = self._member_at, self._header.doc_id
            start = start or self._start[:_SNIPPET_BYTES]
        self._damage = Damage(message, begin if self._container.is_plain else offset, None, start, doc_id)

    def _lose_to_gap(self) -> None:
        """Note that the record is damaged by the gap that the window ends at."""
        gap = self._window.gap
        if gap and gap.end is None:
            self._cut = gap.message
        elif gap:
            self._position = self._window.end
            self._lose(gap.message, self._begin)

    def _measure_damage(self, position: int | None) -> Damage:
        """Return the damage with its length; None: it goes on to the file's end."""
        assert self._damage
        end: int | None = self._container.size
        if position is not None and self._container.is_plain:
            end = position
        elif position is not None:
            end = self._find_member(position)
        if self._damage.offset is None or end is None:
            return replace(self._damage, offset=None)
        return replace(self._damage, length=end - self._damage.offset)
