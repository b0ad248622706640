"""Searches for the beginnings of records in a file, and for their ends if their lengths are wrong."""

from __future__ import annotations

import re
from enum import Enum, auto

from prox_spark.readers.warc.header import parse_header
from prox_spark.readers.warc.window import ByteWindow

# Holds the line of the version and the name of the first field.
START_BYTES = 256
# These stand after a record, by the standard and in files with Unix line ends.
SEPARATORS = (b"\r\n\r\n", b"\n\n")

_MAX_BLANK_BYTES = 1 << 20
_VERSION = re.compile(rb"WARC/\d+\.\d+[ \t]*\r*\n", re.IGNORECASE)
# Within other bytes more than the line of the version must match, because texts about the format have it, too. The match need
# not begin a line, because the bytes before it may be damaged.
_SIGNATURE = b"WARC/"
_START = re.compile(rb"WARC/\d+\.\d+[ \t]*\r*\n(?i:WARC|Content)-[A-Za-z-]+[ \t]*:")
# Some tools pad with zeros, or write a byte order mark before each record.
BLANKS = re.compile(rb"(?:[\r\n \t\x00]+|\xef\xbb\xbf)*")
END_OF_HEADER = re.compile(rb"\n\r*\n")


class Fit(Enum):
    """How well a position fits as the end of a record. A wrong length may hit a `ROUGH` end by chance."""

    EXACT = auto()
    ROUGH = auto()
    NONE = auto()


class Search:
    """A search for records in a window.

    If all records so far had a member each, only members begin records. Otherwise any line that begins a header does.
    """

    def __init__(self, window: ByteWindow, is_plain: bool) -> None:
        self._window = window
        self._are_aligned, self._n_records = not is_plain, 0

    def note_record(self, begins_member: bool) -> None:
        """Take note of whether a record that was found begins a member."""
        self._n_records += 1
        self._are_aligned = self._are_aligned and begins_member

    @property
    def is_aligned(self) -> bool:
        """True if at least two records were found, each with a member of its own. Only members begin records then."""
        return self._are_aligned and self._n_records > 1

    def begins_record(self, position: int) -> bool:
        """Return True if the line of the version is at a position."""
        self._window.ensure(position + START_BYTES)
        return bool(self._window.match(_VERSION, position))

    def skip_blanks(self, begin: int) -> tuple[int, int | None]:
        """Drop what is before a position, and the blank lines and zeros at it.

        Returns:
            The position after them, and the offset in the stored file of the first member's end on the way; None if none ends.
        """
        window, ended_at = self._window, None
        while True:
            window.drop(begin)
            blanks = window.match(BLANKS, begin)
            end = window.begin + blanks.end() if blanks else begin
            for mark in window.marks:
                if ended_at is None and begin <= mark.position <= end:
                    ended_at = mark.ended_at
            begin = end
            if begin < window.end or not window.read_more():
                window.drop(begin)
                return begin, ended_at

    def rate_end(self, end: int, begin: int) -> Fit:
        """Rate a position as the end of a record by what follows it.

        Args:
            end: the position.
            begin: position of the record.
        """
        window = self._window
        window.ensure(end + len(SEPARATORS[0]))
        is_separated = window.view(end, end + len(SEPARATORS[0])).startswith(SEPARATORS)
        behind = end
        while True:
            blanks = window.match(BLANKS, behind)
            behind = window.begin + blanks.end() if blanks else behind
            if behind < window.end or behind - end > _MAX_BLANK_BYTES or not window.read_more():
                break
        ends_member = any(max(end, begin + 1) <= mark.position <= behind for mark in window.marks)
        is_followed = behind == window.end or ends_member or self.begins_record(behind)
        if is_separated and is_followed:
            return Fit.EXACT
        return Fit.ROUGH if is_separated or is_followed else Fit.NONE

    def holds_record(self, begin: int, end: int, max_bytes: int) -> bool:
        """Return True if a record between two positions ends, by its own length, where another one begins.

        Args:
            begin: first position; the window has all bytes from it on.
            end: the record begins before this position.
            max_bytes: the record may end this far after `end`.
        """
        window = self._window
        start = self.find(begin, end)
        blank = END_OF_HEADER.search(window.buffer, start - window.begin) if start is not None else None
        if start is None or blank is None:
            return False
        content = window.begin + blank.end()
        length = parse_header(window.view(start, content)).length
        if length is None or content + length > end + max_bytes or not window.ensure(content + length):
            return False
        blanks = window.match(BLANKS, content + length)
        return self.begins_record(window.begin + blanks.end() if blanks else content + length)

    def scan(self, begin: int, max_held: int | None = None, any_member: bool = False) -> int | None:
        """Find the next position where a record can begin, reading on as needed.

        Args:
            begin: position to search from.
            max_held: number of searched bytes that are held before the search is given up; None to drop them instead.
            any_member: accept any member if records have a member each.

        Returns:
            The position; None if a gap, the end, or the bound comes first.
        """
        window, first = self._window, begin
        while True:
            found = self.find(begin, window.end, any_member)
            if found is not None:
                return found
            begin = max(begin, window.end - START_BYTES)
            if max_held is None:
                window.drop(max(window.begin, begin))
            elif window.end - first > max_held:
                return None
            if not window.read_more():
                return None

    def find(self, begin: int, end: int, any_member: bool = False) -> int | None:
        """Return the first position in the window, from `begin` to before `end`, where a record can begin."""
        window, found = self._window, None
        if not self.is_aligned:
            found = self._find_line(begin, end)
        for mark in window.marks:
            if (
                begin <= mark.position < (end if found is None else found)
                and mark.position < end
                and ((any_member and self.is_aligned) or self.begins_record(mark.position))
            ):
                return mark.position
        return found

    def _find_line(self, begin: int, end: int) -> int | None:
        window = self._window
        at, behind = begin - window.begin, end - window.begin + len(_SIGNATURE) - 1
        while (at := window.buffer.find(_SIGNATURE, max(at, 0), max(behind, 0))) >= 0:
            if _START.match(window.buffer, at):
                return window.begin + at
            at += 1
        return None
