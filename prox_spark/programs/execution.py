"""The outcome of executing programs on a document, the same for both executors, and the book-keeping they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count
from typing import Final, Self

from prox_spark.programs.operations import Diagnostic, DiagnosticCode, DocumentStatus, Explained, Program, Severity


@dataclass(frozen=True, slots=True)
class Gates:
    """Limits beyond which the outcome of a program is not trusted.

    Attributes:
        min_word_ratio: a document with `words left / words before <= min_word_ratio` (both as doubles) is blanked.
        min_words: a document with this many words left, or fewer, is blanked.
        max_errors: a chunk's program with this many errors, or more, is discarded; its lines stay as they are.
    """

    min_word_ratio: float = 0.05
    min_words: int = 10
    max_errors: int = 2


@dataclass(frozen=True, slots=True)
class ChunkProgram:
    """The program for one chunk.

    Attributes:
        chunk_index: position of the chunk in its document.
        line_start: first line of the chunk, counted from 0 over the whole document.
        line_end: last line of the chunk, included.
        program: its operations; their lines, too, are numbered over the whole document.
    """

    chunk_index: int
    line_start: int
    line_end: int
    program: Program


@dataclass(frozen=True, slots=True)
class RemovedSpan:
    """Lines removed from the original document, both ends included. Spans never overlap: the first one takes the lines."""

    line_start: int
    line_end: int
    chunk_index: int
    op_index: int


@dataclass(frozen=True, slots=True)
class Normalization:
    """A string that was replaced, and the number of its occurrences (1 or more)."""

    chunk_index: int
    op_index: int
    source_str: str
    target_str: str
    n_hits: int


@dataclass(frozen=True, slots=True)
class ChunkDiagnostic:
    """A `Diagnostic` with the index of the chunk whose program it concerns."""

    chunk_index: int
    code: DiagnosticCode
    op_index: int | None
    detail: str


class ProgramStatus(Explained):
    """What became of a chunk's program."""

    APPLIED = "applied", "Every operation was carried out, and nothing was found."
    APPLIED_WITH_NOTES = (
        "applied_with_notes",
        "There are findings, with fewer errors than the limit; the operations that could be carried out were.",
    )
    DISCARDED = "discarded", "No operation was carried out; the chunk's lines stay as they are."


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """The status of a chunk's program.

    Attributes:
        chunk_index: position of the chunk in its document.
        status: what became of the program.
        reason: why it was discarded; None otherwise.
        n_errors: findings that count towards discarding it.
    """

    chunk_index: int
    status: ProgramStatus
    reason: str | None
    n_errors: int

    @classmethod
    def of(cls, chunk_index: int, findings: Sequence[Diagnostic], discarded_for: str | None) -> Self:
        """Return the outcome of a program with these findings; `discarded_for` is why it is discarded, None otherwise."""
        n_errors = sum(finding.code.severity is Severity.ERROR for finding in findings)
        status = ProgramStatus.APPLIED_WITH_NOTES if findings else ProgramStatus.APPLIED
        return cls(chunk_index, ProgramStatus.DISCARDED if discarded_for else status, discarded_for, n_errors)


@dataclass(frozen=True, slots=True)
class Execution:
    """The outcome for one document.

    Attributes:
        text: the refined text, empty when the document was dropped or blanked.
        status: what became of the document.
        removed: lines that the applied programs removed, also when the document was blanked afterwards.
        normalized: strings that the applied programs replaced, likewise.
        diagnostics: findings of the parser and of the execution, chunk by chunk.
        chunk_outcomes: one per chunk, in the order given.
        words_before: words of the original text, as `count_words` counts them; as `str.split()` in the reference executor.
        words_after: words of `text`.
    """

    text: str
    status: DocumentStatus
    removed: tuple[RemovedSpan, ...] = ()
    normalized: tuple[Normalization, ...] = ()
    diagnostics: tuple[ChunkDiagnostic, ...] = ()
    chunk_outcomes: tuple[ChunkOutcome, ...] = ()
    words_before: int = 0
    words_after: int = 0

    @property
    def n_errors(self) -> int:
        """Number of findings, over all chunks, that count towards discarding."""
        return sum(finding.code.severity is Severity.ERROR for finding in self.diagnostics)


# Translates the mark of a line, 0 or 1, into its opposite.
_STAYS: Final = bytes([1]).ljust(256, b"\0")


class LineMarks:
    """Marks on the removed lines. Marking is a memory scan in C, so a thousand overlapping ranges stay cheap."""

    def __init__(self, n_lines: int) -> None:
        """Start with no line marked."""
        self._marks = bytearray(n_lines)

    def mark(self, start: int, end: int) -> list[tuple[int, int]]:
        """Mark the lines of a range, both ends included; lines that don't exist are ignored.

        Returns:
            The runs of lines that were unmarked before, both ends included.
        """
        runs = []
        stop = min(end + 1, len(self._marks))
        position = self._marks.find(0, max(start, 0), max(stop, 0))
        while position >= 0:
            run_end = self._marks.find(1, position, stop)
            run_end = stop if run_end < 0 else run_end
            self._marks[position:run_end] = b"\x01" * (run_end - position)
            runs.append((position, run_end - 1))
            position = self._marks.find(0, run_end, stop)
        return runs

    def list_unmarked(self) -> list[int]:
        """Return the numbers of the lines that stay."""
        return list(compress(count(), self._marks.translate(_STAYS)))

    def __bool__(self) -> bool:
        """Return True if any line is marked."""
        return 1 in self._marks


def attach_chunk(chunk_index: int, findings: Sequence[Diagnostic]) -> list[ChunkDiagnostic]:
    """Return findings about a chunk's program together with the chunk's index."""
    return [ChunkDiagnostic(chunk_index, finding.code, finding.op_index, finding.detail) for finding in findings]


def describe_errors(findings: Sequence[Diagnostic], limit: int) -> str:
    """Describe how many errors there are against the limit, and of which codes."""
    codes = [str(finding.code) for finding in findings if finding.code.severity is Severity.ERROR]
    return f"{len(codes)} errors, the limit is {limit}: {', '.join(sorted(set(codes)))}"
