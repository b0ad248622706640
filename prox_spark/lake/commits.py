"""What a table's history tells of other runs: each commit of a run carries its id, and one that takes a chance carries a sign.

A run appends without looking at keys once more when nobody else has committed. The version that it expects is in the commit: where it
became another one, for a commit of another run came between, rows may be doubled. Whoever has taken them out, or found none, says so in
the next commit; until then the sign stands for whoever looks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delta.tables import DeltaTable

# Operations that change no row.
_REARRANGING = frozenset(
    {
        "OPTIMIZE",
        "REORG",
        "VACUUM START",
        "VACUUM END",
        "COMPUTE STATS",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "ADD COLUMNS",
        "CHANGE COLUMN",
        "CHANGE COLUMNS",
    }
)
# Stands for the ids of all runs.
EVERY_RUN = "every run"


@dataclass(frozen=True)
class Commit:
    """One commit of a table.

    Attributes:
        version: of the table.
        operation: Delta's name.
        run_id: of the run that made it; None of others' commits.
        expected_version: what it was to be, if its rows' keys were not looked for.
        settles: the run whose doubled rows it takes out, or `EVERY_RUN`.
    """

    version: int
    operation: str
    run_id: str | None = None
    expected_version: int | None = None
    settles: str | None = None

    @property
    def changes_rows(self) -> bool:
        """Whether rows came or went."""
        return self.operation not in _REARRANGING


def user_metadata(run_id: str, expected_version: int | None = None, settles: str | None = None) -> str:
    """What a commit says of itself; arguments as of `Commit`."""
    told = {"run_id": run_id, "expected_version": expected_version, "settles": settles}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def newest_commits(table: DeltaTable, n: int) -> list[Commit]:
    """Return so many commits, the newest first."""
    rows = table.history(n).select("version", "operation", "userMetadata").collect()
    return [Commit(int(row["version"]), row["operation"], **_told(row["userMetadata"])) for row in rows]


def others(commits: Sequence[Commit], own: Collection[str], since: int) -> list[Commit]:
    """Return those after a version that changed rows and are none of these runs'."""
    return [one for one in commits if one.version > since and one.changes_rows and one.run_id not in own]


def left_doubled(commits: Sequence[Commit]) -> bool:
    """Whether a run may have been killed before it took out rows that it had doubled.

    Args:
        commits: the newest first.
    """
    by_version = {one.version: one for one in commits}
    settled = set[str | None]()
    for one in commits:
        if one.expected_version is not None and not settled & {one.run_id, EVERY_RUN}:
            between = map(by_version.get, range(one.expected_version, one.version))
            # What is not told any more may have been anything.
            if any(other is None or (other.changes_rows and other.run_id != one.run_id) for other in between):
                return True
        settled.add(one.settles)
    return False


def _told(metadata: str | None) -> dict[str, Any]:
    try:
        told = json.loads(metadata or "{}")
    except ValueError:  # what users of Delta write there is theirs
        return {}
    kinds = {"run_id": str, "expected_version": int, "settles": str}
    if not isinstance(told, dict):
        return {}
    return {name: told[name] for name, kind in kinds.items() if isinstance(told.get(name), kind)}
