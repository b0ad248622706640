"""The history of a table and what it says of other runs.

Each commit of a run carries the id of the run. A run appends without looking for keys again if nobody else has committed. It
writes the version that it expects into the commit. If the commit became another version, because another run committed first,
rows may be doubled. The run that removes them, or finds none, says so in its next commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
# Stands for all runs where the id of one is expected.
EVERY_RUN = "every run"


@dataclass(frozen=True)
class Commit:
    """One commit of a table.

    Attributes:
        version: of the table.
        operation: Delta's name.
        run_id: of the run that made it; None for commits of other software.
        expected_version: version that the run expected; None if it looked for the keys of its rows.
        settles: run whose doubled rows the commit removes, or `EVERY_RUN`; None if it removes none.
    """

    version: int
    operation: str
    run_id: str | None = None
    expected_version: int | None = None
    settles: str | None = None

    @property
    def changes_rows(self) -> bool:
        """True if rows came or went."""
        return self.operation not in _REARRANGING


def user_metadata(run_id: str, expected_version: int | None = None, settles: str | None = None) -> str:
    """Return the userMetadata of a commit. The arguments are those of `Commit`."""
    fields = {"run_id": run_id, "expected_version": expected_version, "settles": settles}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def newest_commits(history: DataFrame) -> list[Commit]:
    """Return the commits of a history as Delta describes it, the newest first."""
    rows = history.select("version", "operation", "userMetadata").collect()
    return [Commit(int(row["version"]), row["operation"], **_parse(row["userMetadata"])) for row in rows]


def commits_of_others(commits: Sequence[Commit], own: Collection[str], since: int) -> list[Commit]:
    """Return the commits after a version that changed rows and were not made by one of these runs."""
    return [one for one in commits if one.version > since and one.changes_rows and one.run_id not in own]


def may_be_doubled(commits: Sequence[Commit]) -> bool:
    """True if a run may have been killed before it removed rows that it had doubled.

    Args:
        commits: the newest first.
    """
    by_version = {one.version: one for one in commits}
    settled = set[str | None]()
    for one in commits:
        if one.expected_version is not None and not settled & {one.run_id, EVERY_RUN}:
            between = map(by_version.get, range(one.expected_version, one.version))
            # A commit that the history no longer holds may have been any.
            if any(other is None or (other.changes_rows and other.run_id != one.run_id) for other in between):
                return True
        settled.add(one.settles)
    return False


def _parse(metadata: str | None) -> dict[str, Any]:
    try:
        fields = json.loads(metadata or "{}")
    except ValueError:  # Other software may write anything there.
        return {}
    kinds = {"run_id": str, "expected_version": int, "settles": str}
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name, kind in kinds.items() if isinstance(fields.get(name), kind)}
