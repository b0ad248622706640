"""The executor that returns byte for byte what the authors' released one returns, quirks included.

Its quirks, each of which changes results, are kept on purpose: a line without `)` loses its last character; strings are
cut at commas and `=` and lose every outer double quote; a `normalize` with more than one comma does nothing; numbers
are read as Python's `int` does; ranges out of bounds are counted after merging; a program with too many errors is
still blanked when few words are left. Differences, none of which changes a result that the original can return: huge
ranges are interval arithmetic; a text without words gives "" where the original divides by zero; replacements that
would swell the text past `MAX_CHARS` discard the program where the original runs out of memory.

Source: github.com/GAIR-NLP/ProX, utils/chunk_utils.py and data_gen/tasks/apply_chunk_refining.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prox_spark.programs.execution import (
    ChunkDiagnostic,
    ChunkProgram,
    Execution,
    LineMarks,
    Normalization,
    RemovedSpan,
    count_errors,
    in_chunk,
    judge,
)
from prox_spark.programs.operations import (
    Diagnostic,
    DiagnosticCode,
    DocumentStatus,
    Operation,
    OpName,
    Program,
    Severity,
    snippet,
)

# A document with this many words left, or fewer, is blanked; the authors took the rule from FineWeb.
SHORT_WORDS: Final = 10
# The program is discarded rather than let a text grow past this or four times its length, whichever is more.
MAX_CHARS: Final = 2**26
# Line numbers are cut to this, which a Spark LongType holds with room to count on.
MAX_NUMBER: Final = 2**62

# Errors that are kept of one answer, or as many as discard a program where that is more.
MAX_ERRORS: Final = 100

_KEEP_CALLS: Final = ("keep_chunk(", "untouch_doc(")


def execute_reference(
    text: str, program: str, threshold_1: float = 0.0, threshold_2: float = 0.95, error_op: int = 2
) -> str:
    """Executes the joined answers for a document as the authors' released executor does.

    Args:
        text: the document.
        program: the answers for its chunks, each stripped of spaces, joined by line breaks.
        threshold_1: share of the words that must be left for the edits to be taken.
        threshold_2: a document that loses this share of its words, or more, is blanked.
        error_op: with this many errors, or more, the edits are not taken.

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
    """Executes as `execute_reference` does and says what was done.

    Args:
        text: the document.
        program: the joined answers, or the answer for each chunk, in order; findings and edits carry the position of
            their answer as the chunk index. How the answers are cut makes no difference to the text.
        threshold_1: as in `execute_reference`.
        threshold_2: likewise.
        error_op: likewise.

    Returns:
        The outcome. `op_index` counts the operations of `read_reference` for that chunk. Normalisations are counted
        over all lines, as they come before removals here.
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
    """As `run_reference`, of answers that `read_reference` has read.

    Args:
        text: the document.
        chunks: in order, numbered from 0. Their lines are not heeded: every program works on the whole document.
        threshold_1: as in `execute_reference`.
        threshold_2: likewise.
        error_op: likewise.
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
            Diagnostic(DiagnosticCode.TEXT_GROWTH, outgrown.op_index, snippet(str(outgrown.op)))
        )
    lines = result.split("\n")
    removed, marks = _remove(calls, len(lines))
    if marks:
        result = "\n".join([lines[number] for number in marks.unmarked()])
    for call, code in _out_of_bounds(calls, len(lines))[:max_errors]:
        detail = f"{call.op} against lines 0 to {len(lines) - 1}"
        findings[call.chunk_index].append(Diagnostic(code, call.op_index, detail))

    flat = [finding for found in findings for finding in found]
    n_errors = sum(finding.code.severity is Severity.ERROR for finding in flat)
    trusted = n_errors < error_op and outgrown is None
    words_after = len(result.split())
    # Written as the authors do: 1 - 0.95 is a little more than 0.05.
    ratio = words_after / words_before * 1.0
    status = DocumentStatus.EDITED if result != text else DocumentStatus.KEPT_UNCHANGED
    discarded_for = None
    if not trusted:
        discarded_for = count_errors(flat, error_op) if outgrown is None else str(DiagnosticCode.TEXT_GROWTH)
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
        diagnostics.extend(in_chunk(chunk_index, found))
    return Execution(
        result,
        status,
        tuple(removed),
        tuple(normalized),
        tuple(diagnostics),
        tuple(judge(chunk_index, found, discarded_for) for chunk_index, found in enumerate(findings)),
        words_before,
        len(result.split()),
    )


