"""The default executor: each chunk's program works on its own lines, and doubtful operations are not applied.

Source: ProX §2.2 for the operations; the authors' released executor for the gates. The rest is ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from prox_spark.programs.execution import (
    ChunkDiagnostic,
    ChunkOutcome,
    ChunkProgram,
    Execution,
    Gates,
    LineMarks,
    Normalization,
    RemovedSpan,
    attach_chunk,
    describe_errors,
)
from prox_spark.programs.operations import (
    EDITS,
    KEEPS,
    Diagnostic,
    DiagnosticCode,
    DocumentStatus,
    Operation,
    OpName,
    Program,
    Severity,
    clip_range,
    make_snippet,
)
from prox_spark.programs.parser import parse
from prox_spark.programs.words import count_words

# A shorter string, such as "a" or " ", occurs all over a text: replacing it is never a repair.
MIN_SOURCE_CHARS: Final = 2
# Replacements may make a chunk this many times longer plus a constant. Repairs shorten text or keep its length.
GROWTH_FACTOR: Final = 4
GROWTH_CHARS: Final = 4_096

DEFAULT_GATES: Final = Gates()


def execute(text: str, program: str | Program, lines: range | None = None, gates: Gates = DEFAULT_GATES) -> Execution:
    r"""Execute one program on a document.

    Args:
        text: the document; its lines are those of `text.split("\n")`, numbered from 0.
        program: an answer of a model, or the program that `parse` read from it.
        lines: the lines that the program may touch; None for all.
        gates: limits beyond which the outcome is not trusted.

    Returns:
        The outcome, with chunk index 0. A program of nothing but `drop_doc()` drops the document. Never raises, whatever
        the text and the program are.
    """
    if lines is None:
        lines = range(text.count("\n") + 1)
    if isinstance(program, str):
        program = parse(program, lines)
    if text and not text.isspace() and _drops_document(program, gates):
        return Execution(
            "",
            DocumentStatus.DROPPED_DOC,
            diagnostics=tuple(attach_chunk(0, program.diagnostics)),
            chunk_outcomes=(ChunkOutcome.of(0, program.diagnostics, None),),
            words_before=count_words(text),
        )
    return execute_chunks(text, [ChunkProgram(0, lines.start, lines.stop - 1, program)], gates)


def execute_chunks(
    text: str, chunks: Sequence[ChunkProgram], gates: Gates = DEFAULT_GATES, words_before: int | None = None
) -> Execution:
    r"""Execute the programs of a document's chunks, each on its own lines.

    Within a chunk, lines are removed first, by their original numbers; then strings are replaced in the lines that stay,
    in the order of the program. Nothing outside the chunk's lines changes. A program with `gates.max_errors` errors or
    more is discarded; the other chunks' programs are still applied. The gates come last: first the ratio, then the
    number of words.

    Args:
        text: the document; its lines are those of `text.split("\n")`, numbered from 0.
        chunks: the chunks in any order; lines of no chunk stay as they are.
        gates: limits beyond which the outcome is not trusted.
        words_before: exact number of words of the text; None where they have not been counted.

    Returns:
        The outcome. Never raises, whatever the text and the programs are.
    """
    if words_before is None:
        words_before = count_words(text)
    if words_before == 0:
        return Execution("", DocumentStatus.BLANKED_SHORT)
    lines = text.split("\n")
    marks = LineMarks(len(lines))
    before = dict[int, str]()  # original text of the changed lines
    removed: list[RemovedSpan] = []
    normalized: list[Normalization] = []
    diagnostics: list[ChunkDiagnostic] = []
    chunk_outcomes: list[ChunkOutcome] = []
    for chunk in chunks:
        work = _ChunkWork(chunk, lines)
        work.run()
        discarded_for = None
        if work.n_errors >= gates.max_errors:
            discarded_for = describe_errors(work.findings, gates.max_errors)
        else:
            for start, end, op_index in work.removals:
                for first, last in marks.mark(start, end):
                    removed.append(RemovedSpan(first, last, chunk.chunk_index, op_index))
            for number, line in work.new_lines.items():
                if line != lines[number]:
                    before.setdefault(number, lines[number])
                    lines[number] = line
            normalized.extend(work.normalized)
        diagnostics.extend(attach_chunk(chunk.chunk_index, work.findings))
        chunk_outcomes.append(ChunkOutcome.of(chunk.chunk_index, work.findings, discarded_for))

    result = "\n".join([lines[number] for number in marks.list_unmarked()]) if marks else "\n".join(lines)
    any_discarded = any(outcome.reason for outcome in chunk_outcomes)
    # No word spans a line break: only removed and changed lines are counted again.
    gone = [
        before.pop(number, lines[number]) for span in removed for number in range(span.line_start, span.line_end + 1)
    ]
    gone += before.values()
    new = [lines[number] for number in before]
    words_after = words_before - sum(map(count_words, gone)) + sum(map(count_words, new))
    status = _decide_status(text, result, words_before, words_after, any_discarded, gates)
    if status in (DocumentStatus.BLANKED_RATIO, DocumentStatus.BLANKED_SHORT):
        result, words_after = "", 0
    return Execution(
        result,
        status,
        tuple(removed),
        tuple(normalized),
        tuple(diagnostics),
        tuple(chunk_outcomes),
        words_before,
        words_after,
    )


def _decide_status(
    text: str, result: str, words_before: int, words_after: int, any_discarded: bool, gates: Gates
) -> DocumentStatus:
    if words_after / words_before <= gates.min_word_ratio:
        return DocumentStatus.BLANKED_RATIO
    if words_after <= gates.min_words:
        return DocumentStatus.BLANKED_SHORT
    if result != text:
        return DocumentStatus.EDITED
    return DocumentStatus.PROGRAM_DISCARDED if any_discarded else DocumentStatus.KEPT_UNCHANGED


def _drops_document(program: Program, gates: Gates) -> bool:
    """Return True if the program does nothing but drop the document."""
    names = {op.op for op in program.ops}
    return names == {OpName.DROP_DOC} and program.n_errors < gates.max_errors


@dataclass
class _ChunkWork:
    """One chunk's edits, prepared separately so that a discarded program leaves no trace."""

    chunk: ChunkProgram
    lines: list[str]
    findings: list[Diagnostic] = field(default_factory=list)
    removals: list[tuple[int, int, int]] = field(default_factory=list)
    new_lines: dict[int, str] = field(default_factory=dict)
    normalized: list[Normalization] = field(default_factory=list)

    @property
    def n_errors(self) -> int:
        return sum(finding.code.severity is Severity.ERROR for finding in self.findings)

    def run(self) -> None:
        ops = self.chunk.program.ops
        self.findings.extend(self.chunk.program.diagnostics)
        own = range(max(self.chunk.line_start, 0), max(min(self.chunk.line_end + 1, len(self.lines)), 0))
        normalizations: list[tuple[int, Operation]] = []
        for index, op in enumerate(ops):
            match op.op:
                case OpName.REMOVE_LINES:
                    self._plan_removal(index, op, own)
                case OpName.NORMALIZE:
                    normalizations.append((index, op))
                case OpName.DROP_DOC:
                    self._note(DiagnosticCode.MISPLACED_DROP, index, "a chunk's program can't drop the document")
        keeps = [index for index, op in enumerate(ops) if op.op in KEEPS]
        if keeps and any(op.op in EDITS for op in ops):
            self._note(DiagnosticCode.KEEP_WITH_EDITS, keeps[0], str(ops[keeps[0]]))
        if normalizations:
            self._normalize(normalizations, own)

    def _plan_removal(self, index: int, op: Operation, own: range) -> None:
        start = own.start if op.line_start is None else op.line_start
        end = own.stop - 1 if op.line_end is None else op.line_end
        if op.line_start is None and op.line_end is None and not own:
            return
        inside, code = clip_range(start, end, own)
        if code is not None:
            # `parse` has clipped ranges where it knew the chunk's lines; programs may also come from elsewhere.
            self._note(code, index, f"{op} against lines {own.start} to {own.stop - 1}")
        if inside is not None:
            self.removals.append((inside.start, inside.stop - 1, index))

    def _normalize(self, normalizations: Iterable[tuple[int, Operation]], own: range) -> None:
        marks = LineMarks(len(own))
        for start, end, _ in self.removals:
            marks.mark(start - own.start, end - own.start)
        staying = [own.start + number for number in marks.list_unmarked()]
        # One replacement over the joined lines is far cheaper than one per line and has the same result: no source spans
        # a line break and no target holds one.
        joined = "\n".join([self.lines[number] for number in staying])
        limit = GROWTH_FACTOR * len(joined) + GROWTH_CHARS
        for index, op in normalizations:
            joined = self._replace(joined, index, op, limit)
        if self.normalized:
            self.new_lines = dict(zip(staying, joined.split("\n"), strict=True))

    def _replace(self, joined: str, index: int, op: Operation, limit: int) -> str:
        source, target = op.source_str or "", op.target_str or ""
        if len(source.strip()) < MIN_SOURCE_CHARS:
            self._note(DiagnosticCode.SOURCE_TOO_SHORT, index, make_snippet(str(op)))
            return joined
        if "\n" in target:
            self._note(DiagnosticCode.LINE_BREAK, index, make_snippet(str(op)))
            return joined
        n_hits = 0 if "\n" in source else joined.count(source)
        if n_hits == 0:
            self._note(DiagnosticCode.SOURCE_ABSENT, index, make_snippet(str(op)))
            return joined
        n_chars = len(joined) + n_hits * (len(target) - len(source))
        if n_chars > limit:
            detail = f"{n_chars} characters, the limit is {limit}: {make_snippet(str(op))}"
            self._note(DiagnosticCode.TEXT_GROWTH, index, detail)
            return joined
        self.normalized.append(Normalization(self.chunk.chunk_index, index, source, target, n_hits))
        return joined.replace(source, target)

    def _note(self, code: DiagnosticCode, op_index: int, detail: str) -> None:
        self.findings.append(Diagnostic(code, op_index, detail))
