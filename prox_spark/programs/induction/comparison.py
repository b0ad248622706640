"""Comparison of a raw text with its clean version: lines that stay, changes within them, text without a counterpart."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from prox_spark.programs.induction.alignment import Pairs, align
from prox_spark.programs.induction.leftovers import Leftover, LeftoverKind
from prox_spark.programs.induction.replacements import WORD, Change
from prox_spark.programs.operations import make_snippet

# Words that two lines share are taken for chance unless they make up this share of one line's characters.
_OWN_SHARE: Final = 0.5
# A clean line of which less than this share was found is a different text, not a changed line.
_FOUND_SHARE: Final = 0.3
# The rest of a word that a line break cut in two is moved up to the word's beginning if it has at most this many characters.
_MAX_CUT_OFF: Final = 40

_WHITE_SPACE: Final = re.compile(r"\s+")
_WORD_REST: Final = re.compile(r"\S*+")


class _Word(NamedTuple):
    line: int
    start: int
    end: int
    text: str


class _Kept(NamedTuple):
    raw: _Word
    clean: _Word


@dataclass
class Comparison:
    """The result of comparing raw lines with clean lines.

    Attributes:
        kept: raw line that stays → (first, last) clean line that it is in. Empty lines are in neither.
        changes: changes within the lines that stay, in order; `line` counts all raw lines.
        leftovers: differences that no program can express.
    """

    kept: dict[int, tuple[int, int]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)


def compare(raw_lines: Sequence[str], clean_lines: Sequence[str]) -> Comparison:
    r"""Compare two texts: pair up lines that are equal to within white space, and compare the lines between word by word.

    Args:
        raw_lines: the lines of `raw.split("\n")`.
        clean_lines: the lines of `clean.split("\n")`.
    """
    return _Comparer(raw_lines, clean_lines).run()


class _Comparer:
    """One pass over one pair of texts."""

    def __init__(self, raw_lines: Sequence[str], clean_lines: Sequence[str]) -> None:
        self.raw_lines, self.clean_lines = raw_lines, clean_lines
        self.found = Comparison()
        # Clean lines without a counterpart, each with the raw lines in their place.
        self.missing: list[tuple[list[int], list[int]]] = []

    def run(self) -> Comparison:
        raws = [number for number, line in enumerate(self.raw_lines) if not _is_blank(line)]
        cleans = [number for number, line in enumerate(self.clean_lines) if not _is_blank(line)]
        raw_keys = [_normalize_spaces(self.raw_lines[number]) for number in raws]
        clean_keys = [_normalize_spaces(self.clean_lines[number]) for number in cleans]
        pairs = align(raw_keys, clean_keys)
        for (i, k), (j, m) in pairwise([(-1, -1), *pairs, (len(raws), len(cleans))]):
            self._compare_block(raws[i + 1 : j], cleans[k + 1 : m])
            if j < len(raws):
                self.found.kept[raws[j]] = (cleans[m], cleans[m])
        removed = defaultdict(list)
        for number, key in zip(reversed(raws), reversed(raw_keys), strict=True):
            if number not in self.found.kept:
                removed[key].append(number)
        for lines, in_place in self.missing:
            self._explain_missing(lines, in_place, removed)
        self.found.leftovers.sort(key=attrgetter("sort_key"))
        return self.found

    def _compare_block(self, raws: list[int], cleans: list[int]) -> None:
        """Compare lines word by word, where no line has an equal one in order."""
        if not cleans:
            return
        old = [word for number in raws for word in _split_words(number, self.raw_lines[number])]
        new = [word for number in cleans for word in _split_words(number, self.clean_lines[number])]
        starts = [i for i, word in enumerate(old) if i == 0 or old[i - 1].line != word.line]
        pairs = align([word.text for word in old], [word.text for word in new], starts)
        pairs = self._drop_cut_off(old, new, _drop_strays(old, new, pairs))
        self._note_missing(raws, cleans, [(old[i].line, new[k].line) for i, k in pairs])
        for (i, k), (j, m) in pairwise([(-1, -1), *pairs, (len(old), len(new))]):
            left = _Kept(old[i], new[k]) if i >= 0 else None
            right = _Kept(old[j], new[m]) if j < len(old) else None
            self._compare_between(left, right, new[k + 1 : m])

    def _drop_cut_off(self, old: Sequence[_Word], new: Sequence[_Word], pairs: Pairs) -> Pairs:
        """Drop pairs that continue a clean word on another raw line: that part is written again behind the word's beginning."""
        kept: Pairs = []
        for i, k in pairs:
            if kept:
                before, clean_before = old[kept[-1][0]], new[kept[-1][1]]
                if clean_before.line == new[k].line and before.line != old[i].line:
                    rest = _WORD_REST.match(self.clean_lines[new[k].line], clean_before.end)
                    if rest and new[k].start < rest.end() <= clean_before.end + _MAX_CUT_OFF:
                        continue
            kept.append((i, k))
        return kept

    def _note_missing(self, raws: list[int], cleans: list[int], links: list[tuple[int, int]]) -> None:
        """Note which raw line goes into which clean line, and the clean lines that no raw line goes into."""
        by_raw, by_clean = defaultdict(list), defaultdict(list)
        for raw, clean in links:
            by_raw[raw].append(clean)
            by_clean[clean].append(raw)
        for raw, into in by_raw.items():
            self.found.kept[raw] = (into[0], into[-1])
            if into[0] != into[-1]:
                self._note_leftover(LeftoverKind.SPLIT_LINE, (raw, raw), (into[0], into[-1]), self.raw_lines[raw])
        for clean, out_of in by_clean.items():
            if out_of[0] != out_of[-1]:
                self._note_leftover(
                    LeftoverKind.MERGED_LINES, (out_of[0], out_of[-1]), (clean, clean), self.clean_lines[clean]
                )
        after = raws[0] - 1 if raws else -1
        lines: list[int] = []
        for number in [*cleans, len(self.clean_lines)]:
            if number not in by_clean and number < len(self.clean_lines):
                lines.append(number)
                continue
            out_of = by_clean.get(number, [len(self.raw_lines)])
            if lines:
                self.missing.append((lines, raws[bisect_right(raws, after) : bisect_left(raws, out_of[0])]))
            lines, after = [], out_of[-1]

    def _compare_between(self, left: _Kept | None, right: _Kept | None, extra: Sequence[_Word]) -> None:
        """Find the changes between two neighbouring words that stay.

        Args:
            left: the word before; None before the first word.
            right: the word behind; None behind the last word.
            extra: the clean words between them.
        """
        tail, head = self._find_ends(left, right, extra)
        if left and right and left.raw.line == right.raw.line:
            target = f"{tail} {head}"
            if left.clean.line == right.clean.line:
                target = self.clean_lines[left.clean.line][left.clean.end : right.clean.start]
            self._note_change(left.raw.line, left.raw.end, right.raw.start, target)
            return
        if left:
            line = self.raw_lines[left.raw.line].rstrip()
            self._note_change(left.raw.line, left.raw.end, len(line), tail.rstrip())
        if right:
            line = self.raw_lines[right.raw.line]
            self._note_change(right.raw.line, len(line) - len(line.lstrip()), right.raw.start, head.lstrip())

    def _find_ends(self, left: _Kept | None, right: _Kept | None, extra: Sequence[_Word]) -> tuple[str, str]:
        """Return the clean text that goes behind the left word, to the end of its line, and before the right word."""
        tail = head = ""
        if left and right and left.clean.line == right.clean.line:
            line = self.clean_lines[left.clean.line]
            middle = line[left.clean.end : right.clean.start]
            if left.raw.line != right.raw.line and not _WHITE_SPACE.search(middle):
                raw, clean = (left.raw.line, right.raw.line), (left.clean.line, right.clean.line)
                self._note_leftover(LeftoverKind.GLUED_LINES, raw, clean, line[max(left.clean.end - _MAX_CUT_OFF, 0) :])
            # A replacement goes to the side where the replaced text is.
            return _split_at_space(middle, last=bool(self.raw_lines[left.raw.line][left.raw.end :].strip()))
        if left and (words := [word for word in extra if word.line == left.clean.line]):
            tail = self.clean_lines[left.clean.line][left.clean.end : words[-1].end]
        if right and (words := [word for word in extra if word.line == right.clean.line]):
            head = self.clean_lines[right.clean.line][words[0].start : right.clean.start]
        return tail, head

    def _note_change(self, line: int, start: int, end: int, target: str) -> None:
        if _WHITE_SPACE.sub(" ", self.raw_lines[line][start:end]) != _WHITE_SPACE.sub(" ", target):
            self.found.changes.append(Change(line, start, end, target))

    def _explain_missing(self, lines: list[int], in_place: list[int], removed: dict[str, list[int]]) -> None:
        """Note of each missing clean line whether the raw text has it elsewhere."""
        rest: list[int] = []
        for number in [*lines, None]:
            places = removed.get(_normalize_spaces(self.clean_lines[number])) if number is not None else None
            if number is not None and not places:
                rest.append(number)
                continue
            if rest:
                kind = LeftoverKind.REWRITTEN_LINES if in_place else LeftoverKind.INSERTED_LINES
                raw = (in_place[0], in_place[-1]) if in_place else None
                self._note_leftover(kind, raw, (rest[0], rest[-1]), self.clean_lines[rest[0]])
                rest = []
            if number is not None and places:
                raw_number = places.pop()
                self._note_leftover(
                    LeftoverKind.MOVED_LINES, (raw_number, raw_number), (number, number), self.clean_lines[number]
                )

    def _note_leftover(
        self, kind: LeftoverKind, raw: tuple[int, int] | None, clean: tuple[int, int] | None, text: str
    ) -> None:
        raw_start, raw_end = raw or (None, None)
        clean_start, clean_end = clean or (None, None)
        self.found.leftovers.append(Leftover(kind, raw_start, raw_end, clean_start, clean_end, make_snippet(text)))


