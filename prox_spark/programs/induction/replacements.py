"""Search for the `normalize` operations that make given changes within lines, and no other changes."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prox_spark.programs.operations import Operation, OpName
from prox_spark.programs.strict import GROWTH_CHARS, GROWTH_FACTOR, MIN_SOURCE_CHARS

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana and Han. In these every character is a word.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]++|[^\w\s]")
# Two changes with fewer characters between them are joined: `normalize(source_str="", target_str="")` has 41 characters, and
# the text between the changes is written twice.
_JOINED_WITHIN: Final = 20
# Numbers of words of context that are tried, on either side or both.
_CONTEXTS: Final = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512)
# Largest number of characters of context on either side.
_MAX_CONTEXT: Final = 1_000
# Characters that are searched for one document, about a second's work.
_MAX_SEARCHED: Final = 1_000_000_000
# To shift a change costs as much as to search this many characters.
_CHARS_PER_CHANGE: Final = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A replacement of a part of a line.

    Attributes:
        line: number of the line, here among the lines that stay.
        start: position in the line of the first replaced character.
        end: position behind the last replaced character.
        target: the replacement, without a line break.
    """

    line: int
    start: int
    end: int
    target: str


@dataclass(frozen=True, slots=True)
class Replacements:
    """The operations found for a list of changes.

    Attributes:
        ops: the operations in order.
        unsafe: changes that no operation can make: an equal line is to stay as it is, the line is too short for a source,
            or the text would become too long.
        n_untried: number of changes that were not tried because there were too many.
    """

    ops: tuple[Operation, ...]
    unsafe: tuple[Change, ...]
    n_untried: int


def find_replacements(lines: Sequence[str], changes: Sequence[Change], max_operations: int) -> Replacements:
    """Choose operations one by one, each with a source that occurs only where its replacement is wanted.

    A source is the changed characters, extended to whole words, with as many words of their line around them as needed.
    Where one character is changed in the same way in several places, such as an apostrophe, one neighbouring character
    may be enough for all of them.

    Args:
        lines: the lines that stay, without line breaks.
        changes: the changes in the order of the text; changes of one line don't overlap.
        max_operations: largest number of operations.

    Returns:
        Few and short operations, found greedily; a smaller program may exist.
    """
    search = _Search(lines, _join_neighbours([_trim(lines[change.line], change) for change in changes], lines))
    return search.run(max_operations)


def _trim(line: str, change: Change) -> Change:
    """Return the change without the equal text at its beginning and end."""
    source, target = line[change.start : change.end], change.target
    head = _count_common_prefix(source, target)
    tail = _count_common_prefix(source[head:][::-1], target[head:][::-1])
    return Change(change.line, change.start + head, change.end - tail, target[head : len(target) - tail])


def _count_common_prefix(one: str, other: str) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n


def _join_neighbours(changes: Sequence[Change], lines: Sequence[str]) -> list[Change]:
    """Join neighbouring changes of a line, unless one of them recurs and may be made together with its copies."""

    def describe(change: Change) -> tuple[str, str]:
        return lines[change.line][change.start : change.end], change.target

    copies = Counter(map(describe, changes))
    joined: list[Change] = []
    for change in changes:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.line == change.line
            and change.start - last.end < _JOINED_WITHIN
            and copies[describe(change)] == 1
            and copies[describe(last)] <= 1  # 0 if it was joined before
        ):
            between = lines[change.line][last.end : change.start]
            joined[-1] = Change(change.line, last.start, change.end, last.target + between + change.target)
        else:
            joined.append(change)
    return joined


@dataclass
class _Pending:
    """A change that is still to be made; positions are in the current whole text."""

    change: Change
    start: int
    end: int
    is_made: bool = False


