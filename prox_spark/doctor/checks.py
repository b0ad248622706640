"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was looked at.
        status: a failure stops a run; a warning says what may go wrong.
        found: what is there.
        change: what to do about it; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    change: str = ""


def ok(name: str, found: str) -> Check:
    """Return a check that found nothing to change."""
    return Check(name, Status.OK, found)


def warn(name: str, found: str, change: str) -> Check:
    """Return a check that found what may go wrong."""
    return Check(name, Status.WARNING, found, change)


def fail(name: str, found: str, change: str) -> Check:
    """Return a check that found what stops a run."""
    return Check(name, Status.FAILURE, found, change)
