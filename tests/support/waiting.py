"""Waiting for what another thread, process or task does, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.25


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until the condition holds. Fail after the deadline, with what was waited for.

    Args:
        condition: checked again and again, ever more rarely.
        what: the condition in words.
        seconds: the deadline.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)


async def wait_in_loop(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait as `wait_until` does, for what another task of this event loop does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)
