"""The strict parser reads what refiners write, never guesses, and is linear in its input."""

import pytest

from prox_spark.programs import DiagnosticCode, Operation, OpName, Program, Severity, parse
from prox_spark.programs.operations import MAX_LINE_NUMBER
from prox_spark.programs.parser import MAX_CALLS, MAX_COPIES, MAX_DIAGNOSTICS, MAX_OPERATIONS

pytestmark = pytest.mark.unit


def remove(start: int | None = None, end: int | None = None) -> Operation:
    return Operation(OpName.REMOVE_LINES, start, end)


def normalize(source: str, target: str = "") -> Operation:
    return Operation(OpName.NORMALIZE, source_str=source, target_str=target)


KEEP = Operation(OpName.KEEP_CHUNK)


def codes(program: Program) -> list[DiagnosticCode]:
    return [finding.code for finding in program.diagnostics]


@pytest.mark.parametrize(
    ("answer", "ops"),
    [
        ("", []),
        (" \r\n\t ", []),
        ("remove_lines(line_start=1, line_end=2)", [remove(1, 2)]),
        ("remove_lines(start=1, end=2)", [remove(1, 2)]),
        ("remove_lines(line_end=2, line_start=1)", [remove(1, 2)]),
        ("remove_lines(1, 2)", [remove(1, 2)]),
        ("remove_lines(1, end=2)", [remove(1, 2)]),
        ("remove_lines ( line_start = 1 , line_end = 2 , )", [remove(1, 2)]),
        ("remove_lines(007, 012)", [remove(7, 12)]),
        ("remove_lines(4)", [remove(4, 4)]),
        ("remove_lines(start=4)", [remove(4, 4)]),
        ("remove_lines(all=True)", [remove()]),
        ("remove_lines(1, 2, all=False)", [remove(1, 2)]),
        ('normalize(source_str="ab", target_str="c")', [normalize("ab", "c")]),
        ("normalize(source='ab', target='c')", [normalize("ab", "c")]),
        ("normalize(\"ab\", 'c')", [normalize("ab", "c")]),
        ('normalize("ab")', [normalize("ab")]),
        ('normalize(target="c", source="ab")', [normalize("ab", "c")]),
        ("keep_chunk()", [KEEP]),
        ("untouch_doc()", [KEEP]),
        ("keep_doc()", [Operation(OpName.KEEP_DOC)]),
        ("drop_doc()", [Operation(OpName.DROP_DOC)]),
        ("remove_lines(0, 1) remove_lines(3, 3)", [remove(0, 1), remove(3, 3)]),
        ("remove_lines(0, 1);remove_lines(3, 3),keep_chunk();", [remove(0, 1), remove(3, 3), KEEP]),
        ("remove_lines(0, 1)remove_lines(3, 3)", [remove(0, 1), remove(3, 3)]),
        ("remove_lines(0, 1)\r\nremove_lines(3, 3)\r\n", [remove(0, 1), remove(3, 3)]),
        ("# first\nremove_lines(0, 1)  # why\n#last", [remove(0, 1)]),
        ("```python\nremove_lines(0, 1)\n```", [remove(0, 1)]),
        ("```remove_lines(0, 1)```", [remove(0, 1)]),
        ("`remove_lines(0, 1)`", [remove(0, 1)]),
        ('normalize("ab")  # why', [normalize("ab")]),
        ('`normalize("ab")`', [normalize("ab")]),
    ],
)
def test_what_refiners_write_is_read_without_findings(answer: str, ops: list[Operation]) -> None:
    assert parse(answer) == Program(tuple(ops))


