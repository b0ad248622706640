"""The parts of a refining program: operations, the findings about them, and the statuses of a document.

Source: ProX (arXiv 2409.17115) §2.2 for the operations; the authors' released refiners for their text form.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, zip_longest
from typing import Final, Self

# Largest line number that a program can name. It fits a Spark IntegerType. No document has that many lines, so a larger
# number has the same meaning: past the end.
MAX_LINE_NUMBER: Final = 2**31 - 1


class OpName(StrEnum):
    """Name of an operation, as printed; the parser also knows older names of some operations."""

    REMOVE_LINES = "remove_lines"
    NORMALIZE = "normalize"
    KEEP_CHUNK = "keep_chunk"
    KEEP_DOC = "keep_doc"
    DROP_DOC = "drop_doc"


# Parameters of operations in positional order; each is a field of `Operation`. The other operations have none.
PARAMETERS: Final[Mapping[OpName, tuple[str, ...]]] = {
    OpName.REMOVE_LINES: ("line_start", "line_end"),
    OpName.NORMALIZE: ("source_str", "target_str"),
}


def _make_call_frame(op: OpName) -> tuple[str, ...]:
    text = ", ".join(f"{name}=\0" for name in PARAMETERS.get(op, ()))
    return tuple(f"{op}({text})".split("\0"))


# The text of a call around and between its values, such as `remove_lines(line_start=`, `, line_end=`, `)`.
CALL_FRAMES: Final[Mapping[OpName, tuple[str, ...]]] = {op: _make_call_frame(op) for op in OpName}

KEEPS: Final = frozenset({OpName.KEEP_CHUNK, OpName.KEEP_DOC})
EDITS: Final = frozenset({OpName.REMOVE_LINES, OpName.NORMALIZE})


class Explained(StrEnum):
    """An enumeration of strings whose members carry a `meaning`, one sentence for the manual."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make a member whose value is `value` alone, so that it is stored and looked up as that string."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class DocumentStatus(Explained):
    """What became of a document; every document has exactly one status."""

    KEPT_UNCHANGED = "kept_unchanged", "No program changed anything, and none was discarded."
    EDITED = "edited", "At least one edit changed the text."
    DROPPED_DOC = "dropped_doc", "The document stage dropped the document; the text is empty."
    BLANKED_RATIO = "blanked_ratio", "The edits left too small a share of the words; the text is empty."
    BLANKED_SHORT = "blanked_short", "Too few words are left, or there were none to begin with; the text is empty."
    PROGRAM_DISCARDED = "program_discarded", "The text is unchanged, and at least one program was discarded."
    QUARANTINED = "quarantined", "The document could not be processed; the table `quarantine` says why."


class Severity(StrEnum):
    """Weight of a finding: an `error` counts towards discarding the program, a `note` is only recorded."""

    ERROR = "error"
    NOTE = "note"


