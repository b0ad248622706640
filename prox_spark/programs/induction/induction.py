"""Induction of the program that turns a raw text into its clean version.

Texts are equal *to within white space* if they have the same words (`str.split()`) in the same order. Lines are paired
up that way. The smallest program to within white space is sought, and white space is corrected where that costs no
operation:

* An empty line is never removed on its own. Empty lines between and beside removed lines are removed with them, so that
  the clean text's number of empty lines is left where possible; blocks separated only by empty lines are one range.
* A clean text without words is `remove_lines` over every line. A chunk's program can't drop the document (`drop_doc()`
  belongs to the document stage), and `PROGRAM_GRAMMAR` can decode a range with numbers.
* A text that needs no edit is `keep_chunk()`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from prox_spark.programs.execution import Gates
from prox_spark.programs.induction.comparison import Comparison, compare
from prox_spark.programs.induction.leftovers import Leftover, LeftoverKind
from prox_spark.programs.induction.replacements import find_replacements
from prox_spark.programs.operations import Operation, OpName, Program, make_snippet, print_program
from prox_spark.programs.parser import MAX_OPERATIONS, MAX_PROGRAM_CHARS
from prox_spark.programs.strict import execute

# Here it matters what the program does, not whether the result is trusted.
_NO_GATES: Final = Gates(min_word_ratio=-1.0, min_words=-1, max_errors=MAX_PROGRAM_CHARS)


@dataclass(frozen=True, slots=True)
class Induction:
    """A program induced from a pair of texts, and how close its result comes to the clean text.

    Attributes:
        program: the operations; `print_program` writes them as a refiner would.
        text: the strict executor's result of the printed program on the raw text, without gates.
        exact: True if `text` is the clean text.
        exact_but_white_space: True if `text` has the words of the clean text in the same order; True wherever `exact` is.
        leftovers: differences between the two beyond white space within lines, in the order of the clean text. Merged
            and split lines are included, although they differ in white space only.
    """

    program: Program
    text: str
    exact: bool
    exact_but_white_space: bool
    leftovers: tuple[Leftover, ...]


def induce(raw: str, clean: str) -> Induction:
    r"""Find the smallest program that turns a raw text into its clean version, or into the nearest text to it.

    Args:
        raw: the original text; its lines are those of `raw.split("\n")`, numbered from 0, and all are one chunk.
        clean: the wanted text.

    Returns:
        `remove_lines` for dropped lines, then `normalize` for changes within lines. Never raises, whatever the texts
        are. Time grows with their length, not with its square.
    """
    raw_lines, clean_lines = raw.split("\n"), clean.split("\n")
    comparison = compare(raw_lines, clean_lines)
    ops, undone = _write_operations(raw_lines, clean_lines, comparison)
    program = Program(tuple(ops) or (Operation(OpName.KEEP_CHUNK),))
    text = execute(raw, print_program(program), gates=_NO_GATES).text
    return Induction(
        program,
        text,
        exact=text == clean,
        exact_but_white_space=text.split() == clean.split(),
        leftovers=tuple(sorted([*comparison.leftovers, *undone], key=attrgetter("sort_key"))),
    )


def _write_operations(
    raw_lines: Sequence[str], clean_lines: Sequence[str], comparison: Comparison
) -> tuple[list[Operation], list[Leftover]]:
    """Return the operations that make the changes of a comparison, and the changes that they can't make."""
    ranges = _find_removed_ranges(raw_lines, clean_lines, comparison.kept)
    removals = [Operation(OpName.REMOVE_LINES, start, end) for start, end in ranges[:MAX_OPERATIONS]]
    is_staying = bytearray(b"\x01") * len(raw_lines)
    for start, end in ranges[:MAX_OPERATIONS]:
        is_staying[start : end + 1] = bytes(end + 1 - start)
    staying = [number for number, stays in enumerate(is_staying) if stays]
    place = {number: position for position, number in enumerate(staying)}
    replacements = find_replacements(
        [raw_lines[number] for number in staying],
        [replace(change, line=place[change.line]) for change in comparison.changes],
        MAX_OPERATIONS - len(removals),
    )
    wanted = [*removals, *replacements.ops]
    ops = _take_fitting(wanted)
    undone = []
    if len(ranges) > MAX_OPERATIONS or replacements.n_untried or len(ops) < len(wanted):
        detail = f"{len(ranges)} ranges of lines and {len(comparison.changes)} changes within lines"
        undone.append(Leftover(LeftoverKind.TOO_MANY_CHANGES, None, None, None, None, detail))
    for change in replacements.unsafe:
        raw_number = staying[change.line]
        source = raw_lines[raw_number][change.start : change.end]
        detail = f"{make_snippet(source, 40)!r} → {make_snippet(change.target, 40)!r}"
        clean_range = comparison.kept[raw_number]
        undone.append(Leftover(LeftoverKind.UNSAFE_CHANGE, raw_number, raw_number, *clean_range, detail))
    return ops, undone


def _find_removed_ranges(
    raw_lines: Sequence[str], clean_lines: Sequence[str], kept: Mapping[int, tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the ranges of lines to remove, both ends included; there is at most one between two lines that stay.

    Args:
        raw_lines: all raw lines.
        clean_lines: all clean lines.
        kept: raw lines that stay, with the clean lines that they are in.
    """
    wordy = [number for number, line in enumerate(raw_lines) if line.split()]
    if not kept:
        return [(0, len(raw_lines) - 1)] if wordy else []
    n_blank_before = [0]
    for line in clean_lines:
        n_blank_before.append(n_blank_before[-1] + (not line.split()))
    ranges: list[tuple[int, int]] = []
    removed: list[int] = []
    above, above_in_clean = -1, -1
    for number in [*wordy, len(raw_lines)]:
        if number not in kept and number < len(raw_lines):
            removed.append(number)
            continue
        first_clean, last_clean = kept.get(number, (len(clean_lines), len(clean_lines)))
        if removed:
            n_before, n_behind = removed[0] - above - 1, number - removed[-1] - 1
            n_wanted = n_blank_before[first_clean] - n_blank_before[min(above_in_clean + 1, first_clean)]
            surplus = max(n_before + n_behind - n_wanted, 0)
            take_behind = min(surplus, n_behind)
            ranges.append((removed[0] - (surplus - take_behind), removed[-1] + take_behind))
            removed = []
        above, above_in_clean = number, last_clean
    return ranges


def _take_fitting(ops: Sequence[Operation]) -> list[Operation]:
    """Return the first operations, as many as the parser reads before it finds the program too long."""
    n_chars, fitting = 0, []
    for op in ops:
        n_chars += len(str(op)) + 1
        if n_chars > MAX_PROGRAM_CHARS:
            break
        fitting.append(op)
    return fitting