@pytest.mark.parametrize(
    ("argument", "source"),
    [
        (r'"a\"b"', 'a"b'),
        (r"'a\'b'", "a'b"),
        (r'"a\\"', "a\\"),
        (r'"a\nb\tc\r"', "a\nb\tc\r"),
        (r'"\d+ \alpha"', r"\d+ \alpha"),
        ('"it\'s"', "it's"),
        ("'say \"x\"'", 'say "x"'),
        ('"a, b=c) # d; e"', "a, b=c) # d; e"),
        ('"He said "yes" to it"', 'He said "yes" to it'),
        ('"(see "page 4") there"', '(see "page 4") there'),
        ('"the "a", "b" and "c""', 'the "a", "b" and "c"'),
        ('"f("x"), g("y")."', 'f("x"), g("y").'),
        ('"print("x", end="")"', 'print("x", end="")'),
        ('"<a href="x" target="_blank">"', '<a href="x" target="_blank">'),
        ('"[000]é日🚂\u2028x"', "[000]é日🚂\u2028x"),
        ('"a\rb"', "a\rb"),
        ('"NUL \x00 and \ud800"', "NUL \x00 and \ud800"),
        ('""', ""),
    ],
)
def test_a_named_string_ends_where_its_call_goes_on(argument: str, source: str) -> None:
    assert parse(f'normalize(source_str={argument}, target_str="t")\nkeep_chunk()') == Program(
        (normalize(source, "t"), KEEP)
    )
    assert parse(f"normalize(target_str='t', source_str={argument}); keep_chunk()") == Program(
        (normalize(source, "t"), KEEP)
    )


def test_a_quote_before_a_parenthesis_ends_a_string_only_at_the_end_of_the_call() -> None:
    assert parse('normalize(source_str="a ("b") c") keep_chunk()').ops == (normalize('a ("b") c'), KEEP)


def test_a_positional_string_ends_at_a_comma_and_a_quote() -> None:
    assert parse('normalize("a" b", "c "d" e")').ops == (normalize('a" b', 'c "d" e'),)


@pytest.mark.parametrize(
    "call",
    [
        "remove_lines()",
        "remove_lines(line_end=3)",
        "remove_lines(1, 2, 3)",
        "remove_lines(start=1, 2)",
        "remove_lines(line_start=1, start=2)",
        "remove_lines(first=1)",
        "remove_lines('1', '2')",
        "remove_lines(1.5, 2)",
        "remove_lines(1_0, 20)",
        "remove_lines(1 2)",
        "remove_lines(a, b)",
        "remove_lines(True, 2)",
        "remove_lines(٣, 4)",
        "remove_lines(start=0, end=10**12)",
        "remove_lines(all=False)",
        "remove_lines(all=1)",
        "remove_lines(0, 3, all=True)",
        "remove_lines(" + "1, " * 50 + ")",
        "normalize()",
        'normalize(target_str="x")',
        "normalize(source_str=x)",
        'normalize(source_str="x" target_str="y")',
        'normalize("a", "b", "c")',
        "normalize(1, 2)",
        "keep_chunk(1)",
        "keep_doc(all=True)",
    ],
)
def test_a_call_with_wrong_arguments_is_one_error_and_the_rest_stands(call: str) -> None:
    program = parse(f"{call}\nremove_lines(1, 1)")
    assert codes(program) == [DiagnosticCode.MALFORMED_ARGUMENTS]
    assert program.ops == (remove(1, 1),)
    assert program.diagnostics[0].op_index is None


def test_arguments_are_never_evaluated() -> None:
    program = parse("remove_lines(__import__('os').getpid(), 1)")
    assert program.ops == ()
    assert codes(program) == [DiagnosticCode.MALFORMED_ARGUMENTS]


def test_a_line_break_inside_a_string_is_one_error() -> None:
    program = parse('normalize(source_str="a\nb", target_str="")\nremove_lines(1, 1)')
    assert codes(program) == [DiagnosticCode.MALFORMED_ARGUMENTS]
    assert program.ops == (remove(1, 1),)


def test_a_string_closed_before_prose_is_an_error_and_not_a_truncation() -> None:
    assert codes(parse('normalize(source_str="ab") was needed')) == [DiagnosticCode.MALFORMED_ARGUMENTS]


