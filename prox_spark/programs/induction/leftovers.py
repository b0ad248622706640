"""In what a clean text differs from what a program can make of its raw text."""

from dataclasses import dataclass
from enum import StrEnum


class LeftoverKind(StrEnum):
    """What a program can't express. Each kind carries its `meaning`, one sentence for the manual."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "LeftoverKind":
        """Builds a member whose value is `value` alone, so that it is stored and looked up as that string."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    @property
    def is_white_space(self) -> bool:
        """Whether the words come out as they should all the same, on other lines."""
        return self in (LeftoverKind.MERGED_LINES, LeftoverKind.SPLIT_LINE)

    MERGED_LINES = ("merged_lines", "Several raw lines are one clean line; they stay apart.")
    SPLIT_LINE = ("split_line", "A raw line is several clean lines; it stays one.")
    GLUED_LINES = ("glued_lines", "A long word of the clean text begins on one raw line and ends on another.")
    INSERTED_LINES = ("inserted_lines", "Clean lines that the raw text does not have.")
    MOVED_LINES = ("moved_lines", "A line that the raw text has in another place, where it is removed.")
    REWRITTEN_LINES = (
        "rewritten_lines",
        "Clean lines that share too little with the raw lines in their place, which are removed.",
    )
    UNSAFE_CHANGE = (
        "unsafe_change",
        "A change within a line that no `normalize` makes without changing another line, with a source of two "
        "characters or more, and within the limit on growth.",
    )
    TOO_MANY_CHANGES = ("too_many_changes", "More operations would be needed than the parser reads.")


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something in which the clean text differs from what the program makes, other than in white space within lines.

    Attributes:
        kind: what it is.
        raw_start: first raw line concerned, counted from 0; None when no raw line is.
        raw_end: the last, included.
        clean_start: first clean line concerned; None when no clean line is.
        clean_end: the last, included.
        detail: the text concerned, one short line.
    """

    kind: LeftoverKind
    raw_start: int | None
    raw_end: int | None
    clean_start: int | None
    clean_end: int | None
    detail: str

    def place(self) -> tuple[float, float]:
        """To sort by: the order of the clean text; what is not in it comes last, in the order of the raw text."""
        places = (self.clean_start, self.raw_start)
        first, second = (float("inf") if place is None else place for place in places)
        return first, second
