"""Figures of chunk programs as such: could they be carried out as they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Beside the parser's and the executors' findings: an answer of which nothing was an operation.
NO_OPERATION = "no_operation"


@dataclass(frozen=True, slots=True)
class ProgramScores:
    """How many programs are valid: with an operation and without a finding.

    Attributes:
        validity: share of the programs that are valid; 1 of none.
        findings: programs with each finding, most frequent first; codes of `DiagnosticCode`, and `no_operation`.
    """

    n_programs: int
    n_valid: int
    validity: float
    findings: dict[str, int]


def score_programs(programs: Iterable[tuple[int, Sequence[str]]]) -> ProgramScores:
    """Counts programs, each given as its number of operations and the codes found in it."""
    found = [{*codes, *([] if n_operations else [NO_OPERATION])} for n_operations, codes in programs]
    counts = Counter(code for codes in found for code in sorted(codes))
    n_valid = sum(not codes for codes in found)
    return ProgramScores(len(found), n_valid, n_valid / len(found) if found else 1.0, dict(counts.most_common()))
