"""The differences between a clean text and the text that a program makes of its raw text."""

from dataclasses import dataclass

from prox_spark.programs.operations import Explained


class LeftoverKind(Explained):
    """Kind of a difference that no program can express."""

    MERGED_LINES = ("merged_lines", "Several raw lines are one clean line; they stay separate.")
    SPLIT_LINE = ("split_line", "A raw line is several clean lines; it stays one line.")
    GLUED_LINES = ("glued_lines", "A long word of the clean text begins on one raw line and ends on another.")
    INSERTED_LINES = ("inserted_lines", "Clean lines that are not in the raw text.")
    MOVED_LINES = ("moved_lines", "A line that is elsewhere in the raw text, where it is removed.")
    REWRITTEN_LINES = (
        "rewritten_lines",
        "Clean lines that have too little in common with the raw lines in their place, which are removed.",
    )
    UNSAFE_CHANGE = (
        "unsafe_change",
        "A change within a line that no `normalize` can make: it would change another line, have a source of fewer than "
        "two characters, or exceed the limit on growth.",
    )
    TOO_MANY_CHANGES = ("too_many_changes", "The changes need more operations than the parser reads.")


@dataclass(frozen=True, slots=True)
class Leftover:
    """One difference between the clean text and the program's result, other than in white space within lines.

    Attributes:
        kind: what the program can't express.
        raw_start: first raw line concerned, counted from 0; None when no raw line is concerned.
        raw_end: last raw line concerned, included.
        clean_start: first clean line concerned; None when no clean line is concerned.
        clean_end: last clean line concerned, included.
        detail: the text concerned, one short line.
    """

    kind: LeftoverKind
    raw_start: int | None
    raw_end: int | None
    clean_start: int | None
    clean_end: int | None
    detail: str

    @property
    def sort_key(self) -> tuple[float, float]:
        """Order of the clean text; leftovers that are not in it come last, in the order of the raw text."""
        first, second = (float("inf") if line is None else line for line in (self.clean_start, self.raw_start))
        return first, second