class _Search:
    """The text after the operations found so far, and the changes that are still to be made in it."""

    def __init__(self, lines: Sequence[str], changes: Sequence[Change]) -> None:
        self.text = "\n".join(lines)
        self.limit = GROWTH_FACTOR * len(self.text) + GROWTH_CHARS
        self.n_searched = 0
        self.pending: list[_Pending] = []
        offset = number = 0
        for change in changes:
            for line in lines[number : change.line]:
                offset += len(line) + 1
            number = change.line
            self.pending.append(_Pending(change, offset + change.start, offset + change.end))
        self.by_start = {item.start: item for item in self.pending}

    def run(self, max_operations: int) -> Replacements:
        ops: list[Operation] = []
        tried = set[int]()
        # There are two rounds: a change whose text also stands elsewhere may be unique once the other place has changed.
        for item in [*self.pending, *self.pending]:
            if item.is_made or len(ops) >= max_operations or self.n_searched > _MAX_SEARCHED:
                continue
            tried.add(id(item))
            if found := self._find_source(item):
                ops.append(self._apply(item, *found))
        left = [item for item in self.pending if not item.is_made]
        unsafe = tuple(item.change for item in left if id(item) in tried)
        return Replacements(tuple(ops), unsafe, len(left) - len(unsafe))

    def _find_source(self, item: _Pending) -> tuple[int, int, list[int]] | None:
        """Return where the source of an operation for this change starts and ends, and all positions where it occurs."""
        for start, end in self._propose_adjacent(item):
            if len(hits := self._find_hits(item, start, end)) > 1:
                return start, end, hits
        for start, end in self._propose_in_context(item):
            if hits := self._find_hits(item, start, end):
                return start, end, hits
        return None

    def _propose_adjacent(self, item: _Pending) -> Iterator[tuple[int, int]]:
        """Yield the changed characters alone, then with the next character, the previous character, and both."""
        before = max(item.start - 1, 0)
        behind = min(item.end + 1, len(self.text))
        yield from ((item.start, item.end), (item.start, behind), (before, item.end), (before, behind))

    def _propose_in_context(self, item: _Pending) -> Iterator[tuple[int, int]]:
        """Yield the changed words, then with ever more words of their line, shorter sources first."""
        first = max(self.text.rfind("\n", 0, item.start) + 1, item.start - _MAX_CONTEXT)
        last = self.text.find("\n", item.end)
        last = min(len(self.text) if last < 0 else last, item.end + _MAX_CONTEXT)
        words = [found.span() for found in WORD.finditer(self.text, first, last)]
        start = min([item.start, *(a for a, b in words if a < item.start < b)])
        end = max([item.end, *(b for a, b in words if a < item.end < b)])
        # The line's outer white space comes last: it may be the only difference from another line.
        lefts = [start, *(a for a, b in reversed(words) if b <= start), first]
        rights = [end, *(b for a, b in words if a >= end), last]
        for n in _CONTEXTS:
            left, right = lefts[min(n, len(lefts) - 1)], rights[min(n, len(rights) - 1)]
            yield from sorted({(left, end), (start, right), (left, right)}, key=lambda span: span[1] - span[0])
            if n >= max(len(lefts), len(rights)):
                return

    def _find_hits(self, item: _Pending, start: int, end: int) -> list[int]:
        """Return all positions of a source if the change is wanted at each and the text stays short enough, else none."""
        source, lead = self.text[start:end], item.start - start
        if len(source.strip()) < MIN_SOURCE_CHARS or "\n" in source:
            return []
        hits = []
        position = self.text.find(source)
        while position >= 0:
            other = self.by_start.get(position + lead)
            if other is None or other.end - other.start != item.end - item.start:
                break
            if other.change.target != item.change.target:
                break
            hits.append(position)
            position = self.text.find(source, position + len(source))
        self.n_searched += len(self.text) if position < 0 else position
        growth = len(hits) * (len(item.change.target) - (item.end - item.start))
        # Hits may overlap: in "aaa" the executor takes the first "aa", while the wanted change may be the second.
        is_safe = position < 0 and start in hits and len(self.text) + growth <= self.limit
        return hits if is_safe else []

    def _apply(self, item: _Pending, start: int, end: int, hits: list[int]) -> Operation:
        lead, tail = self.text[start : item.start], self.text[item.end : end]
        source, target = self.text[start:end], lead + item.change.target + tail
        self.text = self.text.replace(source, target)
        self.n_searched += _CHARS_PER_CHANGE * len(self.pending)
        made = [position + len(lead) for position in hits]
        for position in made:
            self.by_start[position].is_made = True
        for other in self.pending:
            shift = bisect_left(made, other.start) * (len(target) - len(source))
            other.start, other.end = other.start + shift, other.end + shift
        self.by_start = {other.start: other for other in self.pending if not other.is_made}
        return Operation(OpName.NORMALIZE, source_str=source, target_str=target)