@pytest.mark.parametrize(
    "tail",
    [
        "rem",
        "remove_lines",
        "remove_lines(",
        "remove_lines(line",
        "remove_lines(line_start=1",
        "remove_lines(line_start=1, line_end=",
        "remove_lines(line_start=1, line_end=23\n",
        "normalize(source_str=",
        'normalize(source_str="ab',
        'normalize(source_str="ab\\',
        'normalize(source_str="ab"',
        'normalize(source_str="ab", target_str="',
        "keep_chunk(",
    ],
)
def test_a_truncated_last_call_is_dropped_and_noted(tail: str) -> None:
    program = parse(f"remove_lines(0, 0)\n{tail}")
    assert program.ops == (remove(0, 0),)
    assert codes(program) == [DiagnosticCode.TRUNCATED_TAIL]
    assert program.n_errors == 0


def test_an_unclosed_call_before_another_line_is_an_error() -> None:
    program = parse("remove_lines(0, 1\nremove_lines(3, 3)")
    assert codes(program) == [DiagnosticCode.MALFORMED_ARGUMENTS]
    assert program.ops == (remove(3, 3),)


@pytest.mark.parametrize("call", ["delete_lines(1, 2)", "os.system('x')", 'print(")")', "remove_line(1)", "eval(1**2)"])
def test_an_unknown_operation_is_an_error_and_does_nothing(call: str) -> None:
    program = parse(f"{call}\nremove_lines(1, 1)")
    assert program.ops == (remove(1, 1),)
    assert program.n_errors == 1


def test_an_unknown_operation_is_named_as_such() -> None:
    program = parse("delete_lines(1, 2) remove_lines(1, 1)")
    assert codes(program) == [DiagnosticCode.UNKNOWN_OPERATION]
    assert "delete_lines(1, 2)" in program.diagnostics[0].detail


def test_a_run_of_stray_text_is_one_error() -> None:
    program = parse("Sure! Here is the program,\nas you asked (nicely):\n\nremove_lines(1, 1)\nThat is all. Bye.")
    assert program.ops == (remove(1, 1),)
    assert codes(program) == [DiagnosticCode.STRAY_TEXT] * 2


@pytest.mark.parametrize(
    ("call", "ops", "found"),
    [
        ("remove_lines(5, 9)", [remove(5, 9)], []),
        ("remove_lines(5, 10)", [remove(5, 9)], [DiagnosticCode.RANGE_CLIPPED]),
        ("remove_lines(0, 5)", [remove(5, 5)], [DiagnosticCode.RANGE_CLIPPED]),
        ("remove_lines(0, 1000000000000)", [remove(5, 9)], [DiagnosticCode.RANGE_CLIPPED]),
        ("remove_lines(-3, 6)", [remove(5, 6)], [DiagnosticCode.RANGE_CLIPPED]),
        ("remove_lines(10, 11)", [], [DiagnosticCode.RANGE_OUTSIDE]),
        ("remove_lines(0, 4)", [], [DiagnosticCode.RANGE_OUTSIDE]),
        ("remove_lines(8, 6)", [], [DiagnosticCode.RANGE_REVERSED]),
        ("remove_lines(all=True)", [remove()], []),
    ],
)
def test_ranges_are_held_against_the_lines(call: str, ops: list[Operation], found: list[DiagnosticCode]) -> None:
    program = parse(call, range(5, 10))
    assert program.ops == tuple(ops)
    assert codes(program) == found
    assert [finding.op_index for finding in program.diagnostics] == [0 if ops else None for _ in found]


def test_without_lines_every_line_from_zero_on_is_allowed() -> None:
    assert parse(f"remove_lines(0, {MAX_LINE_NUMBER})") == Program((remove(0, MAX_LINE_NUMBER),))
    assert codes(parse("remove_lines(-1, 3)")) == [DiagnosticCode.RANGE_CLIPPED]


