"""Waiting for what another thread or process does, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.25


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Returns when the condition holds; fails after the deadline, and says what was waited for.

    Args:
        condition: asked again and again, ever more rarely.
        what: holds then, in words.
        seconds: the deadline.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
