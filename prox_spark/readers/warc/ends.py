"""The ends of the contents of records, whatever the headers say."""

from __future__ import annotations

from prox_spark.readers.members import Gap
from prox_spark.readers.warc.search import BLANKS, SEPARATORS, START_BYTES, Fit, Search
from prox_spark.readers.warc.window import ByteWindow, Container, Mark


class ContentEnds:
    """A finder of the ends of contents. A content whose length is wrong ends where the next record begins."""

    def __init__(self, window: ByteWindow, search: Search, container: Container, max_bytes: int) -> None:
        self._window, self._search, self._container, self._max_bytes = window, search, container, max_bytes
        # The first position in the dropped bytes where another record seems to begin, with the member to go back to.
        self._inner: tuple[Mark, int] | None = None

    def find(self, begin: int, length: int | None, holds: bool) -> int | Gap | str:
        """Read to the end of a content.

        Args:
            begin: position of the content.
            length: the length in the header; None if it has none.
            holds: keep the content in the window, unless it is larger than the limit.

        Returns:
            The end's position, or the gap that comes before it, or the reason why the file ends before it.
        """
        window = self._window
        declared = None if length is None else begin + length
        self._inner = None
        # A plain file's size tells at once if a length is too large.
        if declared is not None and not (self._container.is_plain and declared > self._container.size):
            self._advance(begin, declared, holds)
            if window.end >= declared and self._fits(begin, declared):
                return declared
            if window.gap and window.end < declared:
                return window.gap
        return self._correct(begin, declared, holds)

    def _advance(self, begin: int, declared: int, holds: bool) -> None:
        """Read to the declared end or the next record's member, dropping what need not be held."""
        window = self._window
        while window.end < declared:
            if not holds or window.end - begin > self._max_bytes:
                if self._inner is None and (inner := self._search.find(begin, window.end)) is not None:
                    self._inner = window.find_mark_before(inner) or Mark(inner, inner, None), inner
                window.drop(max(window.begin, window.end - START_BYTES))
            before = window.end
            if not window.read_more():
                return
            if window.find_mark_at(before) and before >= begin and self._search.begins_record(before):
                return

    def _fits(self, begin: int, declared: int) -> bool:
        """Return True if the content ends where the header says."""
        fit = self._search.rate_end(declared, begin)
        if fit is not Fit.ROUGH or self._window.begin > begin:
            return fit is not Fit.NONE
        # A length that is too large may end by chance at such a position in a later record.
        return not self._search.holds_record(begin, declared, self._max_bytes)

    def _correct(self, begin: int, declared: int | None, holds: bool) -> int | Gap | str:
        """Find the end of a content whose length is missing or wrong."""
        window = self._window
        if self._inner:
            member, inner = self._inner
            window.go_to(member.offset, member.position)
            window.ensure(inner + 1)
            window.drop(inner)
            return inner
        if declared is not None:
            other = self._search.find(begin, min(declared, window.end))
            if other is not None:
                return other
        look_from = begin if declared is None or window.end < declared else declared
        end = self._search.scan(look_from, self._max_bytes if holds else None, any_member=True)
        if end is None and not window.gap and not window.is_at_end:
            # The next record is too far away for this one to be held.
            if look_from == declared:
                return declared
            end = self._search.scan(window.end - START_BYTES, None, any_member=True)
        if end is not None:
            return end
        if window.gap:
            return window.gap
        is_whole = window.view(window.end - len(SEPARATORS[0]), window.end).endswith(SEPARATORS)
        # If the record has a member of its own and that is whole, nothing of the record was cut off.
        if not self._search.is_aligned and declared is not None and window.end < declared and not is_whole:
            n_bytes, n_declared = window.end - begin, declared - begin
            return f"the last record has {n_bytes:,} of its {n_declared:,} bytes: the file is cut off"
        return window.end

    def cut_out(self, begin: int, end: int, length: int | None, has_cr: bool) -> bytes:
        """Return a content without the separator that follows it.

        Args:
            begin: position of the content.
            end: position of its end, as found.
            length: the length in the header; None if it has none.
            has_cr: lines of the header end in CR LF.
        """
        content, full = self._window.view(begin, end), SEPARATORS[0]
        if end - begin != length:
            separator = next((part for part in SEPARATORS if content.endswith(part)), b"")
            return content[: len(content) - len(separator)]
        if has_cr and content.endswith((b"\r", b"\r\n")):
            # A length that is a few bytes too large has taken them from the separator.
            blanks = BLANKS.match(self._window.view(end, end + len(full)))
            rest = blanks.group() if blanks else b""
            if len(rest) < len(full) and (content[-len(full) :] + rest).endswith(full):
                return content[: len(rest) - len(full)]
        return content
