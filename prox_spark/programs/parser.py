"""The strict parser: it reads a model's answer into a `Program`, never guesses at an edit and never evaluates code.

A model may write any number of calls, separated by white space, `;` or `,`. Comments after `#`, markdown fences and
backticks are ignored. A call stands on one line. Everything else is a finding. Time is linear in the length of the
answer and memory is bounded, whatever the answer is.
"""

import re
from collections import Counter
from dataclasses import replace
from typing import Final

from prox_spark.programs import lexer
from prox_spark.programs.lexer import Argument, MalformedCall, TruncatedCall
from prox_spark.programs.operations import (
    MAX_LINE_NUMBER,
    PARAMETERS,
    Diagnostic,
    DiagnosticCode,
    Operation,
    OpName,
    Program,
    Severity,
    clip_range,
    make_snippet,
)

# A normal answer has some hundred tokens; these limits only stop answers that are no programs any more.
MAX_PROGRAM_CHARS: Final = 1_000_000
MAX_OPERATIONS: Final = 1_000
# Calls that are read, including those that are dropped or collapsed.
MAX_CALLS: Final = 10_000
# Findings of each severity that are kept for one program.
MAX_DIAGNOSTICS: Final = 100
# A few copies of one operation are a clumsy program; more are a model caught in a loop.
MAX_COPIES: Final = 16

_ANY_LINE: Final = range(MAX_LINE_NUMBER + 1)

_SEPARATORS: Final = re.compile(r"[\s;,]*+")
# A fence may carry a language name; a word with a parenthesis behind it is a call on the fence's line.
_FENCE: Final = re.compile(r"`{3,}+(?:[A-Za-z][A-Za-z0-9_+.-]*+(?![ \t]*+\())?|`++")
_COMMENT: Final = re.compile(r"#[^\n]*+")
_AFTER_STRAY_TEXT: Final = re.compile(rf"{lexer.KNOWN_CALL}|```|\n[ \t]*+#")
_AFTER_MALFORMED: Final = re.compile(rf"\n|{lexer.KNOWN_CALL}")


def parse(program: str, lines: range | None = None) -> Program:
    """Read a model's answer.

    Args:
        program: the answer as generated.
        lines: the line numbers that it may touch, counted over the whole document; ranges are checked against them.
            None allows every line from 0 on.

    Returns:
        The operations in order, with ranges clipped to `lines`, and the findings. Never raises, whatever the answer is.

    Source: ProX §2.2; `lexer` has the grammar of strings.
    """
    return _Parser(program, _ANY_LINE if lines is None else lines).run()


class _BadCall(Exception):
    """A call that was read but is no operation."""


