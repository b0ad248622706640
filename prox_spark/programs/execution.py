"""What executing programs on a document yields, the same for both executors, and the book-keeping they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count
from typing import Final

from prox_spark.programs.operations import Diagnostic, DiagnosticCode, DocumentStatus, Explained, Program, Severity


@dataclass(frozen=True, slots=True)
class Gates:
    """When the outcome of a program is not trusted.

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
        program: its lines, too, are numbered over the whole document.
    """

    chunk_index: int
    line_start: int
    line_end: int
    program: Program


@dataclass(frozen=True, slots=True)
class RemovedSpan:
    """Lines of the original document that are gone, both ends included. Spans never overlap: the first takes all."""

    line_start: int
    line_end: int
    chunk_index: int
    op_index: int


@dataclass(frozen=True, slots=True)
class Normalization:
    """A string that was replaced, and how many times (1 or more)."""

    chunk_index: int
    op_index: int
    source_str: str
    target_str: str
    n_hits: int


@dataclass(frozen=True, slots=True)
class ChunkDiagnostic:
    """A `Diagnostic` with the chunk whose program it is about."""

    chunk_index: int
    code: DiagnosticCode
    op_index: int | None
    detail: str


class Verdict(Explained):
    """What was done with a chunk's program."""

    APPLIED = "applied", "Every operation was carried out, and nothing was found."
    APPLIED_WITH_NOTES = (
        "applied_with_notes",
        "What could be carried out was; there are findings, with fewer errors than the limit.",
    )
    DISCARDED = "discarded", "Nothing of the program was carried out; the chunk's lines stay as they are."


@dataclass(frozen=True, slots=True)
class ChunkVerdict:
    """What was done with a chunk's program, and why when it was discarded."""

    chunk_index: int
    verdict: Verdict
    reason: str | None
    n_errors: int


@dataclass(frozen=True, slots=True)
class Execution:
    """The outcome for one document.

    Attributes:
        text: the refined text, empty when the document was dropped or blanked.
        status: what became of the document.
        removed: lines that the applied programs removed, also when the document was blanked afterwards.
        normalized: strings that they replaced, likewise.
        diagnostics: findings of the parser and of the execution, chunk by chunk.
        verdicts: one for each chunk, in the order given.
        words_before: words of the original text, as `count_words` counts them; as `str.split()` in the reference executor.
        words_after: words of `text`.
    """

    text: str
    status: DocumentStatus
    removed: tuple[RemovedSpan, ...] = ()
    normalized: tuple[Normalization, ...] = ()
    diagnostics: tuple[ChunkDiagnostic, ...] = ()
    verdicts: tuple[ChunkVerdict, ...] = ()
    words_before: int = 0
    words_after: int = 0

    @property
    def n_errors(self) -> int:
        """Findings, over all chunks, that count towards discarding."""
        return sum(finding.code.severity is Severity.ERROR for finding in self.diagnostics)


# Of a line's mark, 0 or 1, the other one.
_STAYS: Final = bytes([1]).ljust(256, b"\0")


class LineMarks:
    """Marks lines as removed. Marking is a memory scan in C, so a thousand overlapping ranges stay cheap."""

    def __init__(self, n_lines: int) -> None:
        """Starts with no line marked."""
        self._marks = bytearray(n_lines)

    def mark(self, start: int, end: int) -> list[tuple[int, int]]:
        """Marks the lines of a range, both ends included, cut to those that exist.

        Returns:
            The runs of lines that were not marked before, both ends included.
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

    def unmarked(self) -> list[int]:
        """Numbers of the lines that stay."""
        return list(compress(count(), self._marks.translate(_STAYS)))

    def __bool__(self) -> bool:
        """Whether any line is marked."""
        return 1 in self._marks


def in_chunk(chunk_index: int, findings: Sequence[Diagnostic]) -> list[ChunkDiagnostic]:
    """Adds the chunk to findings about its program."""
    return [ChunkDiagnostic(chunk_index, finding.code, finding.op_index, finding.detail) for finding in findings]


def judge(chunk_index: int, findings: Sequence[Diagnostic], discarded_for: str | None) -> ChunkVerdict:
    """States a chunk's verdict from its findings and the reason for discarding it, if any."""
    n_errors = sum(finding.code.severity is Severity.ERROR for finding in findings)
    verdict = Verdict.APPLIED_WITH_NOTES if findings else Verdict.APPLIED
    return ChunkVerdict(chunk_index, Verdict.DISCARDED if discarded_for else verdict, discarded_for, n_errors)


def count_errors(findings: Sequence[Diagnostic], limit: int) -> str:
    """Says how many errors there are against the limit, and which."""
    codes = [str(finding.code) for finding in findings if finding.code.severity is Severity.ERROR]
    return f"{len(codes)} errors, the limit is {limit}: {', '.join(sorted(set(codes)))}"