class DiagnosticCode(StrEnum):
    """Kind of a finding about a program. Members carry a `severity` and a `meaning`, one sentence for the manual."""

    severity: Severity
    meaning: str

    def __new__(cls, value: str, severity: Severity, meaning: str) -> Self:
        """Make a member whose value is `value` alone, so that it is stored and looked up as that string."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity = severity
        member.meaning = meaning
        return member

    UNKNOWN_OPERATION = (
        "unknown_operation",
        Severity.ERROR,
        "The call's name is none of the operations; the call is dropped.",
    )
    MALFORMED_ARGUMENTS = (
        "malformed_arguments",
        Severity.ERROR,
        "The call's arguments can't be read or don't belong to its operation; the call is dropped.",
    )
    STRAY_TEXT = (
        "stray_text",
        Severity.ERROR,
        "The answer holds text that is no call; each run of such text counts once.",
    )
    RANGE_REVERSED = (
        "range_reversed",
        Severity.ERROR,
        "The last line of a range lies before its first; the operation is not applied.",
    )
    RANGE_OUTSIDE = (
        "range_outside",
        Severity.ERROR,
        "The range lies wholly outside the lines that the program may touch; the operation is not applied.",
    )
    RANGE_CLIPPED = (
        "range_clipped",
        Severity.ERROR,
        "The range lies partly outside the lines that the program may touch; only the part inside is applied.",
    )
    LINE_BREAK = (
        "line_break",
        Severity.ERROR,
        "The replacement holds a line break, which would shift line numbers; the operation is not applied.",
    )
    TEXT_GROWTH = (
        "text_growth",
        Severity.ERROR,
        "The replacement would swell the text past its limit; the operation is not applied.",
    )
    MISPLACED_DROP = (
        "misplaced_drop",
        Severity.ERROR,
        "`drop_doc()` stands in a chunk's program or beside other operations; the operation is not applied.",
    )
    UNCLOSED_CALL = (
        "unclosed_call",
        Severity.ERROR,
        "Reference executor only: the line has no closing parenthesis, so its last character is lost.",
    )
    TRUNCATED_TAIL = (
        "truncated_tail",
        Severity.NOTE,
        "The answer ends inside its last call, as at the token limit; that call is dropped.",
    )
    REPEATED_OPERATION = (
        "repeated_operation",
        Severity.NOTE,
        "The same operation is repeated over and over, as in a runaway generation; it is kept once.",
    )
    TOO_MANY_OPERATIONS = (
        "too_many_operations",
        Severity.NOTE,
        "The program has more operations than the limit; the operations after it are ignored.",
    )
    PROGRAM_TOO_LONG = (
        "program_too_long",
        Severity.NOTE,
        "The answer has more characters than the limit; the text after it is ignored.",
    )
    KEEP_WITH_EDITS = (
        "keep_with_edits",
        Severity.NOTE,
        "The program keeps the chunk and also edits it; the edits are applied.",
    )
    SOURCE_TOO_SHORT = (
        "source_too_short",
        Severity.NOTE,
        "The string to replace has fewer than two characters besides outer white space; the operation is not applied.",
    )
    SOURCE_ABSENT = (
        "source_absent",
        Severity.NOTE,
        "The string to replace occurs in no line that stays; the operation has no effect.",
    )
    IGNORED_LINE = (
        "ignored_line",
        Severity.NOTE,
        "Reference executor only: lines that start with neither remove_lines nor normalize, or normalize calls with "
        "more than one comma, are skipped.",
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a program: the row struct of `programs.ops`; fields that don't apply are None.

    Attributes:
        op: what to do.
        line_start: first line to remove, counted from 0 over the whole document. `remove_lines` without any line number
            removes every line that the program may touch.
        line_end: last line to remove, included.
        source_str: the string to replace, within a line.
        target_str: the replacement; empty to delete.
    """

    op: OpName
    line_start: int | None = None
    line_end: int | None = None
    source_str: str | None = None
    target_str: str | None = None

    def __str__(self) -> str:
        """Return the canonical text form, on one line; `parse` reads it back as the same operation."""
        match self.op:
            case OpName.REMOVE_LINES if self.line_start is None:
                return "remove_lines(all=True)"
            case OpName.REMOVE_LINES:
                values = [str(self.line_start), str(self.line_end)]
            case OpName.NORMALIZE:
                values = [quote(self.source_str or ""), quote(self.target_str or "")]
            case _:
                values = []
        return "".join(chain.from_iterable(zip_longest(CALL_FRAMES[self.op], values, fillvalue="")))


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a program: the row struct of `programs.diagnostics`.

    Attributes:
        code: what was found.
        op_index: position in `Program.ops` of the operation concerned; None when it is not among them.
        detail: the text concerned, one short line.
    """

    code: DiagnosticCode
    op_index: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Program:
    """The operations that a model's answer holds, in order, and the findings about the answer."""

    ops: tuple[Operation, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def n_errors(self) -> int:
        """Number of findings that count towards discarding the program."""
        return sum(finding.code.severity is Severity.ERROR for finding in self.diagnostics)

    def __str__(self) -> str:
        """Return the canonical text form: one operation per line."""
        return print_program(self)


def print_program(program: Program | Iterable[Operation]) -> str:
    """Print a program in its canonical form, one operation per line.

    `parse(print_program(p)).ops == p.ops` for every program that `parse` can return.
    """
    ops = program.ops if isinstance(program, Program) else program
    return "\n".join(str(op) for op in ops)


# Escapes of characters in a printed string; all others stand for themselves. A carriage return is escaped because many
# readers of JSON lines and logs take it for the end of the line.
ESCAPES: Final[Mapping[str, str]] = {'"': '\\"', "\\": "\\\\", "\r": "\\r", "\n": "\\n"}
_ESCAPED: Final = str.maketrans(dict(ESCAPES))


def quote(text: str) -> str:
    """Write a string as a double-quoted literal on one line."""
    return f'"{text.translate(_ESCAPED)}"'


def make_snippet(text: str, limit: int = 80) -> str:
    r"""Return the first `limit` characters of a text, safe to store: line breaks as `\n`, lone surrogates escaped."""
    head = text[:limit].replace("\n", "\\n") + ("…" if len(text) > limit else "")
    return head.encode("utf-8", "backslashreplace").decode("utf-8")


def clip_range(start: int, end: int, lines: range) -> tuple[range | None, DiagnosticCode | None]:
    """Clip a range of lines, both ends included, to the lines that a program may touch.

    Returns:
        The lines that are left, or None, and the finding, None where the whole range lies inside.
    """
    if start > end:
        return None, DiagnosticCode.RANGE_REVERSED
    first, stop = max(start, lines.start), min(end + 1, lines.stop)
    if first >= stop:
        return None, DiagnosticCode.RANGE_OUTSIDE
    if (first, stop) != (start, end + 1):
        return range(first, stop), DiagnosticCode.RANGE_CLIPPED
    return range(first, stop), None
