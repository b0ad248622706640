"""The reference executor: byte for byte the results of the authors' released one, quirks included.

Its quirks, each of which changes results, are kept on purpose: a line without `)` loses its last character; strings are
cut at commas and `=` and lose every outer double quote; a `normalize` with more than one comma does nothing; numbers
are read as by Python's `int`; ranges out of bounds are counted after merging; a document whose program has too many
errors is still blanked when few words are left. The differences change no result that the original can return: huge
ranges are interval arithmetic; a text without words gives "" where the original divides by zero; replacements that
would swell the text past `MAX_CHARS` discard the program where the original runs out of memory.

Source: github.com/GAIR-NLP/ProX, utils/chunk_utils.py and data_gen/tasks/apply_chunk_refining.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prox_spark.programs.execution import (
    ChunkDiagnostic,
    ChunkOutcome,
    ChunkProgram,
    Execution,
    LineMarks,
    Normalization,
    RemovedSpan,
    attach_chunk,
    describe_errors,
)
from prox_spark.programs.operations import (
    Diagnostic,
    DiagnosticCode,
    DocumentStatus,
    Operation,
    OpName,
    Program,
    Severity,
    make_snippet,
)

# A document with this many words left, or fewer, is blanked. The authors took the rule from FineWeb.
SHORT_WORDS: Final = 10
# A program that would let a text grow past this or past four times its length, whichever is more, is discarded.
MAX_CHARS: Final = 2**26
# Line numbers are clipped to this, which leaves room for arithmetic in a Spark LongType.
MAX_NUMBER: Final = 2**62

# Errors that are kept of one answer; or as many as discard a program, where that is more.
MAX_ERRORS: Final = 100

_KEEP_CALLS: Final = ("keep_chunk(", "untouch_doc(")


def execute_reference(
    text: str, program: str, threshold_1: float = 0.0, threshold_2: float = 0.95, error_op: int = 2
) -> str:
    """Execute the joined answers for a document as the authors' released executor does.

    Args:
        text: the document.
        program: the answers for its chunks, each stripped of spaces, joined by line breaks.
        threshold_1: share of the words that must be left for the edits to be applied.
        threshold_2: a document that loses this share of its words, or more, is blanked.
        error_op: with this many errors, or more, the edits are not applied.

    Returns:
        The refined text, empty when blanked.
    """
    return run_reference(text, program, threshold_1, threshold_2, error_op).text


def run_reference(
    text: str,
    program: str | Sequence[str],
    threshold_1: float = 0.0,
    threshold_2: float = 0.95,
    error_op: int = 2,
) -> Execution:
    """Execute as `execute_reference` does and report the edits and findings.

    Args:
        text: the document.
        program: the joined answers, or the answer for each chunk, in order. Findings and edits carry the position of
            their answer as the chunk index. The division into answers makes no difference to the text.
        threshold_1: as in `execute_reference`.
        threshold_2: as in `execute_reference`.
        error_op: as in `execute_reference`.

    Returns:
        The outcome. `op_index` counts the operations of `read_reference` for that chunk. Normalisations are counted
        over all lines because they come before removals here.
    """
    max_errors = max(MAX_ERRORS, error_op)
    answers = [program] if isinstance(program, str) else program
    chunks = [ChunkProgram(i, 0, 0, read_reference(answer, max_errors)) for i, answer in enumerate(answers)]
    return run_reference_programs(text, chunks, threshold_1, threshold_2, error_op)


def run_reference_programs(
    text: str,
    chunks: Sequence[ChunkProgram],
    threshold_1: float = 0.0,
    threshold_2: float = 0.95,
    error_op: int = 2,
) -> Execution:
    """Execute as `run_reference` does the programs that `read_reference` has read.

    Args:
        text: the document.
        chunks: the programs in order, numbered from 0. Their lines are ignored: every program works on the whole document.
        threshold_1: as in `execute_reference`.
        threshold_2: as in `execute_reference`.
        error_op: as in `execute_reference`.

    Returns:
        The outcome, as of `run_reference`.
    """
    words_before = len(text.split())
    if words_before == 0:
        return Execution("", DocumentStatus.BLANKED_SHORT)
    max_errors = max(MAX_ERRORS, error_op)
    calls = [
        _Call(chunk_index, op_index, op)
        for chunk_index, chunk in enumerate(chunks)
        for op_index, op in enumerate(chunk.program.ops)
    ]
    findings = [list(chunk.program.diagnostics) for chunk in chunks]

    result, normalized, outgrown = _normalize(text, calls)
    if outgrown is not None:
        findings[outgrown.chunk_index].append(
            Diagnostic(DiagnosticCode.TEXT_GROWTH, outgrown.op_index, make_snippet(str(outgrown.op)))
        )
    lines = result.split("\n")
    removed, marks = _remove(calls, len(lines))
    if marks:
        result = "\n".join([lines[number] for number in marks.list_unmarked()])
    for call, code in _find_out_of_bounds(calls, len(lines))[:max_errors]:
        detail = f"{call.op} against lines 0 to {len(lines) - 1}"
        findings[call.chunk_index].append(Diagnostic(code, call.op_index, detail))

    flat = [finding for found in findings for finding in found]
    n_errors = sum(finding.code.severity is Severity.ERROR for finding in flat)
    trusted = n_errors < error_op and outgrown is None
    words_after = len(result.split())
    # Computed as by the authors: 1 - 0.95 is a little more than 0.05.
    ratio = words_after / words_before * 1.0
    status = DocumentStatus.EDITED if result != text else DocumentStatus.KEPT_UNCHANGED
    discarded_for = None
    if not trusted:
        discarded_for = describe_errors(flat, error_op) if outgrown is None else str(DiagnosticCode.TEXT_GROWTH)
    if ratio <= (1 - threshold_2) and trusted:
        status, result = DocumentStatus.BLANKED_RATIO, ""
    elif words_after <= SHORT_WORDS:
        status, result, discarded_for = DocumentStatus.BLANKED_SHORT, "", None
    elif ratio < threshold_1 or not trusted:
        discarded_for = discarded_for or f"less than {threshold_1} of the words left"
        status, result = DocumentStatus.PROGRAM_DISCARDED, text
    if discarded_for:
        removed, normalized = [], []
    diagnostics: list[ChunkDiagnostic] = []
    for chunk_index, found in enumerate(findings):
        diagnostics.extend(attach_chunk(chunk_index, found))
    return Execution(
        result,
        status,
        tuple(removed),
        tuple(normalized),
        tuple(diagnostics),
        tuple(ChunkOutcome.of(chunk_index, found, discarded_for) for chunk_index, found in enumerate(findings)),
        words_before,
        len(result.split()),
    )


def read_reference(answer: str, max_errors: int = MAX_ERRORS) -> Program:
    """Read one chunk's answer as the reference executor does.

    Args:
        answer: the model's answer.
        max_errors: number of errors that are kept.

    Returns:
        The operations that the executor carries out, and `keep_chunk`, which has no effect; line numbers clipped to
        ±`MAX_NUMBER`; and the findings.
    """
    calls, findings = _read_calls(answer, 0, max_errors)
    return Program(tuple(call.op for call in calls), tuple(findings))


@dataclass(frozen=True, slots=True)
class _Call:
    """One line of an answer that the executor acts on."""

    chunk_index: int
    op_index: int
    op: Operation


class _BadLine(Exception):
    """A line that counts as an error and has no effect."""


def _read_calls(answer: str, chunk_index: int, max_errors: int = MAX_ERRORS) -> tuple[list[_Call], list[Diagnostic]]:
    calls: list[_Call] = []
    findings: list[Diagnostic] = []
    ignored: list[str] = []

    def note_error(code: DiagnosticCode, line: str) -> None:
        if len(findings) < max_errors:
            findings.append(Diagnostic(code, None, make_snippet(line)))

    for line in answer.strip(" ").split("\n"):
        index = len(calls)
        if not line.startswith(("remove_lines", "normalize")):
            if line.startswith(_KEEP_CALLS):
                calls.append(_Call(chunk_index, index, Operation(OpName.KEEP_CHUNK)))
            elif line.strip():
                ignored.append(line)
            continue
        if line.startswith("remove_lines") and "all=True" in line:
            calls.append(_Call(chunk_index, index, Operation(OpName.REMOVE_LINES)))
            continue
        if "(" in line and ")" not in line:
            note_error(DiagnosticCode.UNCLOSED_CALL, line)
        try:
            call = _read_call(line, chunk_index, index)
        except _BadLine:
            note_error(DiagnosticCode.MALFORMED_ARGUMENTS, line)
            continue
        if call is None:
            ignored.append(line)
        else:
            calls.append(call)
    if ignored:
        detail = f"{len(ignored)} lines, the first: {make_snippet(ignored[0], 60)}"
        findings.append(Diagnostic(DiagnosticCode.IGNORED_LINE, None, detail))
    return calls, findings


def _read_call(line: str, chunk_index: int, index: int) -> _Call | None:
    opening = line.find("(")
    if opening < 0:
        raise _BadLine
    # Without a closing parenthesis `find` returns -1 and the slice loses the last character, as the authors' does.
    values = line[opening + 1 : line.find(")")].split(",")
    try:
        if line.startswith("remove_lines"):
            start, end = (_clip_line_number(int(value.split("=")[1])) for value in (values[0], values[1]))
            return _Call(chunk_index, index, Operation(OpName.REMOVE_LINES, start, end))
        if len(values) > 2:
            return None
        strings = [value.split("=")[1].strip('"') for value in values]
    except (ValueError, IndexError):
        raise _BadLine from None
    # A lone space can be deleted, but not replaced by another string.
    if strings[0] == "" or (len(strings) == 2 and strings[0] == " "):
        return None
    target = strings[1] if len(strings) == 2 else ""
    return _Call(chunk_index, index, Operation(OpName.NORMALIZE, source_str=strings[0], target_str=target))


def _clip_line_number(line_number: int) -> int:
    return max(-MAX_NUMBER, min(line_number, MAX_NUMBER))


def _normalize(text: str, calls: Sequence[_Call]) -> tuple[str, list[Normalization], _Call | None]:
    """Replace strings in order; the last item is the call at which the text would outgrow its limit, or None."""
    limit = max(MAX_CHARS, 4 * len(text))
    done: list[Normalization] = []
    for call in calls:
        source, target = call.op.source_str, call.op.target_str
        if source is None or target is None:
            continue
        n_hits = text.count(source)
        if len(text) + n_hits * (len(target) - len(source)) > limit:
            return text, done, call
        if n_hits:
            text = text.replace(source, target)
            done.append(Normalization(call.chunk_index, call.op_index, source, target, n_hits))
    return text, done, None


def _remove(calls: Sequence[_Call], n_lines: int) -> tuple[list[RemovedSpan], LineMarks]:
    marks = LineMarks(n_lines)
    removed: list[RemovedSpan] = []
    for call in calls:
        if call.op.op is OpName.REMOVE_LINES:
            start = 0 if call.op.line_start is None else call.op.line_start
            end = n_lines - 1 if call.op.line_end is None else call.op.line_end
            for first, last in marks.mark(start, end):
                removed.append(RemovedSpan(first, last, call.chunk_index, call.op_index))
    return removed, marks


def _find_out_of_bounds(calls: Sequence[_Call], n_lines: int) -> list[tuple[_Call, DiagnosticCode]]:
    """Return an error for each merged range that reaches past the end; reversed ranges are merged as well."""
    lines = [(call.op.line_start, call.op.line_end, call) for call in calls]
    ranges = [(start, end, call) for start, end, call in lines if start is not None and end is not None]
    ranges.sort(key=lambda item: item[0])
    merged: list[tuple[int, int, _Call]] = []
    for start, end, call in ranges:
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end), merged[-1][2])
        else:
            merged.append((start, end, call))
    return [
        (call, DiagnosticCode.RANGE_OUTSIDE if start >= n_lines else DiagnosticCode.RANGE_CLIPPED)
        for start, end, call in merged
        if start >= n_lines or end >= n_lines
    ]