def read_reference(answer: str, max_errors: int = MAX_ERRORS) -> Program:
    """Reads one chunk's answer as the reference executor does.

    Args:
        answer: of the model.
        max_errors: so many errors are kept.

    Returns:
        The operations that it acts on, and `keep_chunk`, on which it has nothing to do; line numbers cut to
        ±`MAX_NUMBER`; and the findings.
    """
    calls, findings = _read(answer, 0, max_errors)
    return Program(tuple(call.op for call in calls), tuple(findings))


@dataclass(frozen=True, slots=True)
class _Call:
    """One line that the executor acts on."""

    chunk_index: int
    op_index: int
    op: Operation


class _BadLine(Exception):
    """A line that counts as an error and does nothing."""


def _read(answer: str, chunk_index: int, max_errors: int = MAX_ERRORS) -> tuple[list[_Call], list[Diagnostic]]:
    calls: list[_Call] = []
    findings: list[Diagnostic] = []
    ignored: list[str] = []

    def error(code: DiagnosticCode, line: str) -> None:
        if len(findings) < max_errors:
            findings.append(Diagnostic(code, None, snippet(line)))

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
            error(DiagnosticCode.UNCLOSED_CALL, line)
        try:
            call = _read_call(line, chunk_index, index)
        except _BadLine:
            error(DiagnosticCode.MALFORMED_ARGUMENTS, line)
            continue
        if call is None:
            ignored.append(line)
        else:
            calls.append(call)
    if ignored:
        detail = f"{len(ignored)} lines, the first: {snippet(ignored[0], 60)}"
        findings.append(Diagnostic(DiagnosticCode.IGNORED_LINE, None, detail))
    return calls, findings


def _read_call(line: str, chunk_index: int, index: int) -> _Call | None:
    opening = line.find("(")
    if opening < 0:
        raise _BadLine
    # Without a closing parenthesis find gives -1, and the slice loses the last character: the authors' result.
    values = line[opening + 1 : line.find(")")].split(",")
    try:
        if line.startswith("remove_lines"):
            start, end = (_storable(int(value.split("=")[1])) for value in (values[0], values[1]))
            return _Call(chunk_index, index, Operation(OpName.REMOVE_LINES, start, end))
        if len(values) > 2:
            return None
        strings = [value.split("=")[1].strip('"') for value in values]
    except (ValueError, IndexError):
        raise _BadLine from None
    # A lone space is replaced when it is deleted, not when something takes its place.
    if strings[0] == "" or (len(strings) == 2 and strings[0] == " "):
        return None
    target = strings[1] if len(strings) == 2 else ""
    return _Call(chunk_index, index, Operation(OpName.NORMALIZE, source_str=strings[0], target_str=target))


def _storable(line_number: int) -> int:
    return max(-MAX_NUMBER, min(line_number, MAX_NUMBER))


def _normalize(text: str, calls: Sequence[_Call]) -> tuple[str, list[Normalization], _Call | None]:
    """Replaces strings in order; the last item is the call at which the text outgrew its limit, if one did."""
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


def _out_of_bounds(calls: Sequence[_Call], n_lines: int) -> list[tuple[_Call, DiagnosticCode]]:
    """Errors of the ranges, one for each merged range that reaches past the end; reversed ranges merge as well."""
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
