"""Finds the `normalize` operations that make given changes within lines, and nothing else."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prox_spark.programs.operations import Operation, OpName
from prox_spark.programs.strict import GROWTH_CHARS, GROWTH_FACTOR, MIN_SOURCE_CHARS

# Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, kana and Han. There a word is a character.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]++|[^\w\s]")
# Two changes with less between them are one: `normalize(source_str="", target_str="")` has 41 characters, what lies between
# is written twice.
_JOINED_WITHIN: Final = 20
# Words of context that are tried, on either side or both.
_CONTEXTS: Final = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512)
# Characters of context, on either side, at most.
_MAX_CONTEXT: Final = 1_000
# Characters that are looked through for one document, about a second's work.
_MAX_SEARCHED: Final = 1_000_000_000
# To move a change along costs as much as to look through this many characters.
_CHARS_PER_CHANGE: Final = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A part of a line that is to become another text.

    Attributes:
        line: number of the line, here among those that stay.
        start: first character of the part in its line.
        end: the character behind its last.
        target: what takes its place; without a line break.
    """

    line: int
    start: int
    end: int
    target: str


@dataclass(frozen=True, slots=True)
class Replacements:
    """Operations for changes.

    Attributes:
        ops: in their order.
        unsafe: changes that no operation makes: the line stands elsewhere as well and is to stay there, the line is too
            short for a source, or the text would become too long.
        n_untried: changes that were left alone because there were too many.
    """

    ops: tuple[Operation, ...]
    unsafe: tuple[Change, ...]
    n_untried: int


def find_replacements(lines: Sequence[str], changes: Sequence[Change], max_operations: int) -> Replacements:
    """Chooses operations one by one, each with a source that occurs only where its replacement is wanted.

    A source is the changed characters, made whole words, with as many words of their line around them as it takes. Where
    a single character is changed alike in several places, such as an apostrophe, one neighbour may be enough for all.

    Args:
        lines: the lines that stay, without line breaks.
        changes: in the order of the text; those of one line don't overlap.
        max_operations: more are not made.

    Returns:
        Few operations and short ones, found one after the other; a smaller program may exist.
    """
    search = _Search(lines, _joined([_trimmed(lines[change.line], change) for change in changes], lines))
    return search.run(max_operations)


def _trimmed(line: str, change: Change) -> Change:
    """The change without what is equal at its beginning and end."""
    source, target = line[change.start : change.end], change.target
    head = _common_prefix(source, target)
    tail = _common_prefix(source[head:][::-1], target[head:][::-1])
    return Change(change.line, change.start + head, change.end - tail, target[head : len(target) - tail])


def _common_prefix(one: str, other: str) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n


def _joined(changes: Sequence[Change], lines: Sequence[str]) -> list[Change]:
    """Joins neighbours in a line, unless one of them recurs and may be made together with its likes."""

    def kind(change: Change) -> tuple[str, str]:
        return lines[change.line][change.start : change.end], change.target

    copies = Counter(map(kind, changes))
    joined: list[Change] = []
    for change in changes:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.line == change.line
            and change.start - last.end < _JOINED_WITHIN
            and copies[kind(change)] == 1
            and copies[kind(last)] <= 1  # 0: it was joined before
        ):
            between = lines[change.line][last.end : change.start]
            joined[-1] = Change(change.line, last.start, change.end, last.target + between + change.target)
        else:
            joined.append(change)
    return joined


@dataclass
class _Pending:
    """A change that is still to be made; positions are in the whole text as it is now."""

    change: Change
    start: int
    end: int
    is_made: bool = False


class _Search:
    """The text as the operations found so far leave it, and the changes that are still to be made in it."""

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
        # A change that can't be told from another place may be, once that place has changed.
        for item in [*self.pending, *self.pending]:
            if item.is_made or len(ops) >= max_operations or self.n_searched > _MAX_SEARCHED:
                continue
            tried.add(id(item))
            if found := self._find(item):
                ops.append(self._make(item, *found))
        left = [item for item in self.pending if not item.is_made]
        unsafe = tuple(item.change for item in left if id(item) in tried)
        return Replacements(tuple(ops), unsafe, len(left) - len(unsafe))

    def _find(self, item: _Pending) -> tuple[int, int, list[int]] | None:
        """Where the source of an operation for this change starts and ends, and all places where it occurs."""
        for start, end in self._next_to(item):
            if len(hits := self._hits(item, start, end)) > 1:
                return start, end, hits
        for start, end in self._in_context(item):
            if hits := self._hits(item, start, end):
                return start, end, hits
        return None

    def _next_to(self, item: _Pending) -> Iterator[tuple[int, int]]:
        """The changed characters alone, then with the one behind, the one before, and both."""
        before = max(item.start - 1, 0)
        behind = min(item.end + 1, len(self.text))
        yield from ((item.start, item.end), (item.start, behind), (before, item.end), (before, behind))

    def _in_context(self, item: _Pending) -> Iterator[tuple[int, int]]:
        """The changed words, then with ever more words of their line, on the side that makes it shorter first."""
        first = max(self.text.rfind("\n", 0, item.start) + 1, item.start - _MAX_CONTEXT)
        last = self.text.find("\n", item.end)
        last = min(len(self.text) if last < 0 else last, item.end + _MAX_CONTEXT)
        words = [found.span() for found in WORD.finditer(self.text, first, last)]
        start = min([item.start, *(a for a, b in words if a < item.start < b)])
        end = max([item.end, *(b for a, b in words if a < item.end < b)])
        # The line's outer white space comes last: it may be all that tells it from another.
        lefts = [start, *(a for a, b in reversed(words) if b <= start), first]
        rights = [end, *(b for a, b in words if a >= end), last]
        for n in _CONTEXTS:
            left, right = lefts[min(n, len(lefts) - 1)], rights[min(n, len(rights) - 1)]
            yield from sorted({(left, end), (start, right), (left, right)}, key=lambda span: span[1] - span[0])
            if n >= max(len(lefts), len(rights)):
                return

    def _hits(self, item: _Pending, start: int, end: int) -> list[int]:
        """All places of a source where it is wanted everywhere, and what it makes not too long; else none."""
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
        # Hits that overlap: of "aaa" the executor takes the first "aa", and ours may be the second.
        is_safe = position < 0 and start in hits and len(self.text) + growth <= self.limit
        return hits if is_safe else []

    def _make(self, item: _Pending, start: int, end: int, hits: list[int]) -> Operation:
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
