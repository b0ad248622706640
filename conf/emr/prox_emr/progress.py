"""Waiting for a run: a line for every change and one now and then, until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_QUIET_SECONDS = 300


@dataclass(frozen=True)
class Look:
    """What a look at a run found: a line about it, and whether it is over and ended well."""

    line: str
    is_over: bool = False
    is_good: bool = False


def say(line: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def wait_for_end(look: Callable[[], Look], poll_seconds: float) -> Look:
    """Look at a run until it is over, and say what changes.

    Args:
        look: looks once.
        poll_seconds: time between two looks.

    Returns:
        What the last look found.
    """
    start = said_at = time.monotonic()
    said = ""
    while True:
        found = look()
        now = time.monotonic()
        if found.line != said or now - said_at >= _QUIET_SECONDS:
            say(f"{found.line}  ({format_seconds(now - start)})")
            said, said_at = found.line, now
        if found.is_over:
            return found
        time.sleep(poll_seconds)


def format_seconds(seconds: float) -> str:
    """Return a duration as people write it, such as `1 h 02 min` or `4 min 05 s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
