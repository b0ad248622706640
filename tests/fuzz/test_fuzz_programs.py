"""A small share of the fuzzer's cases, and the proof that it reports failures."""

from __future__ import annotations

from typing import Any

import fuzz_programs
import pytest
from cases import KINDS, make_case
from fuzz_programs import fuzz

from prox_spark.programs import Program

pytestmark = pytest.mark.unit


def test_thousands_of_cases_raise_nothing_and_keep_every_promise() -> None:
    report = fuzz(4_000, seed=1)
    assert not report.failures, report.failures[0]
    # Every kind of answer occurs, and some programs have an effect.
    assert set(report.kinds) == {kind for kind, _ in KINDS}
    assert min(report.statuses["edited"], *report.n_edits.values()) > 100


def test_a_case_is_made_of_its_number_alone() -> None:
    assert make_case(3, 14) == make_case(3, 14)
    assert make_case(3, 14) != make_case(3, 15)
    assert make_case(3, 14) != make_case(4, 14)


def test_a_case_that_raises_is_reported_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(answer: str, lines: range | None = None) -> Program:
        raise IndexError("out of range")

    monkeypatch.setattr(fuzz_programs, "parse", broken)
    report = fuzz(3)
    assert [number for number, _ in report.failures] == [0, 1, 2]
    assert "IndexError" in "\n".join(report.lines())


def test_a_printer_that_forgets_an_operation_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    print_program: Any = fuzz_programs.print_program
    monkeypatch.setattr(fuzz_programs, "print_program", lambda program: print_program(program.ops[:2]))
    assert fuzz(300).failures