def _drop_strays(old: Sequence[_Word], new: Sequence[_Word], pairs: Pairs) -> Pairs:
    """Drop pairs of words that two lines have in common by chance: "the" in a caption, a full stop in a menu.

    Where every clean word was found, no pair is taken for chance.
    """
    if len(pairs) == len(new):
        return pairs
    old_chars, new_chars, shared = Counter[int](), Counter[int](), Counter[tuple[int, int]]()
    for word in old:
        old_chars[word.line] += len(word.text)
    for word in new:
        new_chars[word.line] += len(word.text)
    for i, k in pairs:
        shared[old[i].line, new[k].line] += len(old[i].text)
    related = {
        (raw, clean): n
        for (raw, clean), n in shared.items()
        if n >= _OWN_SHARE * old_chars[raw] or n >= _OWN_SHARE * new_chars[clean]
    }
    found = Counter[int]()
    for (_, clean), n in related.items():
        found[clean] += n
    return [
        (i, k)
        for i, k in pairs
        if (old[i].line, new[k].line) in related and found[new[k].line] >= _FOUND_SHARE * new_chars[new[k].line]
    ]


def _split_at_space(text: str, last: bool) -> tuple[str, str]:
    """Split a text at its first or last white space; without white space, return all of it and an empty text."""
    spaces = [found.span() for found in _WHITE_SPACE.finditer(text)]
    if not spaces:
        return text, ""
    start, end = spaces[-1 if last else 0]
    return text[:start], text[end:]


def _split_words(number: int, line: str) -> Iterator[_Word]:
    for found in WORD.finditer(line):
        yield _Word(number, found.start(), found.end(), found.group())


def _normalize_spaces(line: str) -> str:
    return " ".join(line.split())


def _is_blank(line: str) -> bool:
    return not line or line.isspace()
