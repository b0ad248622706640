"""Throw random answers at parser, printer, both executors and the reader of free-text verdicts, and check their promises.

    python tests/fuzz/fuzz_programs.py --cases 1000000 [--seed 0]    exit status 1 if any case failed
    python tests/fuzz/fuzz_programs.py --only 4711 [--seed 0]        one case, printed
    python tests/fuzz/fuzz_programs.py --extremes                    10 MB answers, one kind of character or call each

The mutations are our own rather than those of a coverage-guided fuzzer: the language is small enough to say what an answer
may be made of, a case is a number that gives the same input on every machine, and there is nothing to install.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))  # where this runs as a script, without pytest's settings

from cases import Case, make_case
from extremes import EXTREMES
from program_pattern import PROGRAM_PATTERN

from prox_spark.programs import (
    ChunkProgram,
    DiagnosticCode,
    DocumentStatus,
    Execution,
    Gates,
    Program,
    execute_chunks,
    parse,
    parse_verdict,
    print_program,
    run_reference,
)
from prox_spark.programs.parser import MAX_DIAGNOSTICS, MAX_OPERATIONS
from prox_spark.programs.strict import GROWTH_CHARS, GROWTH_FACTOR
from prox_spark.programs.words import count_words

# Findings that a program of the grammar may have, because a grammar can't count.
UNCOUNTABLE = {
    DiagnosticCode.RANGE_REVERSED,
    DiagnosticCode.REPEATED_OPERATION,
    DiagnosticCode.TOO_MANY_OPERATIONS,
    DiagnosticCode.PROGRAM_TOO_LONG,
}
MAX_DETAIL_CHARS = 400
SLOW_MS = (1, 10, 50)
T = TypeVar("T")


@dataclass
class Worst:
    """The slowest call of one function, by CPU time of the thread, because wall time also counts other programs."""

    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    number: int = -1


@dataclass
class Report:
    """The results of a number of cases."""

    seed: int
    n_cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    n_edits: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    worst: dict[str, Worst] = field(default_factory=dict)
    n_slow: Counter[int] = field(default_factory=Counter)
    cpu_seconds: float = 0.0

    def timed(self, name: str, call: Callable[[], T]) -> T:
        """Make a call and remember the slowest one."""
        wall, cpu = time.perf_counter(), time.thread_time()
        result = call()
        cpu_ms, wall_ms = 1e3 * (time.thread_time() - cpu), 1e3 * (time.perf_counter() - wall)
        self.cpu_seconds += cpu_ms / 1e3
        worst = self.worst.setdefault(name, Worst())
        if cpu_ms > worst.cpu_ms:
            worst.cpu_ms, worst.number = cpu_ms, self.n_cases
        worst.wall_ms = max(worst.wall_ms, wall_ms)
        for limit in SLOW_MS:
            self.n_slow[limit] += cpu_ms > limit
        return result

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        found = [
            f"{self.n_cases:,} cases, seed {self.seed}: {len(self.failures)} failed",
            "kinds     " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(self.kinds.items())),
            "statuses  " + ", ".join(f"{status} {n:,}" for status, n in sorted(self.statuses.items())),
            "edits     " + ", ".join(f"{edit} {n:,}" for edit, n in sorted(self.n_edits.items())),
            "calls over " + ", ".join(f"{limit} ms CPU: {self.n_slow[limit]:,}" for limit in SLOW_MS),
            f"{'':16}{'max ms CPU':>12}{'max ms wall':>13}  slowest case",
        ]
        found += [f"{name:16}{w.cpu_ms:12.2f}{w.wall_ms:13.2f}  {w.number}" for name, w in self.worst.items()]
        return found + [f"case {number} failed:\n{trace}" for number, trace in self.failures[:5]]


def check(case: Case, report: Report) -> None:
    """Run one case; a broken promise raises AssertionError, and other exceptions pass."""
    program = report.timed("parse", lambda: parse(case.answer, case.lines))
    check_program(program)
    assert parse(print_program(program), case.lines) == Program(program.ops)

    middle = case.lines.start + len(case.lines) // 2
    chunks = [
        ChunkProgram(0, case.lines.start, middle - 1, program),
        ChunkProgram(1, middle, case.lines.stop - 1, program),
    ]
    gates = Gates(min_word_ratio=0.0, min_words=0, max_errors=2 + report.n_cases % 3)
    execution = report.timed("execute_chunks", lambda: execute_chunks(case.text, chunks, gates))
    report.statuses[execution.status] += 1
    report.n_edits.update({"removed spans": len(execution.removed), "replacements": len(execution.normalized)})
    check_execution(case.text, execution, count_words)
    check_outside(case, execution)

    reference = report.timed("run_reference", lambda: run_reference(case.text, [case.answer]))
    check_execution(case.text, reference, lambda text: len(text.split()))
    report.timed("parse_verdict", lambda: parse_verdict(case.answer))
    if report.timed("PROGRAM_PATTERN", lambda: PROGRAM_PATTERN.fullmatch(case.answer)):
        assert {finding.code for finding in parse(case.answer).diagnostics} <= UNCOUNTABLE


def check_program(program: Program) -> None:
    """Check that a program's size is bounded and that it can be stored."""
    assert len(program.ops) <= MAX_OPERATIONS
    assert len(program.diagnostics) <= 2 * MAX_DIAGNOSTICS
    for finding in program.diagnostics:
        assert len(finding.detail.encode("utf-8")) <= 4 * MAX_DETAIL_CHARS
        assert "\n" not in finding.detail
        assert finding.op_index is None or 0 <= finding.op_index < len(program.ops)


