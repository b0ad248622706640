"""Drafts: a teacher's answers about a text become a label, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prox_spark.annotation.answers import read_program, read_score
from prox_spark.annotation.questions import EDU, FORMAT
from prox_spark.labels import find_removed_lines, is_worth_keeping, make_removals
from prox_spark.programs import ChunkProgram, Gates, Operation, OpName, Program, execute_chunks
from prox_spark.programs.operations import DiagnosticCode, Explained, make_snippet
from prox_spark.programs.strict import MIN_SOURCE_CHARS
from prox_spark.programs.words import count_words

# A single error discards the program; the share of words left is checked here, not by a gate.
_GATES: Final = Gates(min_word_ratio=-1.0, min_words=-1, max_errors=1)
# A program that keeps and edits is clear enough; after any other finding it may not be what the teacher meant.
_HARMLESS: Final = frozenset({DiagnosticCode.KEEP_WITH_EDITS})


class Rejection(Explained):
    """Reasons why a teacher's answers about a text are no label."""

    NO_ANSWER = "no_answer", "A question was not answered: the request failed, or its prompt was too long."
    CUT = (
        "cut",
        "The answer hit annotation.max_answer_tokens. If this happens to scores, the endpoint ignores "
        "structured_outputs: set annotation.constrained to false.",
    )
    NO_SCORE = "no_score", "An answer holds no number from 0 to 5."
    BAD_PROGRAM = (
        "bad_program",
        "A program does not parse: stray text, unknown calls, lines outside the chunk, a loop, a cut.",
    )
    NOT_APPLICABLE = "not_applicable", "The programs together can't be carried out on the text."
    REMOVES_TOO_MUCH = (
        "removes_too_much",
        "The programs remove a larger share of words than annotation.max_removed_share.",
    )


@dataclass(frozen=True)
class StoredAnswer:
    """One answer as `generations` holds it.

    Attributes:
        text: the generated text; None if the request failed.
        error: the error message of a failed request.
        is_cut: whether the text was cut at the token limit.
    """

    text: str | None
    error: str | None = None
    is_cut: bool = False


@dataclass(frozen=True)
class Draft:
    """A label before it is stored, or a rejected one: then `reason` and `message` are set, and keep and ops are None.

    Attributes:
        text: the labelled text: a document, or the lines of a chunk.
        first_line: number of its first line.
        keep, edu, format, ops: as in a Label.
    """

    text: str
    first_line: int = 0
    keep: bool | None = None
    edu: int | None = None
    format: int | None = None
    ops: tuple[Operation, ...] | None = None
    reason: Rejection | None = None
    message: str | None = None


def draft_document(text: str, answers: Mapping[str, StoredAnswer]) -> Draft:
    """Draft the label of a document from its two scores.

    Args:
        text: the document.
        answers: by name of the question.
    """
    if incomplete := _find_incomplete(answers, (EDU.name, FORMAT.name)):
        return Draft(text, reason=incomplete[0], message=incomplete[1])
    edu, form = (read_score(answers[name].text or "") for name in (EDU.name, FORMAT.name))
    if edu is None or form is None:
        name = EDU.name if edu is None else FORMAT.name
        message = f"{name}: {(answers[name].text or '')[-80:]!r}"
        return Draft(text, edu=edu, format=form, reason=Rejection.NO_SCORE, message=message)
    return Draft(text, keep=is_worth_keeping(edu, form), edu=edu, format=form)


def draft_chunk(
    text: str, lines: range, answers: Mapping[str, StoredAnswer], names: Sequence[str], max_removed_share: float
) -> Draft:
    r"""Draft the label of a chunk from the programs of several questions, combined into one.

    Args:
        text: the whole document; its lines are those of `text.split("\n")`.
        lines: numbers of the chunk's lines.
        answers: by name of the question.
        names: the questions, in the order in which their programs are executed.
        max_removed_share: largest share of the chunk's words that the programs may remove, 0..1.
    """
    chunk = text.split("\n")[lines.start : lines.stop]

    def reject(reason: Rejection, message: str) -> Draft:
        return Draft("\n".join(chunk), lines.start, reason=reason, message=message)

    if incomplete := _find_incomplete(answers, names):
        return reject(*incomplete)
    programs = {name: read_program(answers[name].text or "", lines) for name in names}
    for name, program in programs.items():
        if bad := next((f for f in program.diagnostics if f.code not in _HARMLESS), None):
            return reject(Rejection.BAD_PROGRAM, f"{name}: {bad.code}: {bad.detail}")
        if not program.ops or any(op.op is OpName.DROP_DOC for op in program.ops):
            return reject(Rejection.BAD_PROGRAM, f"{name}: {make_snippet(str(program)) or 'it is empty'}")
    ops = combine_programs(programs.values(), chunk, lines.start)
    done = execute_chunks(text, [ChunkProgram(0, lines.start, lines.stop - 1, Program(ops))], _GATES)
    if done.diagnostics:
        finding = done.diagnostics[0]
        return reject(Rejection.NOT_APPLICABLE, f"{finding.code}: {finding.detail}")
    n_words, n_removed = count_words("\n".join(chunk)), done.words_before - done.words_after
    if n_removed > max_removed_share * n_words:
        return reject(Rejection.REMOVES_TOO_MUCH, f"{n_removed} of {n_words} words")
    return Draft("\n".join(chunk), lines.start, ops=ops)


def combine_programs(programs: Iterable[Program], lines: Sequence[str], first_line: int) -> tuple[Operation, ...]:
    """Combine programs into one that removes all lines that any of them removes, and replaces what is then still found.

    Args:
        programs: programs for the same lines.
        lines: the text of the lines.
        first_line: number of the first line.
    """
    ops = [op for program in programs for op in program.ops]
    numbers = range(first_line, first_line + len(lines))
    gone = find_removed_lines(ops, numbers)
    staying = "\n".join(line for number, line in zip(numbers, lines, strict=True) if number not in gone)
    replacements = []
    for op in ops:
        source, target = op.source_str or "", op.target_str or ""
        findable = len(source.strip()) >= MIN_SOURCE_CHARS and "\n" not in source and source != target
        if op.op is OpName.NORMALIZE and findable and source in staying:
            staying = staying.replace(source, target)
            replacements.append(op)
    return (*make_removals([number in gone for number in numbers], first_line), *replacements)


def _find_incomplete(answers: Mapping[str, StoredAnswer], names: Iterable[str]) -> tuple[Rejection, str] | None:
    """Return the reason and message for the first question without a whole answer; None if all have one."""
    for name in names:
        answer = answers.get(name)
        if answer is None or answer.text is None:
            why = answer.error if answer and answer.error else "it was not asked"
            return Rejection.NO_ANSWER, f"{name}: {why}"
        if answer.is_cut:
            return Rejection.CUT, f"{name}: {answer.text[-80:]!r}"
    return None
