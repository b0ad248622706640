"""Answers of any length give small programs, and a finding tells why."""

from __future__ import annotations

import time

import pytest
from extremes import EXTREMES, Extreme
from fuzz_programs import check_execution, check_program

from prox_spark.programs import (
    ChunkProgram,
    DiagnosticCode,
    DocumentStatus,
    execute_chunks,
    parse,
    parse_verdict,
    run_reference,
)
from prox_spark.programs.parser import MAX_PROGRAM_CHARS
from prox_spark.programs.words import count_words

pytestmark = pytest.mark.unit

LINE = "some plain words that make up a line"
TEXT = "\n".join([LINE] * 20)


def codes_of(answer: str) -> set[DiagnosticCode]:
    return {finding.code for finding in parse(answer).diagnostics}


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: extreme.name)
def test_a_very_long_answer_is_read_in_part_with_a_finding(extreme: Extreme) -> None:
    answer = extreme.make(10_000_000)
    start = time.process_time()
    program = parse(answer, range(20))
    # Measured: 0.3 s at most; quadratic reading takes minutes.
    assert time.process_time() - start < 10
    check_program(program)
    found = {finding.code for finding in program.diagnostics}
    assert found >= {DiagnosticCode.PROGRAM_TOO_LONG} | ({extreme.code} if extreme.code else set())
    check_execution(TEXT, execute_chunks(TEXT, [ChunkProgram(0, 0, 19, program)]), count_words)


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: extreme.name)
def test_a_long_answer_is_a_finding_without_the_limit_of_length_too(extreme: Extreme) -> None:
    found = codes_of(extreme.make(150_000))
    assert DiagnosticCode.PROGRAM_TOO_LONG not in found
    assert extreme.code is None or extreme.code in found


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: extreme.name)
def test_the_reference_and_the_verdict_bear_a_long_answer(extreme: Extreme) -> None:
    answer = extreme.make(100_000)
    check_execution(TEXT, run_reference(TEXT, [answer]), lambda text: len(text.split()))
    assert parse_verdict(answer) == ("keep" if extreme.name == "verdicts" else "unknown")


@pytest.mark.parametrize("end", ["1000000000000", "9" * 100_000])
def test_a_range_of_any_size_is_cut_to_the_lines_there_are(end: str) -> None:
    program = parse(f"remove_lines(start=0, end={end})", range(20))
    assert [(op.line_start, op.line_end) for op in program.ops] == [(0, 19)]
    assert [finding.code for finding in program.diagnostics] == [DiagnosticCode.RANGE_CLIPPED]
    execution = execute_chunks(TEXT, [ChunkProgram(0, 0, 19, program)])
    assert (execution.status, len(execution.removed)) == (DocumentStatus.BLANKED_RATIO, 1)


def test_a_power_is_not_computed() -> None:
    assert codes_of("remove_lines(start=0, end=10**12)") == {DiagnosticCode.MALFORMED_ARGUMENTS}


def test_a_hundred_thousand_operations_are_cut_with_a_finding() -> None:
    answer = "".join(f"remove_lines(line_start={n}, line_end={n})\n" for n in range(100_000))
    program = parse(answer[:MAX_PROGRAM_CHARS])
    check_program(program)
    assert DiagnosticCode.TOO_MANY_OPERATIONS in {finding.code for finding in program.diagnostics}


def test_a_string_of_ten_million_characters_is_never_kept_whole() -> None:
    program = parse(f'normalize(source_str="{"ab" * 5_000_000}", target_str="")')
    check_program(program)
    assert program.ops == ()
    assert {finding.code for finding in program.diagnostics} == {
        DiagnosticCode.PROGRAM_TOO_LONG,
        DiagnosticCode.TRUNCATED_TAIL,
    }