class _Parser:
    """One pass over one answer."""

    def __init__(self, program: str, lines: range) -> None:
        self.lines = lines
        self.ops: list[Operation] = []
        self.copies: Counter[Operation] = Counter()
        self.first: dict[Operation, int] = {}
        self.n_calls = 0
        self.diagnostics: list[Diagnostic] = []
        self.n_found: Counter[Severity] = Counter()
        self.text = self._limit_length(program)

    def run(self) -> Program:
        position = _skip(_SEPARATORS, self.text, 0)
        while position < len(self.text):
            if len(self.ops) >= MAX_OPERATIONS or self.n_calls >= MAX_CALLS:
                detail = f"reading stopped after {self.n_calls} calls with {len(self.ops)} operations"
                self._note(DiagnosticCode.TOO_MANY_OPERATIONS, None, detail)
                break
            position = _skip(_SEPARATORS, self.text, self._read_statement(position))
        return self._collapse_repetitions()

    def _read_statement(self, position: int) -> int:
        """Read the statement that starts at `position`; return the position behind it."""
        for ignored in (_FENCE, _COMMENT):
            if found := ignored.match(self.text, position):
                return found.end()
        name = lexer.read_name(self.text, position)
        opening = lexer.skip_blanks(self.text, position + len(name))
        if name and self.text.startswith("(", opening):
            return self._read_call(name, position, opening + 1)
        if name and lexer.is_at_end(self.text, opening) and _is_prefix_of_operation(name):
            return self._note_truncated_tail(position)
        return self._skip_stray_text(position)

    def _read_call(self, name: str, start: int, position: int) -> int:
        self.n_calls += 1
        try:
            arguments, end = lexer.read_arguments(self.text, position)
        except TruncatedCall:
            return self._note_truncated_tail(start)
        except MalformedCall as error:
            code = DiagnosticCode.MALFORMED_ARGUMENTS
            if name not in lexer.OPERATION_NAMES:
                code = DiagnosticCode.UNKNOWN_OPERATION
            self._note(code, None, f"{make_snippet(self.text[start : start + 100])}: {error}")
            # The rest of the call is skipped, so that one bad call is one error. A string that was broken over lines
            # continues on the next line.
            return self._find_next(_AFTER_STRAY_TEXT if error.in_string else _AFTER_MALFORMED, error.position)
        if name not in lexer.OPERATION_NAMES:
            self._note(DiagnosticCode.UNKNOWN_OPERATION, None, make_snippet(self.text[start:end]))
            return end
        try:
            operation = _bind(lexer.OPERATION_NAMES[name], arguments)
        except _BadCall as error:
            detail = f"{make_snippet(self.text[start:end])}: {error}"
            self._note(DiagnosticCode.MALFORMED_ARGUMENTS, None, detail)
        else:
            self._add(operation)
        return end

    def _add(self, operation: Operation) -> None:
        """Append an operation, with its range clipped to the lines that it may touch."""
        kept, code = operation, None
        if operation.line_start is not None and operation.line_end is not None:
            inside, code = clip_range(operation.line_start, operation.line_end, self.lines)
            if inside is None:
                if code is not None:
                    self._note(code, None, self._describe_against_lines(operation))
                return
            kept = Operation(OpName.REMOVE_LINES, inside.start, inside.stop - 1)
        self.copies[kept] += 1
        index = len(self.ops)
        if self.copies[kept] <= MAX_COPIES:
            self.first.setdefault(kept, index)
            self.ops.append(kept)
        else:
            index = self.first[kept]
        if code is not None:
            self._note(code, index, self._describe_against_lines(operation))

    def _describe_against_lines(self, operation: Operation) -> str:
        return f"{operation} against lines {self.lines.start} to {self.lines.stop - 1}"

    def _collapse_repetitions(self) -> Program:
        """Keep one copy of each operation that was repeated too often, and renumber the findings."""
        ops: list[Operation] = []
        new_index: list[int] = []
        for index, op in enumerate(self.ops):
            if self.copies[op] > MAX_COPIES and self.first[op] != index:
                new_index.append(new_index[self.first[op]])
                continue
            new_index.append(len(ops))
            ops.append(op)
        for op, n_copies in self.copies.items():
            if n_copies > MAX_COPIES:
                detail = f"{make_snippet(str(op))} came {n_copies} times"
                self._note(DiagnosticCode.REPEATED_OPERATION, self.first[op], detail)
        findings = (
            finding if finding.op_index is None else replace(finding, op_index=new_index[finding.op_index])
            for finding in self.diagnostics
        )
        return Program(tuple(ops), tuple(findings))

    def _skip_stray_text(self, start: int) -> int:
        end = self._find_next(_AFTER_STRAY_TEXT, start + 1)
        self._note(DiagnosticCode.STRAY_TEXT, None, make_snippet(self.text[start:end].strip()))
        return end

    def _note_truncated_tail(self, start: int) -> int:
        self._note(DiagnosticCode.TRUNCATED_TAIL, None, make_snippet(self.text[start:].strip()))
        return len(self.text)

    def _limit_length(self, program: str) -> str:
        if len(program) <= MAX_PROGRAM_CHARS:
            return program
        self._note(DiagnosticCode.PROGRAM_TOO_LONG, None, f"{len(program)} characters, {MAX_PROGRAM_CHARS} are read")
        # The cut is at a line break: a cut within a line could make a call that isn't there.
        return program[: max(program.rfind("\n", 0, MAX_PROGRAM_CHARS), 0) or MAX_PROGRAM_CHARS]

    def _find_next(self, pattern: re.Pattern[str], position: int) -> int:
        found = pattern.search(self.text, position)
        return found.start() if found else len(self.text)

    def _note(self, code: DiagnosticCode, op_index: int | None, detail: str) -> None:
        # Each severity has a limit of its own: notes must not crowd out the errors that discard a program.
        self.n_found[code.severity] += 1
        if self.n_found[code.severity] <= MAX_DIAGNOSTICS:
            self.diagnostics.append(Diagnostic(code, op_index, detail))


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _is_prefix_of_operation(name: str) -> bool:
    return any(known.startswith(name) for known in lexer.OPERATION_NAMES)


def _bind(op: OpName, arguments: list[Argument]) -> Operation:
    """Make an operation of a call's arguments, or raise `_BadCall` with the reason."""
    values = _map_to_parameters(op, arguments)
    match op:
        case OpName.REMOVE_LINES:
            return _bind_remove_lines(values)
        case OpName.NORMALIZE:
            source, target = values.get("source_str"), values.get("target_str", "")
            if not isinstance(source, str) or not isinstance(target, str):
                raise _BadCall("a quoted source_str is needed, and target_str is quoted too")
            return Operation(op, source_str=source, target_str=target)
        case _:
            return Operation(op)


def _map_to_parameters(op: OpName, arguments: list[Argument]) -> dict[str, lexer.Value]:
    positional = PARAMETERS.get(op, ())
    parameters = (*positional, "all") if op is OpName.REMOVE_LINES else positional
    values: dict[str, lexer.Value] = {}
    for index, argument in enumerate(arguments):
        if argument.name is not None:
            parameter = lexer.PARAMETER_NAMES.get(argument.name, "")
        elif index < len(positional) and all(before.name is None for before in arguments[:index]):
            parameter = positional[index]
        else:
            raise _BadCall("an argument without a name is out of place")
        if parameter not in parameters:
            raise _BadCall(f"{op} has no parameter {make_snippet(argument.name or '', 20)}")
        if parameter in values:
            raise _BadCall(f"{parameter} is given twice")
        values[parameter] = argument.value
    return values


def _bind_remove_lines(values: dict[str, lexer.Value]) -> Operation:
    everything = values.get("all", False)
    if not isinstance(everything, bool):
        raise _BadCall("all is True or False")
    if everything:
        if len(values) > 1:
            raise _BadCall("all=True beside line numbers")
        return Operation(OpName.REMOVE_LINES)
    start = values.get("line_start")
    # A single number names one line. Without a first line the range is unknown.
    end = values.get("line_end", start)
    if not _is_line(start) or not _is_line(end):
        raise _BadCall("line numbers are whole numbers, and line_start is needed")
    return Operation(OpName.REMOVE_LINES, int(start or 0), int(end or 0))


def _is_line(value: lexer.Value | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
