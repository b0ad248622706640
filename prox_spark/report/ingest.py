"""What an ingest found and did, for people and for the `runs` table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prox_spark.errors import NOTES
from prox_spark.readers import PassedOver, describe_passed_over

# Kinds of records that a line of the summary names; the rest is counted.
_MAX_NAMED = 8


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest found and did. n_read = n_new + n_changed + n_unchanged + n_duplicates + quarantined, notes left out.

    Attributes:
        run_id: UUID of the run.
        lake: where the tables are.
        n_read: records read, and files or parts of files that could not be.
        n_new: documents added.
        n_changed: documents whose text, url, source or carried columns were replaced.
        n_unchanged: documents that the lake had with the same of all of these.
        n_duplicates: records with the id and the content of another of the same input.
        skipped: kind → records that are no documents by their kind, such as images and redirects.
        passed_over: files that are no data, such as README.md beside it.
        quarantined: reason → records, those that an earlier ingest quarantined included.
        notes: what was carried in another way than it came.
        seconds: per step, and `total`.
        versions_in: table versions before.
        versions_out: table versions after.
    """

    run_id: str
    lake: str
    n_new: int
    n_changed: int
    n_unchanged: int
    n_duplicates: int
    skipped: Mapping[str, int]
    passed_over: Sequence[PassedOver]
    quarantined: Mapping[str, int]
    notes: Sequence[str]
    seconds: Mapping[str, float]
    versions_in: Mapping[str, int]
    versions_out: Mapping[str, int]
    n_read: int = field(init=False)

    def __post_init__(self) -> None:
        kept = self.n_new + self.n_changed + self.n_unchanged + self.n_duplicates
        rejected = sum(n for reason, n in self.quarantined.items() if reason not in NOTES)
        object.__setattr__(self, "n_read", kept + rejected)

    @property
    def n_skipped(self) -> int:
        """Records that are no documents by their kind."""
        return sum(self.skipped.values())

    @property
    def counts(self) -> dict[str, int]:
        """The figures as the `runs` table has them."""
        figures = {
            "input": self.n_read,
            "new": self.n_new,
            "changed": self.n_changed,
            "unchanged": self.n_unchanged,
            "duplicates": self.n_duplicates,
            "skipped": self.n_skipped,
            "files_passed_over": len(self.passed_over),
        }
        return figures | {f"quarantined_{reason}": n for reason, n in self.quarantined.items()}

    def summary(self) -> str:
        """Return it for the terminal."""
        lines = [
            f"{self.n_read:,} records read into {self.lake} in {self.seconds['total']:.1f} s",
            f"  {self.n_new:,} new, {self.n_changed:,} changed, {self.n_unchanged:,} unchanged, "
            f"{self.n_duplicates:,} duplicates",
        ]
        if self.quarantined:
            lines.append(f"  {_counted(self.quarantined, 'in quarantine')}")
        if self.skipped:
            lines.append(f"  {_counted(self.skipped, 'passed over')}")
        if self.passed_over:
            lines.append(f"  {describe_passed_over(self.passed_over)}")
        lines += [f"  {note}" for note in self.notes]
        if not (self.n_new or self.n_changed or self.n_unchanged):
            lines.append(f"  WARNING: not one document was taken in: {self._why_nothing()}")
        versions = ", ".join(f"{table} {version}" for table, version in self.versions_out.items())
        return "\n".join([*lines, f"  table versions: {versions}"])

    def _why_nothing(self) -> str:
        if self.quarantined:
            return "see `SELECT reason, message, provenance FROM quarantine`"
        if self.skipped:
            return "all records are of kinds that hold no text of a page"
        return "the input has no records"


def _counted(counts: Mapping[str, int], what: str) -> str:
    """Return the sum and its parts, the most first: `184 passed over: 120 image/*, 55 revisit, 9 request`."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{n:,} {name}" for name, n in ranked[:_MAX_NAMED]]
    if rest := sum(n for _, n in ranked[_MAX_NAMED:]):
        parts.append(f"{rest:,} others")
    return f"{sum(counts.values()):,} {what}: {', '.join(parts)}"
