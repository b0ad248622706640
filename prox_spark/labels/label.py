"""A label: a text and the result it should have. Refiners are trained and evaluated on labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prox_spark.programs import Operation, OpName
from prox_spark.programs.operations import clip_range


@dataclass(frozen=True, slots=True)
class Label:
    r"""The wanted result of a text; at least one of `keep` and `ops` is set.

    Attributes:
        label_id: unique within its set.
        label_set: the name of the set, such as `line_labels`.
        text: the raw text: a document, or consecutive lines of one, joined by `\n`.
        first_line: number of the text's first line within its document.
        keep: whether the document should stay; None: unknown.
        ops: the program for the text, with line numbers of the document; empty: nothing to do; None: unknown.
        edu, format: a teacher's scores, 0 to 5; None where there is no score.
    """

    label_id: str
    label_set: str
    text: str
    first_line: int = 0
    keep: bool | None = None
    ops: tuple[Operation, ...] | None = None
    edu: int | None = None
    format: int | None = None

    @property
    def line_numbers(self) -> range:
        """Numbers of the text's lines within its document."""
        return range(self.first_line, self.first_line + self.text.count("\n") + 1)

    @property
    def removed_lines(self) -> frozenset[int]:
        """Numbers of the lines that should be removed."""
        return find_removed_lines(self.ops or (), self.line_numbers)


def find_removed_lines(ops: Iterable[Operation], lines: range) -> frozenset[int]:
    """Return the numbers of the lines, out of `lines`, that operations remove."""
    return frozenset(number for op in ops for number in clip_removal(op, lines))


def clip_removal(op: Operation, lines: range) -> range:
    """Return the lines, out of `lines`, that an operation removes: all of them for a removal without line numbers."""
    if op.op is not OpName.REMOVE_LINES:
        return range(0)
    if op.line_start is None or op.line_end is None:
        return lines
    return clip_range(op.line_start, op.line_end, lines)[0] or range(0)


def make_removals(removed: Sequence[bool], first_line: int = 0) -> tuple[Operation, ...]:
    """Return the fewest `remove_lines` operations that remove the flagged lines.

    Args:
        removed: a flag per line.
        first_line: number of the first line.
    """
    ops, start = [], None
    for number, gone in enumerate([*removed, False], first_line):
        if gone and start is None:
            start = number
        elif not gone and start is not None:
            ops.append(Operation(OpName.REMOVE_LINES, start, number - 1))
            start = None
    return tuple(ops)
