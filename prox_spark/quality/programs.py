"""Validity of chunk programs: the share that can be executed as written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A finding beside those of the parser and the executors: no part of the answer was an operation.
NO_OPERATION = "no_operation"


@dataclass(frozen=True, slots=True)
class ProgramScores:
    """Counts of valid programs; a valid one has an operation and no finding.

    Attributes:
        validity: share of the programs that are valid, 0..1; 1 if there are none.
        findings: programs with each finding, most frequent first; codes of `DiagnosticCode`, and `no_operation`.
    """

    n_programs: int
    n_valid: int
    validity: float
    findings: dict[str, int]


def score_programs(programs: Iterable[tuple[int, Sequence[str]]]) -> ProgramScores:
    """Count valid programs; each program is given as its number of operations and the codes found in it."""
    found = [{*codes, *([] if n_operations else [NO_OPERATION])} for n_operations, codes in programs]
    counts = Counter(code for codes in found for code in sorted(codes))
    n_valid = sum(not codes for codes in found)
    return ProgramScores(len(found), n_valid, n_valid / len(found) if found else 1.0, dict(counts.most_common()))