@pytest.mark.parametrize("n_digits", [11, 4_301, 100_000])
def test_a_number_of_any_length_is_only_past_the_end(n_digits: int) -> None:
    program = parse(f"remove_lines(0, {'9' * n_digits})", range(3))
    assert program.ops == (remove(0, 2),)
    assert codes(program) == [DiagnosticCode.RANGE_CLIPPED]


def test_zeros_before_a_number_do_not_count() -> None:
    assert parse(f"remove_lines({'0' * 5_000}2)") == Program((remove(2, 2),))


def test_a_few_copies_of_an_operation_stay() -> None:
    answer = 'normalize("  a", " a")\n' * MAX_COPIES
    assert parse(answer) == Program((normalize("  a", " a"),) * MAX_COPIES)


def test_a_runaway_repetition_is_kept_once_and_noted() -> None:
    program = parse(
        "keep_chunk()\n" + "remove_lines(2, 2)\nremove_lines(3, 3)\n" * (MAX_COPIES + 1) + 'normalize("ab")'
    )
    assert program.ops == (KEEP, remove(2, 2), remove(3, 3), normalize("ab"))
    assert [(finding.code, finding.op_index) for finding in program.diagnostics] == [
        (DiagnosticCode.REPEATED_OPERATION, 1),
        (DiagnosticCode.REPEATED_OPERATION, 2),
    ]
    assert program.n_errors == 0


def test_copies_do_not_use_up_the_limit_of_operations() -> None:
    program = parse("remove_lines(2)\n" * (2 * MAX_OPERATIONS) + "remove_lines(3)")
    assert program.ops == (remove(2, 2), remove(3, 3))


def test_findings_follow_their_operation_when_repetitions_collapse() -> None:
    program = parse("remove_lines(2, 2)\n" * (MAX_COPIES + 1) + "remove_lines(4, 99)\n", range(5))
    clipped = program.diagnostics[0]
    assert clipped.code is DiagnosticCode.RANGE_CLIPPED
    assert program.ops[clipped.op_index or 0] == remove(4, 4)


def test_a_clipped_runaway_repetition_points_at_the_copy_kept() -> None:
    program = parse("keep_chunk()\n" + "remove_lines(4, 99)\n" * (MAX_COPIES + 5), range(5))
    assert program.ops == (KEEP, remove(4, 4))
    assert {finding.op_index for finding in program.diagnostics} == {1}


def test_operations_past_the_limit_are_ignored_and_noted() -> None:
    program = parse("\n".join(f"remove_lines({line})" for line in range(MAX_OPERATIONS + 1)))
    assert len(program.ops) == MAX_OPERATIONS
    assert codes(program) == [DiagnosticCode.TOO_MANY_OPERATIONS]


def test_a_program_of_exactly_the_limit_is_read_whole() -> None:
    answer = "\n".join(f"remove_lines({line})" for line in range(MAX_OPERATIONS))
    assert parse(answer).diagnostics == ()


def test_dropped_calls_count_towards_the_end_of_reading() -> None:
    program = parse("unknown()\n" * MAX_CALLS + "remove_lines(1)")
    assert program.ops == ()
    assert codes(program)[-1] is DiagnosticCode.TOO_MANY_OPERATIONS


def test_notes_do_not_crowd_out_errors() -> None:
    copies = "".join(f"remove_lines({line})\n" * (MAX_COPIES + 1) for line in range(MAX_DIAGNOSTICS - 50))
    program = parse("unknown()\n" * (MAX_DIAGNOSTICS + 9) + copies + "remove_lines(")
    assert program.n_errors == MAX_DIAGNOSTICS
    assert sum(finding.code.severity is Severity.NOTE for finding in program.diagnostics) > 1


def test_what_comes_after_a_million_characters_is_ignored_and_noted() -> None:
    program = parse("remove_lines(1)\n" + " " * 999_980 + "\nremove_lines(2)\n")
    assert program.ops == (remove(1, 1),)
    assert codes(program) == [DiagnosticCode.PROGRAM_TOO_LONG]
