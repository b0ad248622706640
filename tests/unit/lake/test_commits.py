"""What a table's history tells of other runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prox_spark.lake.commits import EVERY_RUN, Commit, commits_of_others, may_be_doubled, newest_commits, user_metadata


def written(version: int, run: str, **told: Any) -> Commit:
    return Commit(version, "WRITE", run, **told)


class History:
    """Stands for the frame of a history: its rows, the newest first."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    def select(self, *_: str) -> History:
        return self

    def collect(self) -> tuple[dict[str, Any], ...]:
        return self.rows


def row(metadata: str | None) -> dict[str, Any]:
    return {"version": 7, "operation": "WRITE", "userMetadata": metadata}


FOREIGN = [{"job": 1}, {"run_id": ["a"]}, {"settles": [1]}, {"expected_version": "3"}, [1], 3]


@pytest.mark.parametrize("metadata", [None, "", "nightly", *map(json.dumps, FOREIGN)])
def test_metadata_of_others_are_no_run_s(metadata: str | None) -> None:
    assert newest_commits(History(row(metadata))) == [Commit(7, "WRITE")]  # type: ignore[arg-type]


def test_what_a_commit_says_of_itself_is_read_back() -> None:
    rows = row(user_metadata("a")), row(user_metadata("b", expected_version=3)), row(user_metadata("c", settles="b"))
    told = [written(7, "a"), written(7, "b", expected_version=3), written(7, "c", settles="b")]
    assert newest_commits(History(*rows)) == told  # type: ignore[arg-type]


def test_others_are_those_since_then_that_changed_rows_and_are_not_ours() -> None:
    commits = [written(5, "a"), Commit(4, "OPTIMIZE", "b"), Commit(3, "DELETE"), written(2, "b"), written(1, "b")]
    assert commits_of_others(commits, {"a"}, since=1) == commits[2:4]
    assert commits_of_others(commits, {"a"}, since=3) == []


RACED = [written(6, "a", expected_version=5), written(5, "b")]


@pytest.mark.parametrize(
    ("commits", "is_left"),
    [
        ([], False),
        ([written(6, "a", expected_version=6), written(5, "b")], False),
        (RACED, True),
        ([Commit(8, "OPTIMIZE"), written(7, "c"), *RACED], True),
        ([written(7, "a", settles="a"), *RACED], False),
        ([written(7, "c", settles=EVERY_RUN), *RACED], False),
        ([written(7, "c", settles="c"), *RACED], True),
        ([written(6, "a", expected_version=5), Commit(5, "OPTIMIZE")], False),
        # Its own commits double nothing; one that is not told any more may have.
        ([written(6, "a", expected_version=5), written(5, "a")], False),
        ([written(7, "a", expected_version=5), written(6, "a")], True),
        # What was settled before says nothing of what came after.
        ([*RACED, written(4, "a", settles="a")], True),
    ],
)
def test_a_sign_stands_until_a_later_commit_settles_it(commits: list[Commit], is_left: bool) -> None:
    assert may_be_doubled(commits) is is_left
