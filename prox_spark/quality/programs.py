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
        findings: programs with each finding, most frequent first; codes of `DiagnosticCode`, and `no_operation`.
    """

    n_programs: int
    n_valid: int
    findings: dict[str, int]

    @property
    def validity(self) -> float:
        """Share of the programs that are valid; 1 of none."""
        return self.n_valid / self.n_programs if self.n_programs else 1.0


def program_scores(programs: Iterable[tuple[int, Sequence[str]]]) -> ProgramScores:
    """Counts programs, each given as its number of operations and the codes found in it."""
    found = [{*codes, *([] if n_operations else [NO_OPERATION])} for n_operations, codes in programs]
    counts = Counter(code for codes in found for code in sorted(codes))
    return ProgramScores(len(found), sum(not codes for codes in found), dict(counts.most_common()))
