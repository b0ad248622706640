"""From a raw text and its clean version back to the program that turns one into the other.

What is called equal *to within white space*: the same words, `str.split()`, in the same order. Lines are paired up that
way, so the smallest program to within white space is sought, and white space is made right where that costs no operation:

* An empty line alone is never removed. Between removed lines and beside them it goes with them, as many as leaves the
  clean text's number where that can be; blocks with nothing but empty lines between them are one range.
* A clean text without words is `remove_lines` over every line. Whether a document is dropped is not a chunk's to say
  (`drop_doc()` belongs to the document stage), and a range with numbers is what `PROGRAM_GRAMMAR` can decode.
* What needs no edit is `keep_chunk()`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from prox_spark.programs.execution import Gates
from prox_spark.programs.induction.comparison import Comparison, compare
from prox_spark.programs.induction.leftovers import Leftover, LeftoverKind
from prox_spark.programs.induction.replacements import find_replacements
from prox_spark.programs.operations import Operation, OpName, Program, make_snippet, print_program
from prox_spark.programs.parser import MAX_OPERATIONS, MAX_PROGRAM_CHARS
from prox_spark.programs.strict import execute

# What the program does is the question here, not whether to trust it.
_NO_GATES: Final = Gates(min_word_ratio=-1.0, min_words=-1, max_errors=MAX_PROGRAM_CHARS)


@dataclass(frozen=True, slots=True)
class Induction:
    """A program that was read off a pair of texts, and how far it gets.

    Attributes:
        program: its operations; `print_program` writes it as a refiner would.
        text: what the strict executor makes of the raw text by the program as printed, without gates.
        exact: `text` is the clean text.
        exact_but_white_space: `text` has the words of the clean text, in its order. True wherever `exact` is.
        leftovers: in what the two differ beyond white space within lines, in the order of the clean text. Lines that
            were merged or split are here too, though that is white space.
    """

    program: Program
    text: str
    exact: bool
    exact_but_white_space: bool
    leftovers: tuple[Leftover, ...]


def induce(raw: str, clean: str) -> Induction:
    r"""Finds the smallest program that turns a raw text into its clean version, or into what comes nearest to it.

    Args:
        raw: the text as it was; its lines are those of `raw.split("\n")`, numbered from 0, and all are one chunk.
        clean: the text as it should be.

    Returns:
        `remove_lines` for what is dropped, then `normalize` for what changes within lines. Never raises, whatever the
        texts are. Time grows with their length, not its square.
    """
    raw_lines, clean_lines = raw.split("\n"), clean.split("\n")
    comparison = compare(raw_lines, clean_lines)
    ops, undone = _write(raw_lines, clean_lines, comparison)
    program = Program(tuple(ops) or (Operation(OpName.KEEP_CHUNK),))
    text = execute(raw, print_program(program), gates=_NO_GATES).text
    return Induction(
        program,
        text,
        exact=text == clean,
        exact_but_white_space=text.split() == clean.split(),
        leftovers=tuple(sorted([*comparison.leftovers, *undone], key=Leftover.place)),
    )


def _write(
    raw_lines: Sequence[str], clean_lines: Sequence[str], comparison: Comparison
) -> tuple[list[Operation], list[Leftover]]:
    """The operations that do what the comparison says, and what of it they can't do."""
    ranges = _removed_ranges(raw_lines, clean_lines, comparison.kept)
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
    ops = _that_fit(wanted)
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


def _removed_ranges(
    raw_lines: Sequence[str], clean_lines: Sequence[str], kept: Mapping[int, tuple[int, int]]
) -> list[tuple[int, int]]:
    """Ranges of lines to remove, both ends included: one at most between two lines that stay.

    Args:
        raw_lines: all of them.
        clean_lines: all of them.
        kept: lines that stay, with the clean lines that they are in.
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


def _that_fit(ops: Sequence[Operation]) -> list[Operation]:
    """Those from the first on that the parser reads before it finds the program too long."""
    n_chars, fitting = 0, []
    for op in ops:
        n_chars += len(str(op)) + 1
        if n_chars > MAX_PROGRAM_CHARS:
            break
        fitting.append(op)
    return fitting