def check_execution(text: str, execution: Execution, count: Callable[[str], int]) -> None:
    """Check the word counts, that no line is removed twice, and that an unchanged document is unchanged."""
    assert execution.words_before == count(text)
    assert execution.words_after == count(execution.text)
    removed = sorted((span.line_start, span.line_end) for span in execution.removed)
    assert all(before[1] < after[0] for before, after in pairwise(removed))
    assert all(done.n_hits > 0 for done in execution.normalized)
    if execution.status in (DocumentStatus.KEPT_UNCHANGED, DocumentStatus.PROGRAM_DISCARDED):
        assert execution.text == text
    for finding in execution.diagnostics:
        assert len(finding.detail.encode("utf-8")) <= 4 * MAX_DETAIL_CHARS


def check_outside(case: Case, execution: Execution) -> None:
    """Check that lines outside the chunks are unchanged and that lines inside have not grown past the limit."""
    if execution.words_after == 0:
        return
    lines = case.text.split("\n")
    before, after = lines[: case.lines.start], lines[max(case.lines.stop, case.lines.start) :]
    result = execution.text.split("\n")
    assert result[: len(before)] == before
    assert result[len(result) - len(after) :] == after
    assert len(execution.text) <= GROWTH_FACTOR * len(case.text) + 2 * GROWTH_CHARS


def fuzz(n_cases: int, seed: int = 0, progress: Callable[[Report], None] = lambda report: None) -> Report:
    """Run the cases from 0 on; a failing case is reported and does not stop the run."""
    report = Report(seed)
    for number in range(n_cases):
        case = make_case(seed, number)
        report.kinds[case.kind] += 1
        try:
            check(case, report)
        except Exception:  # no exception of any kind may be raised
            report.failures.append((number, traceback.format_exc()))
        report.n_cases += 1
        if report.n_cases % 50_000 == 0:
            progress(report)
    return report


def peak_mib() -> float:
    """Return the largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show_extremes() -> None:
    """Print time and peak memory for each 10 MB answer."""
    print(f"{'10 MB of':36}{'parse ms':>10}{'strict ms':>10}{'reference ms':>13}{'verdict ms':>11}  peak MiB so far")
    text = "\n".join(["some plain words that make a line"] * 200)
    for extreme in EXTREMES:
        ms = [worst.cpu_ms for worst in time_extreme(extreme.make(10_000_000), text).worst.values()]
        print(f"{extreme.name:36}{ms[0]:10.1f}{ms[1]:10.1f}{ms[2]:13.1f}{ms[3]:11.1f}  {peak_mib():.0f}", flush=True)


def time_extreme(answer: str, text: str) -> Report:
    """Measure one answer about a text of 200 lines."""
    report = Report(0)
    program = report.timed("parse", lambda: parse(answer, range(200)))
    report.timed("strict", lambda: execute_chunks(text, [ChunkProgram(0, 0, 199, program)]))
    report.timed("reference", lambda: run_reference(text, [answer]))
    report.timed("verdict", lambda: parse_verdict(answer))
    return report


def main() -> int:
    """Run the cases that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="print and run the case of this number")
    parser.add_argument("--extremes", action="store_true")
    args = parser.parse_args()
    if args.extremes:
        show_extremes()
        return 0
    if args.only is not None:
        case = make_case(args.seed, args.only)
        print(ascii(case))
        check(case, Report(args.seed))
        return 0
    start = time.perf_counter()
    fuzz(min(args.cases, 1_000), args.seed)
    warm_mib = peak_mib()

    def progress(report: Report) -> None:
        print(f"{report.n_cases:,} cases, {len(report.failures)} failed, peak {peak_mib():.0f} MiB", file=sys.stderr)

    report = fuzz(args.cases, args.seed, progress)
    print("\n".join(report.lines()))
    print(f"peak memory {peak_mib():.0f} MiB, {warm_mib:.0f} MiB after the first 1,000 cases")
    print(f"{time.perf_counter() - start:.0f} s in all, {report.cpu_seconds:.0f} s CPU in what is tested")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
